import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

@Suite("who belongs to the group")
struct GroupMembersTests {
    private static func configuration(_ group: CoordinatorGroup) -> MemberConfiguration? {
        group.leader.flatMap { group.members[$0]?.raft.configuration }
    }

    /// A group to which a coordinator was declared, and has come.
    private static func grown() throws -> (group: CoordinatorGroup, leader: MemberID, newcomer: MemberID) {
        var group = try CoordinatorGroup()
        let newcomer = MemberID(try NodeID("c4"), store: StoreID(4))
        let leader = try #require(group.leader)
        try group.declare(newcomer.node, as: "declare", at: leader)
        try group.start(newcomer)
        group.run(.seconds(2))
        return (group, leader, newcomer)
    }

    @Test("a node that comes with an empty disk takes its own place by itself, having asked whomever it reached")
    func wipedStore() throws {
        var group = try CoordinatorGroup()
        let old = try #require(group.follower)
        let fresh = MemberID(old.node, store: StoreID(0xF2))
        group.down.insert(old)
        try group.start(fresh)
        group.run(.seconds(3))
        let configuration = try #require(Self.configuration(group))
        #expect(configuration.voters.contains(fresh) && !configuration.members.contains(old))
        #expect(!configuration.isJoint && configuration.learners.isEmpty)
    }

    @Test("who is asked to let somebody in tells the leader; what he was told by another he tells nobody")
    func passedOn() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let old = try #require(group.follower)
        let other = try #require(group.names.first { $0 != leader && $0 != old })
        let fresh = MemberID(old.node, store: StoreID(0xF2))
        group.down.insert(old)
        group.deliver()
        group.step(.received(.waiting(fresh), from: leader), at: other)
        #expect(group.wire.isEmpty)
        group.step(.received(.waiting(fresh), from: fresh), at: other)
        group.run(.milliseconds(500))
        #expect(Self.configuration(group)?.learners == [fresh])
    }

    @Test("a store of a node that nobody wants is not let in, however often it asks")
    func stranger() throws {
        var group = try CoordinatorGroup()
        let stranger = MemberID(try NodeID("c9"), store: StoreID(9))
        try group.start(stranger)
        group.run(.seconds(3))
        #expect(Self.configuration(group)?.members.contains(stranger) == false)
    }

    @Test(
        "a declared coordinator becomes a learner when it comes, votes when it is promoted, and stays away when it is removed")
    func growth() throws {
        var (group, leader, newcomer) = try Self.grown()
        #expect(Self.configuration(group)?.learners == [newcomer])
        group.step(.changeMembers([.promote(newcomer)], caller: 1), at: leader)
        group.run(.milliseconds(200))
        #expect(group.groupOutcomes[1] == .done)
        #expect(Self.configuration(group)?.voters.contains(newcomer) == true)
        _ = try group.commit(.dismissCoordinator(newcomer.node), as: "dismiss", at: leader)
        group.step(.changeMembers([.remove(newcomer)], caller: 2), at: leader)
        group.run(.seconds(3))
        #expect(group.groupOutcomes[2] == .done)
        #expect(Self.configuration(group)?.members.contains(newcomer) == false)
        #expect(group.members[leader]?.catalog.coordinators.isEmpty == true)
    }

    @Test("a node that was removed can be declared anew, and be removed again")
    func comesAgain() throws {
        var (group, leader, member) = try Self.grown()
        for round: UInt64 in 1...2 {
            _ = try group.commit(.dismissCoordinator(member.node), as: "dismiss-\(round)", at: leader)
            group.step(.changeMembers([.remove(member)], caller: round), at: leader)
            group.run(.seconds(2))
            #expect(Self.configuration(group)?.members.contains { $0.node == member.node } == false)
            #expect(group.members[leader]?.catalog.coordinators.isEmpty == true, "after round \(round)")
            guard round == 1 else { break }
            group.down.insert(member)
            try group.declare(member.node, as: "declare-again", at: leader)
            member = MemberID(member.node, store: StoreID(5))
            try group.start(member)
            group.run(.seconds(2))
            #expect(Self.configuration(group)?.learners == [member])
        }
    }

    @Test("a node that was removed while nobody reached it is let in again when it is declared anew")
    func removedUnheard() throws {
        var (group, leader, newcomer) = try Self.grown()
        group.down.insert(newcomer)
        _ = try group.commit(.dismissCoordinator(newcomer.node), as: "dismiss", at: leader)
        group.step(.changeMembers([.remove(newcomer)], caller: 1), at: leader)
        group.run(.seconds(2))
        group.down.remove(newcomer)
        group.run(.seconds(1))
        #expect(group.members[newcomer]?.raft.isMember == true, "it has heard of its removal: the test shows nothing")
        try group.declare(newcomer.node, as: "declare-again", at: leader)
        group.run(.seconds(10))
        #expect(Self.configuration(group)?.learners == [newcomer])
    }

    @Test("where a coordinator is reached stays known until it is out: the others may need its word to be rid of it")
    func removalNeedsTheRemoved() throws {
        var (group, leader, newcomer) = try Self.grown()
        group.step(.changeMembers([.promote(newcomer)], caller: 1), at: leader)
        group.run(.milliseconds(200))
        group.down.insert(try #require(group.names.first { $0 != leader && $0 != newcomer }))
        _ = try group.commit(.dismissCoordinator(newcomer.node), as: "dismiss", at: leader)
        #expect(group.members[leader]?.catalog.coordinators[newcomer.node]?.isLeaving == true)
        group.step(.changeMembers([.remove(newcomer)], caller: 2), at: leader)
        group.run(.seconds(3))
        #expect(group.groupOutcomes[2] == .done)
        #expect(group.members[leader]?.catalog.coordinators.isEmpty == true)
    }
}

extension CoordinatorGroup {
    fileprivate mutating func declare(_ node: NodeID, as request: String, at leader: MemberID) throws {
        let addresses = NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3")
        let declared = CoordinatorDescriptor(node: node, zone: try ZoneName("a"), addresses: addresses)
        _ = try commit(.declareCoordinator(declared), as: request, at: leader)
    }
}
