import Client
import Launching
import Model

/// Rows written and read through the gateways, beside the disk under them and beside PostgreSQL: one copy beside a server alone, three
/// beside a server with a synchronous standby.
enum DataBench {
    private static let counts = [1, 16, 64]
    private static let seconds = 2.5

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        if !PostgresPeer.isInstalled {
            report(
                BenchRow(
                    bench: "data", row: "PostgreSQL", unit: "", ours: nil,
                    note: "not installed, so that ours is measured beside the disk alone: apt-get install postgresql"))
        }
        try await BenchCluster.with(agents: 3, settings) { cluster in
            for factor in [1, 3] {
                let table = try await UserTable.make("usertable\(factor)", factor: factor, on: cluster)
                try await table.fill()
                let peer =
                    PostgresPeer.isInstalled
                    ? try await PostgresPeer.start(
                        in: cluster.local.folder, port: settings.basePort + 100 + 10 * factor, hasStandby: factor > 1,
                        keys: UserTable.keys, beside: cluster) : nil
                try await contest(table, peer, factor, settings, cluster, report)
            }
        }
    }

    private enum Work: Hashable {
        case write
        case strong
        case eventual

        var words: String {
            switch self {
            case .write: "writes"
            case .strong: "strong reads"
            case .eventual: "eventual reads"
            }
        }
    }

    /// Rates, and milliseconds of single requests, of all rounds.
    private struct Figures {
        var rates = Samples()
        var times = Samples()
        var failures = 0
        var firstFailure: String?

        mutating func add(_ rate: Double, _ times: Samples) {
            rates.add(rate)
            self.times.add(times)
        }
    }

    private struct Row {
        let work: Work
        let clients: Int
        var ours = Figures()
        var peer = Figures()
        var disk = Figures()
    }

    private static func contest(
        _ table: UserTable, _ peer: PostgresPeer?, _ factor: Int, _ settings: BenchSettings, _ cluster: BenchCluster,
        _ report: Benchmarks.Report
    ) async throws {
        let loop = ClosedLoop(tls: cluster.context.tls)
        var rows = counts.map { Row(work: .write, clients: $0) } + [Work.strong, .eventual].map { Row(work: $0, clients: 64) }
        // By turns: what the machine does beside falls on each of them alike.
        for _ in 0..<settings.rounds {
            for index in rows.indices {
                let (work, count) = (rows[index].work, rows[index].clients)
                if work == .write {
                    let limit = try DiskLimit.appends(group: count, in: cluster.local.folder, seconds: 0.5)
                    rows[index].disk.add(limit.rate, limit.times)
                }
                let clients =
                    switch work {
                    case .write: try await table.writers(count)
                    case .strong: try await table.readers(count, .strong)
                    case .eventual: try await table.readers(count, .eventual)
                    }
                let measured = try await loop.run(clients, seconds: seconds)
                rows[index].ours.add(measured.rate, measured.times)
                rows[index].ours.failures += measured.failures
                rows[index].ours.firstFailure = rows[index].ours.firstFailure ?? measured.firstFailure
                if let peer {
                    let theirs = try await peer.run(
                        work == .write ? .write : .read, clients: count, keys: UserTable.keys, seconds: seconds)
                    rows[index].peer.add(theirs.rate, theirs.times)
                }
            }
        }
        for row in rows { say(row, factor, report) }
    }

    private static func say(_ row: Row, _ factor: Int, _ report: Benchmarks.Report) {
        let name =
            "\(row.work.words), \(row.clients) client\(row.clients == 1 ? "" : "s"), \(factor == 1 ? "one copy" : "three copies")"
        let postgres = factor == 1 ? "PostgreSQL" : "PostgreSQL, sync standby"
        let note = row.ours.firstFailure.map { "\(row.ours.failures) requests beside them were not served, first: \($0)" }
        let hasPeer = !row.peer.rates.values.isEmpty
        report(
            BenchRow(
                bench: "data", row: name, unit: "1/s", of: row.ours.rates, peer: hasPeer ? row.peer.rates : nil,
                peerName: hasPeer ? postgres : nil, note: note))
        for (label, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            report(
                BenchRow(
                    bench: "data", row: "\(label), \(name)", unit: "ms", ours: row.ours.times.percentile(share),
                    peer: hasPeer ? row.peer.times.percentile(share) : nil, peerName: hasPeer ? postgres : nil))
        }
        guard row.work == .write else { return }
        report(
            BenchRow(
                bench: "data", row: name, unit: "1/s", of: row.ours.rates, peer: row.disk.rates,
                peerName: "4 KiB, \(DiskLimit.name(group: row.clients))"))
    }
}
