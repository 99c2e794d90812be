import Catalog
import Model
import Testing

@Suite struct OrphanTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n3: NodeID
    private let n4: NodeID

    init() throws { (n1, n2, n3, n4) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3"), try NodeID("n4")) }

    private func removal(_ world: World, on node: NodeID, of id: PartitionID, epoch: UInt64, in storage: UInt64 = 9) -> Command
    {
        .removeOrphan(
            OrphanRemoval(
                node: NodeSession(node: node, session: world.session(node)),
                held: StrayReplica(partition: id, storage: StorageID(storage), epoch: Epoch(epoch), isBeingRemoved: false)))
    }

    @Test("a copy that nothing places there is recorded for removal by its node, once, and is done with when that is done")
    func recordsRemoval() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        guard case .accepted(.operation(let made)) = try world.run(removal(world, on: n4, of: id, epoch: 1)) else {
            Issue.record("refused")
            return
        }
        let operation = try #require(world.topology.operations[made])
        let cleanup = Cleanup(node: n4, storage: StorageID(9), partition: id)
        #expect(operation.kind == .removeOrphan(partition: id, node: n4) && operation.cleanups == [cleanup])
        #expect(operation.phase == .running && world.topology.partitions[id]?.operation == nil)
        #expect(try world.run(removal(world, on: n4, of: id, epoch: 1)).refusal == .cleanupPending)
        // It is no operation of the partition's: nothing to cancel or to pause, and nothing waits for it but a copy to that node.
        #expect(try world.run(.abortOperation(made, reason: "no")).refusal == .wrongOperation)
        #expect(try world.run(.pauseOperation(made)).refusal == .wrongOperation)
        try world.propose(.cleaned(made, cleanup), from: n4)
        #expect(world.topology.operations[made]?.phase == .succeeded)
    }

    @Test("a copy in its place, one of a later epoch than is known, and one seen by an earlier process stay where they are")
    func refuses() throws {
        var world = World()
        try world.start(nodes: 4)
        let partition = try world.makeTable()
        // Whatever storage is named: the node has a place in the descriptor.
        for storage in [partition.replicas[0].storage.number, 9] {
            let held = removal(world, on: n1, of: partition.id, epoch: 1, in: storage)
            #expect(try world.run(held).refusal == .alreadyReplica)
        }
        #expect(try world.run(removal(world, on: n4, of: partition.id, epoch: 2)).refusal == .staleEpoch)
        let old = removal(world, on: n4, of: partition.id, epoch: 1)
        try world.start(node: 4, generation: 2)
        #expect(try world.run(old).refusal == .stalePlan)
    }

    @Test("a partition of which nothing is known may be removed, but not one whose number this log has yet to come to")
    func unknown() throws {
        var world = World()
        try world.start(nodes: 4)
        let past = PartitionID(madeAt: 2, ordinal: 7)
        #expect(try world.run(removal(world, on: n4, of: past, epoch: 30)).isAccepted)
        let future = PartitionID(madeAt: 1_000, ordinal: 0)
        #expect(try world.run(removal(world, on: n4, of: future, epoch: 1)).refusal == .staleEpoch)
    }

    @Test("what a split's children are yet to be installed out of is wanted, until they have moved away")
    func parents() throws {
        var world = World()
        try world.start(nodes: 4)
        let parent = try world.makeTable()
        let storage = try #require(parent.replica(on: n2)?.storage)
        try world.run(.beginSplit(parent.id, at: Key([50]), expecting: parent.epoch))
        let operation = try #require(world.topology.partitions[parent.id]?.operation)
        try world.propose(
            .commitSplit(
                parent.id, operation: operation, at: Position(epoch: parent.epoch, run: 1, sequence: 17), checksum: 9,
                inSync: [n1, n2, n3], expecting: parent.epoch), from: n1)
        let held = removal(world, on: n2, of: parent.id, epoch: 1, in: storage.number)
        #expect(try world.run(held).refusal == .alreadyReplica)
        // In another storage nothing can come of it.
        #expect(try world.run(removal(world, on: n2, of: parent.id, epoch: 1, in: 9)).isAccepted)
    }
}
