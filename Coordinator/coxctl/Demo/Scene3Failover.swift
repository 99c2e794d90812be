import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model

extension DemoRun {
    /// Kills the agent that leads most, and times what the others make of it.
    mutating func failover() async throws {
        let led = Self.led(try await topology())
        guard let victim = cluster.agents.max(by: { (led[$0.name]?.count ?? 0) < (led[$1.name]?.count ?? 0) }),
            let lost = led[victim.name], !lost.isEmpty
        else { throw DemoFailure("no agent leads a partition") }
        let (run, name) = (self, victim.name)

        let killed = BootTime.now()
        cluster.children.kill(name)
        narrator.step("\(name) killed; it led \(lost.count) of the \(led.values.reduce(0) { $0 + $1.count }) partitions")
        async let seen = run.firstSighting("somebody to find \(name) dead", of: run.witnesses(of: name))
        async let chosen = run.firstSighting("new primaries", of: run.readers(of: name, lost))
        let recoveries = try await eventually("a write to each partition that \(name) led", within: 30, everyMilliseconds: 1) {
            let first = load.firstAcknowledged(above: lost)
            return first.count == lost.count ? first : nil
        }
        guard let recovered = recoveries.values.min(), let last = recoveries.values.max() else {
            throw DemoFailure("\(name) led no partition")
        }
        // Who looks is a little late. No write was acknowledged before it was decided, and nothing was decided before it was seen.
        let decided = min(try await chosen, recovered)
        let detected = min(try await seen, decided)
        let (detect, decide, recover) = (detected - killed, decided - detected, recovered - decided)
        summary.failoverDetect = Figures.milliseconds(detect)
        summary.failoverDecide = Figures.milliseconds(decide)
        summary.failoverRecover = Figures.milliseconds(recover)
        narrator.step("detect \(clock(detect)), decide \(clock(decide)), recover \(clock(recover))")
        narrator.more(
            "\(clock(recovered - killed)) after the kill one of its partitions takes writes again, after \(clock(last - killed)) all do"
        )

        let audit = try await load.audit()
        guard audit.lost.isEmpty else {
            throw DemoFailure("\(audit.lost.count) acknowledged writes are lost, first \(audit.lost[0])")
        }
        narrator.step("\(audit.rows) rows read back: every acknowledged write is there")
        try await welcomeBack(victim)
    }

    private func welcomeBack(_ victim: LocalCluster.Agent) async throws {
        let before = try await topology()["nodes"]?.array?.first { $0["node_id"]?.string == victim.name }?["session"]
        try cluster.startAgent(victim.name)
        let start = BootTime.now()
        let replicas = try await eventually("\(victim.name) to catch up", within: 60) { () async throws -> Int? in
            if let ended = cluster.ended(among: [victim.name]).first { throw DemoFailure(ended) }
            let topology = try await topology()
            let node = topology["nodes"]?.array?.first { $0["node_id"]?.string == victim.name }
            guard node?["status"]?.string == "HEALTHY", node?["session"] != before else { return nil }
            let roles = (topology["partitions"]?.array ?? []).flatMap { $0["replicas"]?.array ?? [] }
                .filter { $0["node"]?.string == victim.name }.map { $0["role"]?.string }
            return roles.contains("learner") ? nil : roles.count
        }
        guard replicas > 0 else {
            return narrator.step(
                "\(victim.name) is back: it was away for so long that all its replicas were made anew elsewhere")
        }
        narrator.step(
            "\(victim.name) is back: after \(seconds(since: start)) s its \(replicas) replicas have caught up and are in sync")
    }

    // MARK: - Looking

    /// The catalog's view, by the word of any coordinator that follows it.
    func topology() async throws -> JSONValue {
        try await control.call(.get, "/cluster/topology", milliseconds: 2_000).body
    }

    /// Which node leads which partitions, with their epochs.
    private static func led(_ topology: JSONValue) -> [String: [UInt64: UInt64]] {
        var led: [String: [UInt64: UInt64]] = [:]
        for partition in topology["partitions"]?.array ?? [] where partition["status"]?.string == "ACTIVE" {
            guard let node = partition["primary"]?.string, let id = partition["id"]?.unsigned,
                let epoch = partition["epoch"]?.unsigned
            else { continue }
            led[node, default: [:]][id] = epoch
        }
        return led
    }

    /// One observer for each surviving agent: whether it holds `name` for dead.
    private func witnesses(of name: String) -> [@Sendable () async -> Bool] {
        cluster.agents.filter { $0.name != name }.map { agent in
            { [self] in
                let members = await status(of: agent)?["members"]?.array ?? []
                return members.contains { $0["node_id"]?.string == name && $0["status"]?.string == "dead" }
            }
        }
    }

    /// One observer for each coordinator: whether its catalog has other primaries for all of `lost`.
    private func readers(of name: String, _ lost: [UInt64: UInt64]) -> [@Sendable () async -> Bool] {
        cluster.coordinators.map { spec in
            { [self] in
                let url = "https://\(spec.address(spec.api))/api/v1/cluster/topology?consistency=stale"
                guard let topology = try? await calls.call(.get, url, milliseconds: 500).body else { return false }
                let others = Self.led(topology).filter { $0.key != name }.values
                return lost.allSatisfy { id, epoch in others.contains { ($0[id] ?? 0) > epoch } }
            }
        }
    }

    /// When the first of the observers said yes. Each is asked again as soon as it has answered, and none waits for another.
    private func firstSighting(_ what: String, of observers: [@Sendable () async -> Bool]) async throws -> Int64 {
        let deadline = BootTime.now() + 30_000_000
        return try await withThrowingTaskGroup(of: Int64?.self) { group in
            for observer in observers {
                group.addTask {
                    while BootTime.now() < deadline {
                        if await observer() { return BootTime.now() }
                        try await Task.sleep(for: .milliseconds(1))
                    }
                    return nil
                }
            }
            defer { group.cancelAll() }
            for try await time in group { if let time { return time } }
            throw DemoFailure("waited 30 s for \(what)")
        }
    }

    private func clock(_ microseconds: Int64) -> String { "\(Figures.fixed(Figures.milliseconds(microseconds), 0)) ms" }
}
