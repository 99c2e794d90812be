import DurableLog
import FoundationEssentials
import LogStorage
import Model

/// Durable appends of 256 bytes: one client that waits for each, and 64 that share syncs.
enum LogBench {
    static func run(full: Bool) async throws -> [BenchRow] {
        var rows: [BenchRow] = []
        for clients in [1, 64] {
            // On the disk of the working directory: a temporary folder is memory on many machines.
            let folder = ".build/bench-log-\(clients)-\(UInt32.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let log = try GroupCommitLog(folder: folder, store: StoreID(1)) { _ in }
            let each = (full ? 4_000 : 1_000) / (clients == 1 ? 1 : 8)
            let record = NewRecord(kind: 1, payload: [UInt8](repeating: 7, count: 256))
            let clock = ContinuousClock()
            let start = clock.now
            let times = try await withThrowingTaskGroup(of: [Double].self) { group in
                for _ in 0..<clients {
                    group.addTask {
                        var times: [Double] = []
                        for _ in 0..<each {
                            let began = clock.now
                            _ = try await log.append([record])
                            times.append((clock.now - began).inSeconds * 1_000)
                        }
                        return times
                    }
                }
                var all = Samples()
                for try await part in group { for time in part { all.add(time) } }
                return all
            }
            let elapsed = (clock.now - start).inSeconds
            let name = "\(clients) client\(clients == 1 ? "" : "s")"
            rows.append(BenchRow(bench: "log", row: "commits, \(name)", unit: "1/s", ours: Double(clients * each) / elapsed))
            rows.append(BenchRow(bench: "log", row: "p50, \(name)", unit: "ms", ours: times.median))
            rows.append(BenchRow(bench: "log", row: "p99, \(name)", unit: "ms", ours: times.percentile(0.99)))
        }
        return rows
    }
}
