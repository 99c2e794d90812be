import Client
import Launching

/// What a group takes that nobody asks anything of: empty, and with a hundred thousand entries; and how soon a member is back.
enum RestRows {
    private static let entries = 100_000

    static func empty(
        _ groups: [any ComparedGroup], _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        var idle = Compared(groups)
        for _ in 0..<settings.rounds {
            // At once, for idle processes do not disturb each other.
            var before: [Double] = []
            for group in groups { before.append(try await group.cost().processor) }
            try await Task.sleep(for: .seconds(3))
            for (number, group) in groups.enumerated() {
                idle.add((try await group.cost().processor - before[number]) / 3 * 100, of: number)
            }
        }
        report(idle.row("the three at rest", "% of a core", ask: .atMost(1)))
        try memory(groups, "empty", anonymous: 20, total: 1.5, report)
    }

    private static func memory(
        _ groups: [any ComparedGroup], _ state: String, anonymous: Double, total: Double, _ report: Benchmarks.Report
    ) throws {
        var (all, own) = (Compared(groups), Compared(groups))
        for (number, group) in groups.enumerated() {
            let memory = try group.memory()
            all.add(memory.total, of: number)
            own.add(memory.anonymous, of: number)
        }
        report(own.row("anonymous memory of a member, \(state)", "MB", ask: .atMost(anonymous)))
        report(all.row("memory of a member, \(state)", "MB", ask: .timesPeerAtMost(total)))
    }

    static func full(
        _ groups: [any ComparedGroup], _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        let (entries, clients, value) = (Self.entries, 64, String(repeating: "v", count: 256))
        var filling = Compared(groups)
        var note: String?
        for (number, group) in groups.enumerated() {
            let leader = try await group.leader()
            let start = ContinuousClock.now
            let refusals = try await group.loop.exhaust(
                (0..<clients).map { client in
                    ClosedLoop.Client(host: "127.0.0.1", port: leader.port, headers: [], insists: true) { turn in
                        let key = turn * clients + client
                        return key < entries ? group.put("k\(key)", value) : nil
                    }
                }, limit: 300)
            if let first = refusals.first { note = "\(group.title): \(refusals.refused) refused and repeated, first: \(first)" }
            filling.add(Double(entries) / (ContinuousClock.now - start).inSeconds, of: number)
        }
        report(filling.row("puts of \(entries) entries, 64 clients", "1/s", ask: .timesPeerAtLeast(1.3), note: note))
        try await Task.sleep(for: .seconds(3))
        try memory(groups, "\(entries) entries", anonymous: 90, total: 1, report)
        var back = Compared(groups)
        for _ in 0..<settings.rounds {
            for (number, group) in groups.enumerated() { back.add(try await restart(group, of: entries), of: number) }
        }
        report(back.row("a follower's start to its first linearizable get, \(entries) entries", "ms", ask: .atMost(500)))
    }

    private static func restart(_ group: any ComparedGroup, of entries: Int) async throws -> Double {
        let leader = try await group.leader()
        guard let follower = group.members.first(where: { $0 != leader }) else { throw BenchFailure("nobody follows") }
        group.cluster.local.children.kill(follower.name)
        let start = ContinuousClock.now
        try group.start(follower)
        let last = group.get("k\(entries - 1)", isStale: false)
        try await group.cluster.eventually("\(follower.name) to answer", within: 60, everyMilliseconds: 5) {
            () async throws -> Void? in
            try await group.ask(last, at: follower, milliseconds: 500).status == 200 ? () : nil
        }
        return (ContinuousClock.now - start).inMilliseconds
    }
}
