import LogStorage
import Model
import Settings

/// Our coordinators on a disk that takes two milliseconds longer for each flush, as one does that has no cache to be trusted.
enum SlowDiskBench {
    private static let delay: Int64 = 2_000

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        var tuning = CoordinatorFile.Tuning()
        tuning.flushDelayMicroseconds = delay
        try await LogBench.run(settings, flush: .slower(by: .microseconds(delay)), named: "log, 2 ms a flush", report: report)
        try await BenchCluster.with(agents: 0, settings, tuning: tuning) { cluster in
            let groups: [any ComparedGroup] = [CoxswainGroup(cluster: cluster)]
            for clients in [1, 64, 256] {
                let value = String(repeating: "v", count: 256)
                let load = try await LoadRows.measure(groups, clients, settings) { group, client in
                    group.put("c\(client)", value)
                }
                let name = "\(clients) client\(clients == 1 ? "" : "s"), 2 ms a flush"
                report(load.rates.row("puts, \(name)", "1/s", note: load.note))
                report(load.medians.row("put, \(name), p50", "ms"))
                report(load.tails.row("put, \(name), p99", "ms"))
                report(load.flushes.row("flushes for a put, \(name)", ""))
            }
        }
    }
}
