import Catalog
import Model
import Testing

/// An operator's last resort (rule R6).
@Suite struct ForcedPromotionTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n3: NodeID

    init() throws { (n1, n2, n3) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3")) }

    private func partition(_ world: World, _ id: PartitionID) throws -> PartitionDescriptor {
        try #require(world.topology.partitions[id])
    }

    /// n2 and n3 have left the in-sync set, n2 for a moment only; n1, the last member, has failed, and n3 with it.
    private func lost() throws -> (World, PartitionID) {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        for node in [n2, n3, n1] { #expect(try world.fail(node).isAccepted) }
        try world.start(node: 2, generation: 2)
        #expect(try partition(world, id).primary == nil)
        return (world, id)
    }

    private func force(
        _ world: inout World, _ id: PartitionID, to target: NodeID, lost: [NodeID], session: SessionID? = nil,
        epoch: Epoch? = nil
    ) throws -> CommandResult {
        let seen = NodeSession(node: target, session: session ?? world.session(target))
        let before = world.topology
        let result = try world.run(
            .forcePromotion(
                ForcedPromotion(
                    partition: id, target: seen, lost: lost, epoch: try epoch ?? partition(world, id).epoch)))
        #expect(Invariants.violations(in: world.topology) == [])
        #expect(Invariants.violations(from: before, to: world.topology) == [])
        if !result.isAccepted { #expect(world.topology == before) }
        return result
    }

    @Test("who is forced into the lead is the only copy that is left, one epoch up, and the descriptor says so")
    func forced() throws {
        var (world, id) = try lost()
        let before = try partition(world, id)
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
        let after = try partition(world, id)
        #expect(after.primary == n2 && after.inSync == [n2] && after.learners == [])
        #expect(after.epoch == before.epoch.next && after.forcedAt == after.epoch)
        #expect(after.replica(on: n2)?.storage == before.replica(on: n2)?.storage)
        #expect(world.state.audit.tail.last?.command == "force-promotion")
        #expect(world.state.audit.tail.last?.subject == "partitions/\(id)/primary/n2/lost/n1")
        #expect(world.state.audit.tail.last?.actor.name == "operator/ada")
    }

    @Test("a node that was given up, and comes back, leads nothing and is in no descriptor; it may be decommissioned")
    func lateReturn() throws {
        var (world, id) = try lost()
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
        let forced = try partition(world, id)
        try world.start(node: 1, generation: 2)
        #expect(try partition(world, id) == forced)
        #expect(try world.run(.decommission(n3)).isAccepted)
        #expect(try world.run(.decommission(n1)).isAccepted)
    }

    @Test("as long as a member is there that holds everything, nothing is given up")
    func memberRemains() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        try world.propose(.evict(id, node: n2, expecting: try partition(world, id).epoch), from: n1)
        #expect(try force(&world, id, to: n2, lost: [n1, n3]).refusal == .inSyncMemberRemains)
        for node in [n3, n1] { #expect(try world.fail(node).isAccepted) }
        // Its process lives, and vouches for nothing: a damaged copy may still be all that there is.
        try world.start(node: 1, generation: 2, intact: false)
        #expect(try partition(world, id).primary == nil)
        #expect(try force(&world, id, to: n2, lost: [n1]).refusal == .inSyncMemberRemains)
    }

    @Test("a last member whose node came back with another data folder is lost")
    func otherStore() throws {
        var (world, id) = try lost()
        try world.start(node: 1, store: 777, generation: 1)
        #expect(try partition(world, id).primary == nil)
        #expect(try force(&world, id, to: n1, lost: [n1]).refusal == .storeMismatch)
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
    }

    @Test("what is given up is named whole, and nothing else")
    func lostDiffer() throws {
        var (world, id) = try lost()
        for lost in [[], [n3], [n1, n3]] {
            #expect(try force(&world, id, to: n2, lost: lost).refusal == .lostDiffer)
        }
    }

    @Test("what was seen in an earlier epoch is refused: the last member has been there since")
    func staleEpoch() throws {
        var (world, id) = try lost()
        let seen = try partition(world, id).epoch
        try world.start(node: 1, generation: 2)
        #expect(try world.fail(n1).isAccepted)
        #expect(try force(&world, id, to: n2, lost: [n1], epoch: seen).refusal == .staleEpoch)
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
    }

    @Test("nobody is forced into the lead without a copy, without its disk, in another session, or while failed")
    func targets() throws {
        var (world, id) = try lost()
        #expect(try force(&world, id, to: try NodeID("n9"), lost: [n1]).refusal == .nodeNotFound)
        #expect(try force(&world, id, to: try NodeID("n4"), lost: [n1]).refusal == .notAReplica)
        #expect(try force(&world, id, to: n3, lost: [n1]).refusal == .nodeUnavailable)
        #expect(try force(&world, id, to: n2, lost: [n1], session: SessionID(1)).refusal == .stalePlan)
        #expect(try force(&world, id, to: n1, lost: [n1]).refusal == .nodeUnavailable)
    }

    @Test("a partition that is being dropped is not forced")
    func dropped() throws {
        var (world, id) = try lost()
        try world.run(.dropTable(try RelationName("t")))
        #expect(try force(&world, id, to: n2, lost: [n1]).refusal == .tableNotActive)
    }

    @Test("a node that is to be drained may be all that is left")
    func draining() throws {
        var (world, id) = try lost()
        try world.run(.drain(n2))
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
    }

    @Test("who forces twice gives up twice: the second time another set is named")
    func twice() throws {
        var (world, id) = try lost()
        #expect(try force(&world, id, to: n2, lost: [n1]).isAccepted)
        #expect(try force(&world, id, to: n2, lost: [n1]).refusal == .lostDiffer)
        #expect(try force(&world, id, to: n2, lost: [n2]).refusal == .inSyncMemberRemains)
    }
}
