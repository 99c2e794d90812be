// Our coordinators beside etcd: the same machine, disk, loader, certificates and sizes, by turns. A row that has an ask says whether
// it was met. The loader is one thread; what it used is a row of its own, and no other row counts it.

import Launching
import Settings

enum RaftBench {
    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        let start = ProcessFigures.loadAverage()
        try await with(settings, .usual, report) { groups in
            await attempt("at rest", settings, report) { try await RestRows.empty(groups, settings, report) }
            await attempt("puts and gets", settings, report) { try await LoadRows.run(groups, settings, report) }
            await attempt("watchers", settings, report) { try await WatchRows.run(groups, settings, report) }
            await attempt("transfers", settings, report) { try await OutageRows.transfers(groups, settings, report) }
            await failovers(groups, .usual, settings, report)
            await attempt("many entries", settings, report) { try await RestRows.full(groups, settings, report) }
        }
        try await with(settings, .short, report) { groups in await failovers(groups, .short, settings, report) }
        let end = ProcessFigures.loadAverage()
        report(
            BenchRow(
                bench: "raft", row: "load average of the machine at the end", unit: "", ours: end, peer: start,
                peerName: "at the start"))
    }

    private static func failovers(
        _ groups: [any ComparedGroup], _ timing: GroupTiming, _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async {
        for end in ProcessEnd.allCases {
            await attempt("failovers, \(end.rawValue)", settings, report) {
                try await OutageRows.failovers(groups, timing, end, settings, report)
            }
        }
    }

    /// What cannot be measured is said, and the rest is measured all the same.
    private static func attempt(
        _ what: String, _ settings: BenchSettings, _ report: Benchmarks.Report, _ work: () async throws -> Void
    ) async {
        guard settings.rows.isEmpty || settings.rows.contains(where: what.hasPrefix) else { return }
        do { try await work() } catch {
            report(BenchRow(bench: "raft", row: "\(what): could not be measured", unit: "", ours: nil, note: "\(error)"))
        }
    }

    /// Both groups, ours first; ours alone where the other is not installed.
    private static func with(
        _ settings: BenchSettings, _ timing: GroupTiming, _ report: Benchmarks.Report,
        _ work: @escaping @Sendable ([any ComparedGroup]) async throws -> Void
    ) async throws {
        var tuning = CoordinatorFile.Tuning()
        tuning.electionMilliseconds = Int64(timing.electionMilliseconds)
        tuning.heartbeatMilliseconds = Int64(timing.heartbeatMilliseconds)
        if !EtcdGroup.isInstalled {
            report(
                BenchRow(
                    bench: "raft", row: "etcd", unit: "", ours: nil,
                    note: "not installed, so ours is measured alone: apt-get install etcd-server"))
        }
        try await BenchCluster.with(agents: 0, settings, tuning: tuning) { cluster in
            var groups: [any ComparedGroup] = [CoxswainGroup(cluster: cluster)]
            if EtcdGroup.isInstalled { groups.append(try await EtcdGroup.start(beside: cluster, timing)) }
            for group in groups { _ = try await group.leader() }
            try await work(groups)
        }
    }
}

/// Rounds of the groups, in their order: ours, and the peer's if there is one.
struct Compared: Sendable {
    private(set) var samples: [Samples]
    private let titles: [String]

    init(_ groups: [any ComparedGroup]) {
        titles = groups.map(\.title)
        samples = groups.map { _ in Samples() }
    }

    mutating func add(_ value: Double, of group: Int) { samples[group].add(value) }

    func row(_ row: String, _ unit: String, ask: Ask? = nil, note: String? = nil) -> BenchRow {
        BenchRow(
            bench: "raft", row: row, unit: unit, of: samples[0], peer: samples.count > 1 ? samples[1] : nil,
            peerName: titles.count > 1 ? titles[1] : nil, ask: ask, note: note)
    }
}
