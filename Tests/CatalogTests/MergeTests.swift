import Catalog
import Model
import Testing

@Suite struct MergeTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n3: NodeID
    private let n4: NodeID

    init() throws { (n1, n2, n3, n4) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3"), try NodeID("n4")) }

    /// Three nodes and a spare one, and the two halves of a split.
    private func halves() throws -> (world: World, left: PartitionDescriptor, right: PartitionDescriptor) {
        var world = World()
        try world.start(nodes: 4)
        let parent = try world.makeTable()
        try split(&world, parent.id, at: 50)
        let children = world.topology.partitions(of: parent.table)
        return (world, children[0], children[1])
    }

    private func split(_ world: inout World, _ id: PartitionID, at key: UInt8) throws {
        let parent = try #require(world.topology.partitions[id])
        try world.run(.beginSplit(id, at: Key([key]), expecting: parent.epoch))
        let operation = try #require(world.topology.partitions[id]?.operation)
        try world.propose(
            .commitSplit(
                id, operation: operation, at: Position(epoch: parent.epoch, run: 1, sequence: 17), checksum: 9,
                inSync: parent.inSync, expecting: parent.epoch), from: try #require(parent.primary))
    }

    private func begin(
        _ world: inout World, _ left: PartitionDescriptor, _ right: PartitionDescriptor
    ) throws -> CommandResult {
        try world.run(
            .beginMerge(
                left.id, expecting: world.topology.partitions[left.id]?.epoch ?? left.epoch, with: right.id,
                at: world.topology.partitions[right.id]?.epoch ?? right.epoch))
    }

    private func end(_ partition: PartitionDescriptor, run: UInt64, sequence: UInt64) -> PartitionEnd {
        PartitionEnd(
            partition: partition.id, at: Position(epoch: partition.epoch, run: run, sequence: sequence), checksum: 7,
            expecting: partition.epoch)
    }

    @Test("a merge replaces two neighbours by one in one entry, behind the ends of both, on the same storages (M2, M8)")
    func merges() throws {
        var (world, left, right) = try halves()
        // The right one has been led by others since: it is further on in epochs, the left one in its sequence.
        for target in [n2, n1] {
            let now = try #require(world.topology.partitions[right.id])
            try world.run(.beginTransfer(right.id, to: target, session: world.session(target), expecting: now.epoch))
            let operation = try #require(world.topology.partitions[right.id]?.operation)
            let store = try #require(now.replica(on: target)?.store)
            try world.propose(
                .switchPrimary(right.id, to: target, store: store, operation: operation, expecting: now.epoch),
                from: try #require(now.primary))
        }
        right = try #require(world.topology.partitions[right.id])
        #expect(right.epoch == Epoch(4) && left.epoch == Epoch(2))
        #expect(try begin(&world, left, right).isAccepted)
        let operation = try #require(world.topology.partitions[left.id]?.operation)
        #expect(world.topology.partitions[right.id]?.operation == operation)
        #expect(world.topology.partitions[left.id]?.epoch == left.epoch, "nothing has changed hands yet")
        let ends = (end(left, run: 9, sequence: 80), end(right, run: 3, sequence: 20))
        let commit = PartitionProposal.commitMerge(operation, left: ends.0, right: ends.1, inSync: [n1, n2, n3])
        #expect(try world.propose(commit, from: n2).refusal == .notPrimary)
        let fewer = PartitionProposal.commitMerge(operation, left: ends.0, right: ends.1, inSync: [n1, n2])
        #expect(try world.propose(fewer, from: n1).refusal == .notInSync)
        let turned = PartitionProposal.commitMerge(operation, left: ends.1, right: ends.0, inSync: [n1, n2, n3])
        #expect(try world.propose(turned, from: n1).refusal == .wrongOperation)
        #expect(try world.propose(commit, from: n1).isAccepted)

        let merged = try #require(world.topology.partitions(of: left.table).first)
        #expect(world.topology.partitions.count == 1 && merged.range == .all)
        #expect(merged.epoch == Epoch(5) && merged.primary == n1 && merged.replicas == left.replicas)
        #expect(merged.origin == Position(epoch: Epoch(4), run: 9, sequence: 80))
        #expect(
            merged.parents == [
                MergedPartition(partition: left.id, end: ends.0.at), MergedPartition(partition: right.id, end: ends.1.at),
            ])
        #expect(world.topology.retired[left.id] == RetiredPartition(id: left.id, epoch: Epoch(3), children: [merged.id]))
        #expect(world.topology.retired[right.id] == RetiredPartition(id: right.id, epoch: Epoch(5), children: [merged.id]))
        #expect(world.topology.operations[operation]?.phase == .succeeded)
        #expect(Invariants.violations(in: world.topology) == [])
        #expect(try world.propose(.evict(left.id, node: n2, expecting: left.epoch), from: n1).refusal == .partitionRetired)
    }

    @Test("what does not meet, share nodes, storages or a primary, or is quiet, is not merged, and each refusal says why")
    func refusals() throws {
        var (world, left, right) = try halves()
        try world.run(.createTable(try world.creation("u", on: [[n1, n2, n3]])))
        #expect(try begin(&world, right, left).refusal == .notNeighbours)
        #expect(try begin(&world, left, left).refusal == .notNeighbours)
        for (one, other) in [(Epoch(1), right.epoch), (left.epoch, Epoch(1))] {
            let old = Command.beginMerge(left.id, expecting: one, with: right.id, at: other)
            #expect(try world.run(old).refusal == .staleEpoch)
        }

        var other = world
        try other.run(.beginTransfer(right.id, to: n2, session: other.session(n2), expecting: right.epoch))
        #expect(try begin(&other, left, right).refusal == .partitionBusy)
        let transfer = try #require(other.topology.partitions[right.id]?.operation)
        try other.propose(
            .switchPrimary(right.id, to: n2, store: StoreID(200), operation: transfer, expecting: right.epoch), from: n1)
        #expect(try begin(&other, left, right).refusal == .primariesDiffer)

        other = world
        try other.propose(.evict(right.id, node: n3, expecting: right.epoch), from: n1)
        #expect(try begin(&other, left, right).refusal == .learnersPresent)

        // A copy that has been moved away, and back, has a storage of its own.
        try move(&world, right.id, from: n3, to: n4)
        #expect(try begin(&world, left, right).refusal == .replicasDiffer)
        try move(&world, right.id, from: n4, to: n3)
        #expect(try begin(&world, left, right).refusal == .storagesDiffer)
    }

    private func move(_ world: inout World, _ id: PartitionID, from source: NodeID, to target: NodeID) throws {
        func partition() throws -> PartitionDescriptor { try #require(world.topology.partitions[id]) }
        let store = try #require(world.topology.nodes[target]?.store)
        try world.run(
            .beginMove(
                MovePlan(
                    partition: id, source: source, target: NodeSession(node: target, session: world.session(target)),
                    epoch: try partition().epoch)))
        let operation = try #require(try partition().operation)
        try world.propose(.joinInSync(id, node: target, store: store, expecting: try partition().epoch), from: n1)
        try world.propose(.removeReplica(id, node: source, operation: operation, expecting: try partition().epoch), from: n1)
        let cleanup = try #require(world.topology.operations[operation]?.cleanups.first)
        try world.propose(.cleaned(operation, cleanup), from: source)
    }

    @Test("the end of a merge before its switch raises both epochs and frees both (M3, M4, F2)", arguments: 0..<5)
    func aborts(way: Int) throws {
        var (world, left, right) = try halves()
        #expect(try begin(&world, left, right).isAccepted)
        let operation = try #require(world.topology.partitions[left.id]?.operation)
        let commit = PartitionProposal.commitMerge(
            operation, left: end(left, run: 1, sequence: 20), right: end(right, run: 1, sequence: 30), inSync: [n1, n2, n3])
        switch way {
        case 0: try world.propose(.abort(operation, partition: left.id, reason: "late", expecting: left.epoch), from: n1)
        case 1: try world.propose(.abort(operation, partition: right.id, reason: "late", expecting: right.epoch), from: n1)
        case 2: try world.run(.abortOperation(operation, reason: "changed my mind"))
        case 3: try world.propose(.evict(right.id, node: n3, expecting: right.epoch), from: n1)
        default: #expect(try world.fail(n1).isAccepted)
        }
        #expect(world.topology.operations[operation]?.phase == .aborted)
        for half in [left, right] {
            let now = try #require(world.topology.partitions[half.id])
            #expect(now.operation == nil && now.epoch == half.epoch.next, "\(half.id)")
        }
        #expect(Invariants.violations(in: world.topology) == [])
        #expect(try !world.propose(commit, from: n1).isAccepted, "of switch and abort the first counts")
        #expect(world.topology.partitions.count == 2)
    }

    @Test("a merge that is under way keeps other operations from both partitions, and stands still while it is paused")
    func excludes() throws {
        var (world, left, right) = try halves()
        #expect(try begin(&world, left, right).isAccepted)
        let operation = try #require(world.topology.partitions[left.id]?.operation)
        for half in [left, right] {
            #expect(try world.run(.beginSplit(half.id, at: Key([70]), expecting: half.epoch)).refusal == .partitionBusy)
        }
        #expect(try begin(&world, left, right).refusal == .partitionBusy)
        #expect(try world.run(.pauseOperation(operation)).isAccepted)
        #expect(world.topology.operations[operation]?.pause != nil)
        #expect(try world.run(.resumeOperation(operation)).isAccepted)
    }
}
