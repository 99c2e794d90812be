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

    @Test("a split that its primary asks for is held to what one of an operator's is (E1, E6, M2)")
    func requestedSplit() throws {
        var world = World()
        try world.start(nodes: 4)
        let parent = try world.makeTable()
        let request = PartitionProposal.requestSplit(parent.id, at: Key([50]), expecting: parent.epoch)
        #expect(try world.propose(request, from: n2).refusal == .notPrimary)
        let old = PartitionProposal.requestSplit(parent.id, at: Key([50]), expecting: Epoch(parent.epoch.number + 1))
        #expect(try world.propose(old, from: n1).refusal == .staleEpoch)
        let outside = PartitionProposal.requestSplit(parent.id, at: .least, expecting: parent.epoch)
        #expect(try world.propose(outside, from: n1).refusal == .splitKeyOutside)
        let late = try world.run(.partition(request, from: n1, session: SessionID(world.session(n1).number + 1)))
        #expect(late.refusal == .staleSession)
        #expect(try world.propose(request, from: n1).isAccepted)
        let operation = try #require(world.topology.operations.values.first { $0.phase == .running })
        guard case .split(parent.id, at: Key([50]), _, _) = operation.kind else {
            Issue.record("\(operation)")
            return
        }
        #expect(try world.propose(request, from: n1).refusal == .partitionBusy)
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

    @Test("an operation that was cancelled may be cancelled again; one that has succeeded is past it (M3)")
    func cancelsTwice() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1).id
        #expect(try world.run(.abortOperation(operation, reason: "first")).isAccepted)
        let before = world.topology
        #expect(try world.run(.abortOperation(operation, reason: "second")) == .accepted(.operation(operation)))
        #expect(world.topology == before && before.operations[operation]?.failure == "first")
        try world.run(.beginTransfer(id, to: n2, session: world.session(n2), expecting: try partition(world, id).epoch))
        let transfer = try #require(try partition(world, id).operation)
        let seen = try partition(world, id).epoch
        try world.propose(
            .switchPrimary(id, to: n2, store: StoreID(200), operation: transfer, expecting: seen), from: n1)
        #expect(try world.run(.abortOperation(transfer, reason: "too late")).refusal == .operationEnded)
    }

    @Test("what is refused to be cancelled is told at which step the operation stands")
    func refusalNamesStep() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1).id
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1)
        try world.propose(
            .switchPrimary(id, to: n4, store: StoreID(400), operation: operation, expecting: Epoch(3)), from: n1)
        guard case .refused(let early) = try world.run(.abortOperation(operation, reason: "late")) else {
            Issue.record("it was cancelled")
            return
        }
        #expect(early.code == .pastSwitch && early.detail.contains("handOver"), "\(early)")
        try world.propose(.removeReplica(id, node: n1, operation: operation, expecting: Epoch(4)), from: n4)
        guard case .refused(let late) = try world.run(.abortOperation(operation, reason: "late")) else {
            Issue.record("it was cancelled")
            return
        }
        #expect(late.code == .pastSwitch && late.detail.contains("dropSource"), "\(late)")
    }

    @Test("a move that was paused past its switch is not cancelled but to be resumed, and the refusal says so")
    func refusalNamesPause() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1).id
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1)
        try world.propose(
            .switchPrimary(id, to: n4, store: StoreID(400), operation: operation, expecting: Epoch(3)), from: n1)
        func refusal() throws -> CatalogRejection? {
            guard case .refused(let refusal) = try world.run(.abortOperation(operation, reason: "late")) else { return nil }
            return refusal
        }
        let running = try #require(try refusal())
        #expect(running.code == .pastSwitch && !running.detail.contains("resume"), "\(running)")
        try world.run(.pauseOperation(operation))
        let paused = try #require(try refusal())
        #expect(paused.code == .pastSwitch && paused.detail.contains("paused: resume it"), "\(paused)")
        #expect(paused.hint.contains("resumed"))
    }

    @Test("a paused operation keeps step, epoch and partition until it is resumed; both may be asked for twice")
    func pauses() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let operation = try begin(&world, id, from: n1)
        #expect(try world.run(.pauseOperation(operation.id)) == .accepted(.operation(operation.id)))
        let paused = try #require(world.topology.operations[operation.id])
        #expect(paused.pause == OperationPause(by: try Principal("operator/ada"), at: world.time))
        #expect(paused.phase == .running && paused.step == .copy && paused.epoch == operation.epoch)
        #expect(try partition(world, id).operation == operation.id)
        world.time = WallTime(milliseconds: world.time.milliseconds + 5)
        let again = world.apply(try world.entry(.pauseOperation(operation.id)))
        #expect(again.result.isAccepted && again.delta == nil)
        #expect(try world.run(.resumeOperation(operation.id)).isAccepted)
        #expect(world.topology.operations[operation.id] == operation)
        let twice = world.apply(try world.entry(.resumeOperation(operation.id)))
        #expect(twice.result.isAccepted && twice.delta == nil)
    }

    @Test("what was proposed before a pause was heard of is taken, and what ends a paused operation ends its pause")
    func endsPaused() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let moved = try begin(&world, id, from: n1).id
        try world.run(.pauseOperation(moved))
        #expect(
            try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1).isAccepted)
        #expect(world.topology.operations[moved]?.step == .handOver && world.topology.operations[moved]?.pause != nil)
        #expect(try world.run(.abortOperation(moved, reason: "no more")).isAccepted)
        #expect(world.topology.operations[moved]?.phase == .aborted && world.topology.operations[moved]?.pause == nil)
        // Past the switch only data is removed, and nothing is to be paused.
        for cleanup in world.topology.operations[moved]?.cleanups ?? [] {
            try world.propose(.cleaned(moved, cleanup), from: cleanup.node)
        }
        let second = try begin(&world, id, from: n2).id
        let epoch = try partition(world, id).epoch
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: epoch), from: n1)
        try world.run(.pauseOperation(second))
        try world.propose(.removeReplica(id, node: n2, operation: second, expecting: epoch.next), from: n1)
        #expect(world.topology.operations[second]?.step == .dropSource && world.topology.operations[second]?.pause == nil)
        #expect(try world.run(.pauseOperation(second)).refusal == .pastSwitch)
    }

    @Test("a creation is neither paused nor resumed, nor is what has ended")
    func pausesNothingElse() throws {
        var world = World()
        try world.start(nodes: 4)
        try world.run(.createTable(try world.creation("t", on: [[n1, n2, n3]])))
        let creation = try #require(world.topology.operations.keys.first)
        #expect(try world.run(.pauseOperation(creation)).refusal == .wrongOperation)
        #expect(try world.run(.resumeOperation(OperationID(999))).refusal == .operationNotFound)
        let id = try world.makeTable("u").id
        let move = try begin(&world, id, from: n1).id
        try world.run(.abortOperation(move, reason: "no more"))
        #expect(try world.run(.pauseOperation(move)).refusal == .operationEnded)
        #expect(try world.run(.resumeOperation(move)).refusal == .operationEnded)
    }

    @Test("a node takes part in two moves at a time, whoever planned them, and paused ones count; configuration says otherwise")
    func twoPerNode() throws {
        var world = World()
        try world.start(nodes: 4)
        try world.run(.createTable(try world.creation("t", splitAt: [50, 100], on: Array(repeating: [n1, n2, n3], count: 3))))
        let partitions = world.topology.partitions.values.sorted { $0.id < $1.id }
        for partition in partitions {
            for node in partition.inSync { try world.propose(.replicaReady(partition.id, expecting: Epoch(1)), from: node) }
        }
        let target = NodeSession(node: n4, session: world.session(n4))
        let plans = zip(partitions, [n1, n2, nil]).map {
            MovePlan(partition: $0.id, source: $1, target: target, epoch: Epoch(1))
        }
        for plan in plans.prefix(2) { #expect(try world.run(.beginMove(plan)).isAccepted) }
        #expect(try world.run(.beginMove(plans[2])).refusal == .nodeBusy)
        let first = try #require(try partition(world, partitions[0].id).operation)
        try world.run(.pauseOperation(first))
        #expect(try world.run(.beginMove(plans[2])).refusal == .nodeBusy)
        let more = ConfigurationWrite(key: "operations_per_node", value: "3")
        #expect(try world.run(.configure(.node(n4), [more])).isAccepted)
        #expect(try world.run(.beginMove(plans[2])).isAccepted)
    }

    @Test("a move past its switch, which waits for a node that may never come to remove its copy, keeps no place at either end")
    func placesEndWithSwitch() throws {
        var world = World()
        try world.start(nodes: 4)
        try world.run(.configure(.global, [ConfigurationWrite(key: "operations_per_node", value: "1")]))
        try world.run(.createTable(try world.creation("t", splitAt: [50], on: Array(repeating: [n1, n2, n3], count: 2))))
        let partitions = world.topology.partitions.values.sorted { $0.id < $1.id }
        for partition in partitions {
            for node in partition.inSync { try world.propose(.replicaReady(partition.id, expecting: Epoch(1)), from: node) }
        }
        let target = NodeSession(node: n4, session: world.session(n4))
        let plans = partitions.map { MovePlan(partition: $0.id, source: n2, target: target, epoch: Epoch(1)) }
        try world.run(.beginMove(plans[0]))
        let id = partitions[0].id
        let operation = try #require(try partition(world, id).operation)
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1)
        // The source is still to leave the descriptor: until it has, both have a part in it.
        #expect(world.topology.operations[operation]?.occupiedNodes == [n2, n4])
        #expect(try world.run(.beginMove(plans[1])).refusal == .nodeBusy)
        try world.propose(.removeReplica(id, node: n2, operation: operation, expecting: Epoch(3)), from: n1)
        #expect(world.topology.operations[operation]?.phase == .running)
        #expect(try world.run(.beginMove(plans[1])).isAccepted)
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
