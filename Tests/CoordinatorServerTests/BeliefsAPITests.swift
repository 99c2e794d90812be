import CoordinatorServer
import Foundation
import Membership
import Model
import Synchronization
import Testing

@Suite struct BeliefsAPITests {
    @Test("a node that somebody suspects is shown so with who accuses it, beside the catalog's word; one never heard of is not")
    func suspected() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 2)
        var swim = try Swim(
            node: NodeID("c1"), generation: Generation(1), profile: profile(1), tuning: .fast, seed: 1, at: .origin)
        let rumour = MemberRecord(
            node: try NodeID("n1"), life: Life(generation: Generation(1), incarnation: 4), status: .suspect,
            profile: try profile(2), accuser: try NodeID("n7"))
        let message = SwimMessage(
            from: try NodeID("n7"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: [rumour])
        _ = swim.step(.received(message, from: "127.0.0.1:9"), at: .origin)
        let beliefs = swim.beliefs(at: .origin + .milliseconds(1_500))
        harness.plane.rumours.withLock { rumours in
            for belief in beliefs { rumours[belief.member.node] = belief }
        }
        let nodes = try JSONSerialization.jsonObject(with: Data(try await harness.get("/clusters/demo/nodes").text.utf8))
        let rows = try #require(nodes as? [[String: Any]])
        let first = try #require(rows.first { $0["node_id"] as? String == "n1" })
        let gossip = try #require(first["gossip"] as? [String: Any])
        #expect(first["status"] as? String == "HEALTHY")
        #expect(gossip["status"] as? String == "suspect")
        #expect(gossip["accusers"] as? [String] == ["n7"])
        #expect(gossip["seconds"] as? Double == 1.5)
        #expect(gossip["rtt_ms"] is NSNull)
        let second = try #require(rows.first { $0["node_id"] as? String == "n2" })
        #expect(second["gossip"] is NSNull)
    }

    private func profile(_ port: Int) throws -> MemberProfile {
        MemberProfile(
            kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:\(port)", link: "127.0.0.1:\(port)", store: StoreID(1),
            session: SessionID(1))
    }
}
