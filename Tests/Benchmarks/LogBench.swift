import DurableLog
import FoundationEssentials
import LogStorage
import Model

/// Durable appends of 4 KiB to our log: one client that waits for each, and 64 that share syncs.
enum LogBench {
    static func run(_ settings: BenchSettings, report: Benchmarks.Report) async throws {
        try await run(settings, flush: .standard, named: "log", report: report)
    }

    static func run(
        _ settings: BenchSettings, flush: Flush, named bench: String, report: Benchmarks.Report
    ) async throws {
        for clients in [1, 64] {
            var (rates, medians, tails) = (Samples(), Samples(), Samples())
            var (limits, limitMedians, limitTails) = (Samples(), Samples(), Samples())
            for _ in 0..<settings.rounds {
                let limit = try await BenchFolder.with { try DiskLimit.appends(group: clients, in: $0, seconds: 0.5) }
                limits.add(limit.rate)
                limitMedians.add(limit.times.median)
                limitTails.add(limit.times.percentile(0.99))
                let ours = try await BenchFolder.with { try await round(clients, flush, in: $0) }
                rates.add(ours.rate)
                medians.add(ours.times.median)
                tails.add(ours.times.percentile(0.99))
            }
            let name = "\(clients) client\(clients == 1 ? "" : "s")"
            let peer = DiskLimit.name(group: clients)
            report(BenchRow(bench: bench, row: "4 KiB appends, \(name)", unit: "1/s", of: rates, peer: limits, peerName: peer))
            report(BenchRow(bench: bench, row: "p50, \(name)", unit: "ms", of: medians, peer: limitMedians, peerName: peer))
            report(BenchRow(bench: bench, row: "p99, \(name)", unit: "ms", of: tails, peer: limitTails, peerName: peer))
        }
    }

    private static func round(_ clients: Int, _ flush: Flush, in folder: String) async throws -> DiskLimit.Measured {
        let log = try GroupCommitLog(folder: folder, store: StoreID(1), options: LogOptions(flush: flush)) { _ in }
        let record = NewRecord(kind: 1, payload: [UInt8](repeating: 7, count: 4_096))
        let clock = ContinuousClock()
        let start = clock.now
        let end = start + .seconds(1)
        let times = try await withThrowingTaskGroup(of: Samples.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    var times = Samples()
                    while clock.now < end {
                        let began = clock.now
                        _ = try await log.append([record])
                        times.add((clock.now - began).inMilliseconds)
                    }
                    return times
                }
            }
            return try await group.reduce(into: Samples()) { $0.add($1) }
        }
        return DiskLimit.Measured(rate: Double(times.values.count) / (clock.now - start).inSeconds, times: times)
    }
}
