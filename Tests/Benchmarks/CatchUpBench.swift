import Client
import KeyEncoding
import Launching
import Model

/// An agent stops, rows are written, and it is started: how soon it has them all on its disk and is in sync again. What the others' logs
/// still hold comes from them; beyond that the partition is copied anew.
enum CatchUpBench {
    private static let megabytes = 200
    /// A time that is so much longer than a start's says something of the rows.
    private static let telling = 1.2

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        // A log keeps 64 MiB for a copy that is away: four partitions have their part in it, one has not.
        for (how, partitions) in [("from the log", 4), ("by a snapshot", 1)] {
            try await BenchCluster.with(agents: 3, settings) { cluster in
                try await run(how, partitions, settings, cluster, report)
            }
        }
    }

    private static func run(
        _ how: String, _ partitions: Int, _ settings: BenchSettings, _ cluster: BenchCluster, _ report: Benchmarks.Report
    ) async throws {
        var rows = BulkRows(table: "missed", count: megabytes * 1_000_000 / BulkRows.rowBytes)
        try await cluster.makeTable("missed", cuts: rows.cuts(partitions))
        // What is measured is what could be had, and not what clients are spared.
        try await cluster.configure("copy_mib_per_second", 10_000)
        let client = cluster.client()
        let export = "\(cluster.local.folder)/export"
        _ = try await rows.put(by: client, exportingTo: export)
        var (times, disk, idle) = (Samples(), Samples(), Samples())
        var written = 0.0
        for round in 0..<settings.rounds {
            // One and the same always, so that its start is the same; it leads nothing when it has been away once.
            let victim = cluster.local.agents[0].name
            for missesRows in [false, true] {
                try await cluster.waitUntilWhole()
                cluster.local.children.kill(victim)
                try await cluster.eventually("\(victim) to be left out") { () async throws -> Void? in
                    try await cluster.placements(of: "missed").contains { $0.inSync.contains(victim) } ? nil : ()
                }
                if missesRows {
                    rows.version = round + 1
                    written = try await rows.put(by: client).megabytes
                    disk.add(written / (try DiskLimit.copy(of: export)))
                }
                let start = ContinuousClock.now
                try cluster.local.startAgent(victim)
                try await cluster.eventually("\(victim) to be in sync", within: 120) { () async throws -> Void? in
                    try await cluster.placements(of: "missed").allSatisfy { $0.inSync.contains(victim) } ? () : nil
                }
                let seconds = (ContinuousClock.now - start).inSeconds
                if missesRows { times.add(seconds) } else { idle.add(seconds) }
            }
        }
        let name = "\(megabytes) MB missed, \(how)"
        var rates = Samples()
        for seconds in times.values where seconds > telling * idle.median { rates.add(written / (seconds - idle.median)) }
        report(
            BenchRow(
                bench: "catch-up", row: "\(name), in the time beyond a start that has missed nothing", unit: "MB/s", of: rates,
                peer: disk, peerName: "dd conv=fsync",
                note: rates.values.count < times.values.count
                    ? "\(times.values.count - rates.values.count) rounds took hardly longer than such a start" : nil))
        report(
            BenchRow(
                bench: "catch-up", row: "\(name), start to in sync", unit: "s", of: times, peer: idle,
                peerName: "when it has missed nothing"))
    }
}
