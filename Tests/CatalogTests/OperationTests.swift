import Catalog
import Model
import Testing

@Suite struct OperationTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n3: NodeID
    private let n4: NodeID

    init() throws { (n1, n2, n3, n4) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3"), try NodeID("n4")) }

    private func partition(_ world: World, _ id: PartitionID) throws -> PartitionDescriptor {
        try #require(world.topology.partitions[id])
    }

    private func begin(_ world: inout World, _ id: PartitionID, from source: NodeID?) throws -> OperationDescriptor {
        let epoch = try partition(world, id).epoch
        let target = NodeSession(node: n4, session: world.session(n4))
        guard
            case .accepted(.operation(let operation)) = try world.run(
                .beginMove(MovePlan(partition: id, source: source, target: target, epoch: epoch)))
        else { throw InvalidValue(field: "move", detail: "refused") }
        return try #require(world.topology.operations[operation])
    }

    @Test("a table is creating until the last of its replicas is ready, and then active with all its partitions")
    func createsTable() throws {
        var world = World()
        try world.start(nodes: 3)
        try world.run(.createTable(try world.creation("t", splitAt: [50], on: [[n1, n2, n3], [n2, n1, n3]])))
        let partitions = world.topology.partitions.values.sorted { $0.id < $1.id }
        #expect(partitions.map(\.primary) == [n1, n2])
        let pairs = partitions.flatMap { partition in partition.inSync.map { (partition.id, $0) } }
        for (place, pair) in pairs.enumerated() {
            #expect(world.topology.tables.values.first?.status == .creating)
            #expect(world.state.awaitedReplicas(of: partitions[0].table) == pairs.count - place)
            try world.propose(.replicaReady(pair.0, expecting: Epoch(1)), from: pair.1)
        }
        #expect(world.topology.tables.values.first?.status == .active)
        #expect(world.topology.partitions.values.allSatisfy { $0.status == .active && $0.epoch == Epoch(1) })
        #expect(world.topology.operations.values.first?.phase == .succeeded)
    }

    @Test("a plan made before a node started again makes no table (M7)")
    func stalePlan() throws {
        var world = World()
        try world.start(nodes: 3)
        let creation = try world.creation("t", on: [[n1, n2, n3]])
        try world.start(node: 2, generation: 2)
        #expect(try world.run(.createTable(creation)).refusal == .stalePlan)
        #expect(world.topology.tables.isEmpty)
    }

    @Test(
        "a move of the primary goes learner, in sync, primary, source dropped, cleaned; each step raises the epoch once (M2, E1)"
    )
    func movesPrimary() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1)
        #expect(operation.cleanups.map(\.node) == [n4])
        #expect(try partition(world, id).learners == [n4])
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1)
        #expect(world.topology.operations[operation.id]?.step == .handOver)
        #expect(world.topology.operations[operation.id]?.cleanups == [])
        try world.propose(
            .switchPrimary(id, to: n4, store: StoreID(400), operation: operation.id, expecting: Epoch(3)), from: n1)
        #expect(try world.run(.abortOperation(operation.id, reason: "too late")).refusal == .pastSwitch)
        try world.propose(.removeReplica(id, node: n1, operation: operation.id, expecting: Epoch(4)), from: n4)
        let moved = try partition(world, id)
        #expect(moved.epoch == Epoch(5) && moved.primary == n4 && moved.inSync == [n2, n3, n4] && moved.operation == nil)
        let dropping = try #require(world.topology.operations[operation.id])
        #expect(dropping.step == .dropSource && dropping.phase == .running)
        try world.propose(.cleaned(operation.id, try #require(dropping.cleanups.first)), from: n1)
        #expect(world.topology.operations[operation.id]?.phase == .succeeded)
    }

    @Test("an aborted move leaves the old holders, a higher epoch, and a cleanup until it is done (M3)")
    func abortsMove() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1)
        try world.propose(.abort(operation.id, partition: id, reason: "disk full", expecting: Epoch(2)), from: n4)
        let after = try partition(world, id)
        #expect(after.inSync == [n1, n2, n3] && after.learners.isEmpty && after.epoch == Epoch(3) && after.operation == nil)
        let ended = try #require(world.topology.operations[operation.id])
        #expect(ended.phase == .aborted && ended.failure == "disk full" && ended.cleanups.count == 1)
        let again = MovePlan(
            partition: id, source: n1, target: NodeSession(node: n4, session: world.session(n4)), epoch: after.epoch)
        #expect(try world.run(.beginMove(again)).refusal == .cleanupPending)
        try world.propose(.cleaned(operation.id, ended.cleanups[0]), from: n4)
        #expect(try world.run(.beginMove(again)).isAccepted)
    }

    @Test("a split replaces a partition by two halves in one entry, on the same storages (M2, M8)")
    func splits() throws {
        var world = World()
        try world.start(nodes: 3)
        let parent = try world.makeTable()
        try world.run(.beginSplit(parent.id, at: Key([50]), expecting: parent.epoch))
        let operation = try #require(try partition(world, parent.id).operation)
        let at = Position(epoch: parent.epoch, run: 1, sequence: 17)
        let wrong = PartitionProposal.commitSplit(
            parent.id, operation: operation, at: at, checksum: 9, inSync: [n1, n2], expecting: parent.epoch)
        #expect(try world.propose(wrong, from: n1).refusal == .notInSync)
        try world.propose(
            .commitSplit(
                parent.id, operation: operation, at: at, checksum: 9, inSync: [n1, n2, n3], expecting: parent.epoch), from: n1)
        let children = world.topology.partitions(of: parent.table)
        #expect(children.map(\.range) == [KeyRange(low: .least, high: Key([50])), KeyRange(low: Key([50]), high: nil)])
        #expect(children.allSatisfy { $0.epoch == parent.epoch.next && $0.origin == at && $0.originChecksum == 9 })
        #expect(children.allSatisfy { $0.replicas == parent.replicas && $0.primary == n1 })
        #expect(world.topology.retired[parent.id]?.children == children.map(\.id))
        let late = try world.propose(.evict(parent.id, node: n2, expecting: parent.epoch), from: n1)
        #expect(late.refusal == .partitionRetired)
    }

    @Test("of switch and abort, the first in the log wins and the other is refused (M4)")
    func abortBeatsSwitch() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        try world.run(.beginTransfer(id, to: n2, session: world.session(n2), expecting: Epoch(1)))
        let operation = try #require(try partition(world, id).operation)
        try world.propose(.abort(operation, partition: id, reason: "fence too long", expecting: Epoch(1)), from: n1)
        let late = PartitionProposal.switchPrimary(
            id, to: n2, store: StoreID(200), operation: operation, expecting: Epoch(1))
        #expect(try world.propose(late, from: n1).refusal == .staleEpoch)
        #expect(try partition(world, id).primary == n1)
    }

    @Test("a dropped table goes when every node in reach has removed its data; a failed one is not waited for")
    func dropsTable() throws {
        var world = World()
        try world.start(nodes: 3)
        let made = try world.makeTable()
        try world.run(.dropTable(try RelationName("t")))
        let operation = try #require(world.topology.operations.values.first { $0.kind == .dropTable(made.table) })
        #expect(try partition(world, made.id).epoch == Epoch(2))
        try world.propose(.cleaned(operation.id, operation.cleanups[0]), from: n1)
        try world.propose(.cleaned(operation.id, operation.cleanups[1]), from: n2)
        #expect(world.topology.tables[made.table]?.status == .deleting)
        #expect(try world.fail(n3).isAccepted)
        #expect(world.topology.tables.isEmpty && world.topology.partitions.isEmpty)
        #expect(world.topology.operations[operation.id]?.cleanups.map(\.node) == [n3])
    }

    @Test("the first answer is given again under its request id; another request under it is refused (C5)")
    func repeatsAnswers() throws {
        var world = World()
        try world.start(nodes: 3)
        let creation = try world.creation("t", on: [[n1, n2, n3]])
        let first = world.apply(try world.entry(.createTable(creation), as: "key", fingerprint: [1]))
        #expect(first.delta != nil)
        let again = world.apply(try world.entry(.createTable(creation), as: "key", fingerprint: [1]))
        #expect(again.result == first.result && again.delta == nil && again.audit == nil)
        let other = world.apply(try world.entry(.dropTable(try RelationName("t")), as: "key", fingerprint: [2]))
        #expect(other.result.refusal == .requestReused)
        world.time = WallTime(milliseconds: world.time.milliseconds + 25 * 3_600_000)
        let forgotten = world.apply(try world.entry(.createTable(creation), as: "key", fingerprint: [1]))
        #expect(forgotten.result.refusal == .tableExists)
    }
}
