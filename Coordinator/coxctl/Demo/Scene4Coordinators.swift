import Client
import FoundationEssentials
import Launching
import Model

extension DemoRun {
    /// Kills the coordinators' leader, then all of them: the data path does not notice.
    func coordinators() async throws {
        guard let leader = try await leader() else { throw DemoFailure("no leader to kill") }
        cluster.children.kill(leader)
        let start = BootTime.now()
        let next = try await eventually("another leader", within: 20) { () async throws -> String? in
            let next = try await self.leader()
            return next == leader ? nil : next
        }
        narrator.step("\(leader) killed; \(next) leads after \(seconds(since: start)) s")
        try cluster.startCoordinator(leader)

        for spec in cluster.coordinators { cluster.children.kill(spec.node.name) }
        let before = load.current
        try await Task.sleep(for: .seconds(5))
        let after = load.current
        let (writes, reads) = (after.acknowledged - before.acknowledged, after.reads - before.reads)
        guard writes > 0, reads > 0 else {
            throw DemoFailure("without coordinators \(writes) writes and \(reads) reads in 5 s: \(after.lastFailure ?? "")")
        }
        narrator.step("no coordinator lives: \(writes) writes and \(reads) reads in 5 s all the same")
        for spec in cluster.coordinators { try cluster.startCoordinator(spec.node.name) }
        let back = try await eventually("the coordinators", within: 30) { try await self.leader() }
        narrator.step("the coordinators are back, \(back) leads")
    }
}
