import GossipKit
import Membership

/// Members of ours over real sockets on loopback, many in one process, and by turns with them serf's agents, one process each.
///
/// Serf stands beside our `lan` profile, whose times are its own; it has nothing like `fast`.
enum SwimBench {
    static func run(_ settings: BenchSettings, _ report: @escaping Benchmarks.Report) async throws {
        if !SerfCrowd.isInstalled {
            report(row("serf", "", nil, note: "not installed, so that ours is measured alone: apt-get install serf"))
        }
        let counts = settings.full ? [10, 30, 100, 200] : [10, 30, 100]
        for count in counts where settings.rows.isEmpty || settings.rows.contains("\(count)") {
            let ports = (1...count).map { settings.basePort + 99 + $0 }
            let fast = try await GossipCrowd.with({ try GossipCrowd(ports: ports, .fast) }) {
                try await CrowdFigures.measure($0, kills: settings.full ? 12 : 4, leaves: settings.full ? 5 : 1)
            }
            write(fast, nil, "fast", count, report)
            let lan = try await GossipCrowd.with({ try GossipCrowd(ports: ports, .lan) }) {
                try await CrowdFigures.measure($0, kills: settings.full ? 12 : 2, leaves: settings.full ? 5 : 1)
            }
            let serf = await serf(count, settings, report)
            write(lan, serf, "lan", count, report)
            if let serf {
                for (profile, ours) in [("fast", fast), ("lan", lan)] {
                    report(row("packets/s × seconds until all know, \(profile), \(count)", "", ours.product, serf.product))
                }
            }
        }
        if settings.rows.isEmpty || settings.rows.contains("silence") { try await SilenceRows.run(settings, report) }
    }

    /// Nil where it is not installed, or where so many processes are too much for the machine: what is ours is said all the same.
    private static func serf(
        _ count: Int, _ settings: BenchSettings, _ report: @escaping Benchmarks.Report
    ) async -> CrowdFigures? {
        guard SerfCrowd.isInstalled else { return nil }
        do {
            return try await SerfCrowd.with({ try SerfCrowd(count, basePort: settings.basePort + 100) }) {
                try await CrowdFigures.measure($0, kills: settings.full ? 12 : 2, leaves: settings.full ? 5 : 1)
            }
        } catch {
            report(row("serf, \(count)", "", nil, note: "could not be measured: \("\(error)".prefix(200))"))
            return nil
        }
    }

    static func row(
        _ row: String, _ unit: String, _ ours: Samples?, _ peer: Samples? = nil, ask: Double? = nil, note: String? = nil
    ) -> BenchRow {
        BenchRow(
            bench: "swim", row: row, unit: unit, of: ours ?? Samples(), peer: peer, peerName: peer == nil ? nil : "serf",
            ask: ask.map { .atMost($0) }, note: note)
    }

    private static func write(
        _ ours: CrowdFigures, _ serf: CrowdFigures?, _ profile: String, _ count: Int, _ report: Benchmarks.Report
    ) {
        func say(_ name: String, _ unit: String, _ figure: KeyPath<CrowdFigures, Samples>, ask: Double? = nil) {
            report(row("\(name), \(profile), \(count)", unit, ours[keyPath: figure], serf?[keyPath: figure], ask: ask))
        }
        let isFast = profile == "fast"
        say("kill: first verdict", "s", \.firstDown)
        say("kill: all know", "s", \.allDown, ask: count == 100 ? (isFast ? 2.1 : 10.2) : nil)
        func none(_ name: String, _ figure: KeyPath<CrowdFigures, Int>) {
            report(
                row(
                    "\(name), \(profile), \(count)", "", Samples(Double(ours[keyPath: figure])),
                    serf.map { Samples(Double($0[keyPath: figure])) }, ask: 0))
        }
        none("verdicts on members that were there", \.falseVerdicts)
        say("restart: all know", "s", \.back, ask: 1)
        say("leave: all know", "s", \.left, ask: 0.8)
        none("leaves that were not all members' belief in a minute", \.missedLeaves)
        say("join through one: all pairs", "s", \.joined, ask: count == 100 ? 3 : count == 200 ? 7 : nil)
        say("idle: packets sent by a member", "/s", \.packetsPerSecond, ask: isFast ? nil : 2)
        say("idle: payload sent by a member", "B/s", \.bytesPerSecond, ask: isFast ? nil : 140)
        say("idle: processor of a member", "%", \.processor, ask: 0.15)
        say("memory of a member", "MB", \.memory, ask: 10)
    }
}
