import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

@Suite("the exchange of gossip keys, as the leader drives it")
struct GossipRotationTests {
    private static func secret(_ byte: UInt8) -> GossipSecret {
        GossipSecret(id: GossipKeyID(UInt64(byte)), bytes: [UInt8](repeating: byte, count: GossipSecret.byteCount))
    }

    private static let seed = GossipSeed(
        keys: [GossipKey(number: 1, secret: secret(1), createdAt: WallTime(milliseconds: 0))], primary: 1)

    private func topology(_ group: CoordinatorGroup) throws -> Topology {
        let leader = try #require(group.leader)
        return group.topology(of: leader)
    }

    private func ring(_ group: CoordinatorGroup) throws -> GossipKeys { try #require(try topology(group).gossipKeys) }

    private func held(_ group: CoordinatorGroup) throws -> HeldGossipKeys { try #require(try ring(group).held) }

    private func node(_ name: String, in group: CoordinatorGroup) throws -> NodeDescriptor {
        let id = try NodeID(name)
        return try #require(try topology(group).nodes[id])
    }

    private func behind(_ group: CoordinatorGroup) throws -> [String] {
        let leader = try #require(group.leader)
        return group.members[leader]?.membersBehindOnGossipKeys(at: group.now).map(\.name) ?? []
    }

    /// What an agent reports through one of the coordinators.
    private func report(
        _ name: String, _ held: HeldGossipKeys?, session: SessionID? = nil, to member: MemberID,
        in group: inout CoordinatorGroup
    ) throws {
        let session = try session ?? node(name, in: group).session
        group.step(
            .loadReported(
                NodeReport(
                    node: try NodeID(name), session: session, revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
                    replicationLag: .zero, engine: .healthy, partitions: [], operations: [], gossipKeys: held)), at: member)
        group.deliver()
    }

    /// Every coordinator, and of the agents those named, do as the record says.
    private func follow(_ agents: [String], in group: inout CoordinatorGroup) throws {
        let held = try self.held(group)
        for name in group.names { group.step(.gossipKeysHeld(held), at: name) }
        group.deliver()
        let leader = try #require(group.leader)
        for agent in agents { try report(agent, held, to: leader, in: &group) }
        group.run(.milliseconds(300))
    }

    /// A group with its seed, two agents, and a rotation that has begun.
    private func rotating() throws -> CoordinatorGroup {
        var group = try CoordinatorGroup(gossipSeed: Self.seed)
        for (name, zone) in [("n1", "a"), ("n2", "b")] {
            _ = try group.commit(
                .registerNode(CoordinatorGroup.registration(name, zone: zone)), as: "register-\(name)", at: group.names[0])
        }
        _ = try group.commit(.rotateGossipKey(Self.secret(2)), as: "rotate", at: group.names[1])
        #expect(try ring(group).rotation != nil)
        return group
    }

    @Test("the leader makes its file's ring the record, once, and a group without one has none")
    func seeds() throws {
        var group = try CoordinatorGroup(gossipSeed: Self.seed)
        #expect(try ring(group).keys.map(\.secret) == Self.seed.keys.map(\.secret))
        let version = try ring(group).version
        group.down.insert(try #require(group.leader))
        group.run(.seconds(1))
        #expect(try ring(group).version == version)
        let without = try CoordinatorGroup()
        #expect(without.topology(of: without.names[0]).gossipKeys == nil)
    }

    @Test("each step waits for every live member, agent and coordinator, and names those that lag")
    func waits() throws {
        var group = try rotating()
        for step in GossipRotation.Step.allCases {
            group.run(.seconds(1))
            #expect(try ring(group).rotation?.step == step)
            #expect(try behind(group) == ["c1", "c2", "c3", "n1", "n2"])
            try follow(["n1"], in: &group)
            #expect(try ring(group).rotation?.step == step)
            #expect(try behind(group) == ["n2"])
            try report("n2", try ring(group).held, to: group.names[2], in: &group)
            group.run(.milliseconds(300))
        }
        #expect(try ring(group).rotation == nil)
        #expect(try ring(group).held == HeldGossipKeys(ids: [Self.secret(2).id], primary: Self.secret(2).id))
    }

    @Test("a coordinator that has not followed holds the rotation up as an agent does")
    func coordinatorLags() throws {
        var group = try rotating()
        let held = try self.held(group)
        let late = try #require(group.follower)
        for agent in ["n1", "n2"] { try report(agent, held, to: group.names[0], in: &group) }
        for name in group.names where name != late { group.step(.gossipKeysHeld(held), at: name) }
        group.run(.seconds(1))
        #expect(try ring(group).rotation?.step == .install)
        #expect(try behind(group) == [late.node.name])
        group.step(.gossipKeysHeld(held), at: late)
        group.run(.milliseconds(300))
        #expect(try ring(group).rotation?.step == .use)
    }

    @Test("nobody waits for a node that failed, nor for a coordinator that is gone; back, they count again")
    func dead() throws {
        var group = try rotating()
        let gone = try #require(group.follower)
        let session = try node("n2", in: group).session
        let witnesses = [
            Witness(id: try NodeID("c1"), zone: try ZoneName("z1")), Witness(id: try NodeID("n1"), zone: try ZoneName("a")),
        ]
        let leader = try #require(group.leader)
        _ = try group.commit(
            .nodeFailed(try NodeID("n2"), session: session, witnesses: witnesses), as: "failed", at: leader)
        group.down.insert(gone)
        group.run(.seconds(1))
        try follow(["n1"], in: &group)
        #expect(try ring(group).rotation?.step == .use)
        _ = try group.commit(
            .registerNode(
                NodeRegistration(
                    node: try NodeID("n2"), store: try node("n2", in: group).store, generation: Generation(2),
                    zone: try ZoneName("b"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"))),
            as: "again", at: leader)
        group.down.remove(gone)
        group.run(.seconds(1))
        try follow(["n1"], in: &group)
        #expect(try behind(group) == ["n2"])
        // What its former life held says nothing.
        try report("n2", try ring(group).held, session: session, to: leader, in: &group)
        group.run(.milliseconds(300))
        #expect(try ring(group).rotation?.step == .use)
        try follow(["n2"], in: &group)
        #expect(try ring(group).rotation?.step == .remove)
    }

    @Test("a rotation goes on under another leader, which hears for itself who has followed")
    func newLeader() throws {
        var group = try rotating()
        let held = try self.held(group)
        let first = try #require(group.leader)
        for name in group.names { group.step(.gossipKeysHeld(held), at: name) }
        try report("n1", held, to: first, in: &group)
        group.deliver()
        group.down.insert(first)
        // Whatever the others were told before they are told again: nothing but the log and the members' own words counts.
        for name in group.names where name != first { try group.restart(name) }
        group.run(.seconds(2))
        #expect(try ring(group).rotation?.step == .install)
        for name in group.names where name != first { group.step(.gossipKeysHeld(held), at: name) }
        let second = try #require(group.leader)
        for agent in ["n1", "n2"] { try report(agent, held, to: second, in: &group) }
        group.run(.milliseconds(300))
        #expect(try ring(group).rotation?.step == .use)
    }

    @Test("while keys are exchanged the coordinators repeat what they hold, and say nothing of it otherwise")
    func repeats() throws {
        var group = try CoordinatorGroup(gossipSeed: Self.seed)
        let held = try self.held(group)
        for name in group.names { group.step(.gossipKeysHeld(held), at: name) }
        group.deliver()
        func told(_ group: inout CoordinatorGroup) -> Int {
            var count = 0
            for _ in 0..<300 {
                group.now = group.now + .milliseconds(5)
                for name in group.names where (group.members[name]?.nextDeadline ?? .origin) <= group.now {
                    group.step(.tick, at: name)
                }
                count += group.wire.count { if case .gossipKeysHeld = $0.message { true } else { false } }
                group.deliver()
            }
            return count
        }
        #expect(told(&group) == 0)
        _ = try group.commit(.rotateGossipKey(Self.secret(2)), as: "rotate", at: group.names[0])
        #expect(told(&group) >= 6)
    }
}
