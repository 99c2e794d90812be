import Foundation
import NIOHTTP1
import Testing

/// How soon a death is known, between real processes.
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"), .cluster) struct DeathTests {
    @Test("an agent killed with SIGKILL is dead for all other agents within seconds, by its links", .timeLimit(.minutes(10)))
    func killed() async throws {
        let cluster = try await Cluster.whole()
        let others = Cluster.agents.filter { $0 != "n5" }
        try await expectEventually("everybody has heard of n5", within: 20) {
            for other in others {
                guard try await self.entry("n5", at: other, of: cluster)?["rtt_ms"]?.number != nil else { return false }
            }
            return true
        }
        let start = ContinuousClock.now
        cluster.kill(["n5"])
        try await withThrowingTaskGroup(of: (String, Duration).self) { group in
            for other in others {
                group.addTask {
                    try await expectEventually("n5 is dead for \(other)", within: 10) {
                        try await self.entry("n5", at: other, of: cluster)?["status"]?.string == "dead"
                    }
                    return (other, start.duration(to: .now))
                }
            }
            for try await (other, time) in group { print("n5 is dead for \(other) after \(time)") }
        }
        let known = try #require(try await entry("n5", at: "n1", of: cluster))
        #expect(known["accusers"]?.array.isEmpty == false)
        try await expectEventually("the coordinators tell operators so", within: 10) {
            let nodes = try await cluster.api(.GET, "/cluster/topology").json["nodes"]?.array ?? []
            return nodes.contains {
                $0["node_id"]?.string == "n5" && $0["gossip"]?["status"]?.string == "dead"
                    && $0["gossip"]?["accusers"]?.array.isEmpty == false
            }
        }
    }

    private func entry(_ node: String, at agent: String, of cluster: Cluster) async throws -> JSON? {
        try await cluster.status(of: agent)["members"]?.array.first { $0["node_id"]?.string == node }
    }
}
