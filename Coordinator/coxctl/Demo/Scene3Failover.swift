import Client
import FoundationEssentials
import Launching
import Model

extension DemoRun {
    /// Kills the agent that leads most, and times what the others make of it.
    mutating func failover() async throws {
        narrator.scene(3, "kill -9 of the agent that holds most primaries")
        let led = await primaries()
        guard let victim = cluster.agents.max(by: { (led[$0.name]?.count ?? 0) < (led[$1.name]?.count ?? 0) }),
            let lost = led[victim.name], !lost.isEmpty
        else { throw DemoFailure("no agent leads a partition") }
        let route = try await client.route(of: "usertable")
        let owned = route.partitions.filter { lost.contains(String($0.id)) }.map { belongs($0, layout: route.layout) }
        let survivors = cluster.agents.filter { $0.name != victim.name }

        let killed = BootTime.now()
        cluster.children.kill(victim.name)
        narrator.step("\(victim.name) killed; it led \(lost.count) partitions")
        let detected = try await eventually("somebody to find \(victim.name) dead", within: 30, everyMilliseconds: 5) {
            () async throws -> Int64? in
            for agent in survivors {
                let members = await status(of: agent)?["members"]?.array ?? []
                if members.contains(where: { $0["node_id"]?.string == victim.name && $0["status"]?.string == "dead" }) {
                    return BootTime.now()
                }
            }
            return nil
        }
        let decided = try await eventually("its partitions to be led by others", within: 30, everyMilliseconds: 5) {
            () async throws -> Int64? in
            for agent in survivors {
                let partitions = await status(of: agent)?["partitions"]?.array ?? []
                let taken = partitions.contains {
                    $0["role"]?.string == "primary" && lost.contains($0["partition_id"]?.string ?? "")
                }
                if taken { return BootTime.now() }
            }
            return nil
        }
        // Of the load where it wrote to these partitions; else of a write of our own.
        let recovered =
            owned.isEmpty
            ? decided
            : try await eventually("a write to what \(victim.name) led", within: 30, everyMilliseconds: 5) {
                load.firstAcknowledged(after: decided) { key in owned.contains { $0(key) } }
            }
        summary.failover_detect_ms = Figures.milliseconds(detected - killed)
        summary.failover_decide_ms = Figures.milliseconds(max(0, decided - detected))
        summary.failover_recover_ms = Figures.milliseconds(max(0, recovered - decided))
        narrator.step(
            "detect \(clock(summary.failover_detect_ms)), decide \(clock(summary.failover_decide_ms)), "
                + "recover \(clock(summary.failover_recover_ms)); writes go on")

        let (rows, missing) = try await load.audit()
        guard missing.isEmpty else { throw DemoFailure("\(missing.count) acknowledged writes are lost, first \(missing[0])") }
        narrator.step("\(rows) rows read back: every acknowledged write is there")
        try cluster.startAgent(victim.name)
        let start = BootTime.now()
        _ = try await eventually("\(victim.name) to catch up", within: 60) { () async throws -> Bool? in
            if let ended = cluster.ended(among: [victim.name]).first { throw DemoFailure(ended) }
            let partitions = await status(of: victim)?["partitions"]?.array ?? []
            return !partitions.isEmpty && partitions.allSatisfy { $0["role"]?.string != "learner" } ? true : nil
        }
        narrator.step("\(victim.name) is back and in sync after \(seconds(since: start)) s")
    }

    private func clock(_ milliseconds: Double?) -> String { "\(Figures.fixed(milliseconds ?? 0, 0)) ms" }
}
