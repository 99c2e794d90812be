import Catalog
import Model
import Testing

@Suite struct FailureTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n3: NodeID
    private let n4: NodeID

    init() throws { (n1, n2, n3, n4) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3"), try NodeID("n4")) }

    private func partition(_ world: World, _ id: PartitionID) throws -> PartitionDescriptor {
        try #require(world.topology.partitions[id])
    }

    @Test("one entry gives every partition of a failed node another primary, balanced, one epoch up (F2)")
    func promotes() throws {
        var world = World()
        try world.start(nodes: 3)
        let keys: [UInt8] = [10, 20, 30, 40, 50]
        try world.run(.createTable(try world.creation("t", splitAt: keys, on: Array(repeating: [n1, n2, n3], count: 6))))
        let applied = world.apply(
            try world.entry(
                .nodeFailed(
                    n1, session: world.session(n1),
                    witnesses: [
                        Witness(id: try NodeID("c1"), zone: try ZoneName("b")), Witness(id: n3, zone: try ZoneName("c")),
                    ])))
        #expect(applied.result.isAccepted)
        let primaries = world.topology.partitions.values.compactMap(\.primary)
        #expect(primaries.count { $0 == n2 } == 3 && primaries.count { $0 == n3 } == 3)
        #expect(world.topology.partitions.values.allSatisfy { $0.epoch == Epoch(2) && $0.learners == [n1] })
        #expect(world.topology.nodes[n1]?.status == .failed)
        #expect(try world.fail(n1).refusal == .nodeUnavailable)
    }

    @Test("one witness is not enough, nor are two in one zone where there are more (F2)")
    func witnesses() throws {
        var world = World()
        try world.start(nodes: 4)
        let a = try ZoneName("a")
        let (c1, c2) = (try NodeID("c1"), try NodeID("c2"))
        let session = world.session(n1)
        for witnesses in [[Witness(id: c1, zone: a)], [Witness(id: c1, zone: a), Witness(id: c2, zone: a)]] {
            let result = try world.run(.nodeFailed(n1, session: session, witnesses: witnesses))
            #expect(result.refusal == .notEnoughWitnesses)
        }
        let (b, c) = (try ZoneName("b"), try ZoneName("c"))
        // Zone c can still speak; and a zone in which a witness stands is not silent.
        for silent in [[b], [b, a]] {
            let result = try world.run(
                .nodeFailed(
                    n1, session: session, witnesses: [Witness(id: c1, zone: a), Witness(id: c2, zone: a)], silentZones: silent))
            #expect(result.refusal == .notEnoughWitnesses)
        }
        let old = try world.run(.nodeFailed(n1, session: SessionID(999), witnesses: []))
        #expect(old.refusal == .staleSession)
        // Nobody is left but in the witnesses' own zone.
        let alone = try world.run(
            .nodeFailed(
                n1, session: session, witnesses: [Witness(id: c1, zone: a), Witness(id: c2, zone: a)], silentZones: [b, c]))
        #expect(alone.isAccepted)
    }

    @Test("the last in-sync member never leaves: its partition waits without a primary, and gets it back when it returns (F2)")
    func lastMember() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        for node in [n2, n3, n1] { #expect(try world.fail(node).isAccepted) }
        let waiting = try partition(world, id)
        #expect(waiting.primary == nil && waiting.inSync == [n1] && waiting.epoch == Epoch(4))
        try world.start(node: 2, generation: 2)
        #expect(try partition(world, id).primary == nil)
        try world.start(node: 1, generation: 2)
        let back = try partition(world, id)
        #expect(back.primary == n1 && back.epoch == Epoch(5))
    }

    @Test("an empty disk under a known name leaves every in-sync set; the last copy waits for the old one (E4)")
    func emptyDisk() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        try world.start(node: 2, store: 777, generation: 1)
        let after = try partition(world, id)
        #expect(after.inSync == [n1, n3] && after.replica(on: n2)?.store == StoreID(777))
        for node in [n3, n1] { #expect(try world.fail(node).isAccepted) }
        try world.start(node: 1, store: 778, generation: 1)
        #expect(try partition(world, id).primary == nil)
        #expect(try partition(world, id).replica(on: n1)?.store == StoreID(100))
        try world.start(node: 1, store: 100, generation: 3)
        #expect(try partition(world, id).primary == n1)
    }

    @Test("the registration of a process that has ended changes nothing when it comes after that of the next one (E6)")
    func lateRegistration() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        try world.start(node: 1, generation: 5)
        let before = world.topology
        #expect(try world.start(node: 1, generation: 4).refusal == .superseded)
        #expect(try world.start(node: 1, store: 777, generation: 4).refusal == .superseded)
        #expect(world.topology.nodes == before.nodes && world.topology.partitions == before.partitions)
        #expect(try partition(world, id).primary == n1)
    }

    @Test("a restored disk, which registers later and vouches for nothing, is not trusted with the last copy either (E4)")
    func restoredDisk() throws {
        var world = World()
        try world.start(nodes: 3)
        try world.start(node: 1, generation: 5)
        let id = try world.makeTable().id
        // Told of an older start than the last: it has the name of that, and is not it.
        #expect(try world.start(node: 1, generation: 5, intact: false).refusal == .superseded)
        try world.start(node: 1, generation: 6, intact: false)
        #expect(try partition(world, id).inSync == [n2, n3])
        #expect(try partition(world, id).primary != n1)
    }

    @Test("a damaged copy takes no other copy on its node out of service; a node that names none vouches for none (E4, F2)")
    func oneDamagedCopy() throws {
        var world = World()
        try world.start(nodes: 3)
        let shared = try world.makeTable().id
        try world.run(.createTable(try world.creation("alone", splitAt: [100], on: [[n1], [n1]])))
        let alone = world.topology.partitions.values.filter { $0.replicas.count == 1 }.map(\.id).sorted()
        for id in alone { try world.propose(.replicaReady(id, expecting: Epoch(1)), from: n1) }

        // It comes back before anybody missed it.
        try world.start(node: 1, generation: 2, intact: false, damaged: [shared, alone[1]])
        #expect(try partition(world, shared).inSync == [n2, n3])
        #expect(try partition(world, alone[0]).primary == n1 && partition(world, alone[0]).epoch == Epoch(1))
        #expect(try partition(world, alone[1]).primary == nil && partition(world, alone[1]).inSync == [n1])
        // It fails, and comes back as it was.
        #expect(try world.fail(n1).isAccepted)
        #expect(try partition(world, alone[0]).primary == nil)
        try world.start(node: 1, generation: 3, intact: false, damaged: [alone[1]])
        #expect(try partition(world, alone[0]).primary == n1 && partition(world, alone[1]).primary == nil)
        // An agent that cannot say which of them is damaged.
        try world.start(node: 1, generation: 4, intact: false)
        #expect(try partition(world, alone[0]).primary == nil)
        try world.start(node: 1, generation: 5)
        #expect(try partition(world, alone[0]).primary == n1 && partition(world, alone[1]).primary == n1)
        // A disk that went back is in doubt as a whole.
        try world.start(node: 1, generation: 6, intact: false)
        #expect(try partition(world, alone[0]).primary == nil)
    }

    @Test("who is damaged at a partition that was split meanwhile leaves its children's in-sync sets (E4)")
    func damagedParent() throws {
        var world = World()
        try world.start(nodes: 3)
        let parent = try world.makeTable()
        try world.run(.beginSplit(parent.id, at: Key([100]), expecting: parent.epoch))
        let fenced = try partition(world, parent.id)
        let operation = try #require(fenced.operation)
        try world.propose(
            .commitSplit(
                parent.id, operation: operation, at: Position(epoch: fenced.epoch, run: 1, sequence: 9), checksum: 5,
                inSync: fenced.inSync, expecting: fenced.epoch), from: n1)
        #expect(world.topology.partitions[parent.id] == nil && world.topology.partitions.count == 2)
        try world.start(node: 1, generation: 2, intact: false, damaged: [parent.id])
        for child in world.topology.partitions.values { #expect(child.inSync == [n2, n3]) }
    }

    /// A table on the first three nodes, of which the second has been made a learner.
    private func withLearner() throws -> (World, PartitionID) {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        try world.propose(.evict(id, node: n2, expecting: Epoch(1)), from: n1)
        #expect(try partition(world, id).learners == [n2])
        return (world, id)
    }

    @Test(
        "a learner that comes back without its copy does not join for what it had before, but for what it gets (R4, E4)",
        arguments: [true, false])
    func lostLearner(isNamed: Bool) throws {
        var (world, id) = try withLearner()
        let before = try partition(world, id)
        let late = PartitionProposal.joinInSync(id, node: n2, store: StoreID(200), expecting: before.epoch)
        try world.start(node: 2, generation: 2, intact: false, damaged: isNamed ? [id] : [])
        #expect(try world.propose(late, from: n1).refusal == .staleEpoch)
        let after = try partition(world, id)
        #expect(after.epoch == before.epoch.next && after.replicas == before.replicas && after.primary == before.primary)
        try world.propose(.joinInSync(id, node: n2, store: StoreID(200), expecting: after.epoch), from: n1)
        #expect(try partition(world, id).inSync == [n1, n2, n3])
    }

    @Test("a learner that comes back with its copy joins by what was proposed before, whatever else it has lost")
    func intactLearner() throws {
        var (world, id) = try withLearner()
        let before = try partition(world, id)
        let other = try world.makeTable("other").id
        try world.start(node: 2, generation: 2)
        try world.start(node: 2, generation: 3, intact: false, damaged: [other])
        #expect(try partition(world, id) == before)
        let join = PartitionProposal.joinInSync(id, node: n2, store: StoreID(200), expecting: before.epoch)
        #expect(try world.propose(join, from: n1).isAccepted)
    }

    @Test("who lost a partition that was split meanwhile joins none of its children for what it had before (R4, E4)")
    func lostParent() throws {
        var world = World()
        try world.start(nodes: 3)
        let parent = try world.makeTable()
        try world.run(.beginSplit(parent.id, at: Key([100]), expecting: parent.epoch))
        let operation = try #require(try partition(world, parent.id).operation)
        try world.propose(
            .commitSplit(
                parent.id, operation: operation, at: Position(epoch: parent.epoch, run: 1, sequence: 9), checksum: 5,
                inSync: parent.inSync, expecting: parent.epoch), from: n1)
        for child in world.topology.partitions.values {
            try world.propose(.evict(child.id, node: n2, expecting: child.epoch), from: n1)
        }
        let children = world.topology.partitions.values.sorted { $0.id < $1.id }
        #expect(children.map(\.learners) == [[n2], [n2]])
        try world.start(node: 2, generation: 2, intact: false, damaged: [parent.id])
        for child in children { #expect(try partition(world, child.id).epoch == child.epoch.next) }
    }

    @Test("a learner may have the epoch raised in which it has spoken, for itself alone (R4)")
    func learnerLeavesEpoch() throws {
        var (world, id) = try withLearner()
        let before = try partition(world, id)
        let learner = try #require(before.learners.first)
        let late = PartitionProposal.joinInSync(id, node: learner, store: StoreID(200), expecting: before.epoch)
        try world.propose(.evict(id, node: learner, expecting: before.epoch), from: learner)
        let after = try partition(world, id)
        #expect(after.epoch == before.epoch.next && after.replicas == before.replicas && after.primary == before.primary)
        #expect(try world.propose(late, from: n1).refusal == .staleEpoch)
        #expect(try world.propose(.evict(id, node: n1, expecting: after.epoch), from: learner).refusal == .notPrimary)
    }

    @Test("a move goes on at the next epoch when a learner beside it comes back without its copy (R4)")
    func moveBesideLostLearner() throws {
        var (world, id) = try withLearner()
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(
            .beginMove(MovePlan(partition: id, source: n3, target: target, epoch: try partition(world, id).epoch)))
        let before = try partition(world, id)
        try world.start(node: 2, generation: 2, intact: false, damaged: [id])
        let after = try partition(world, id)
        #expect(after.epoch == before.epoch.next && after.replicas == before.replicas && after.operation == before.operation)
        let operation = try #require(after.operation)
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: after.epoch), from: n1)
        #expect(world.topology.operations[operation]?.step == .handOver)
    }

    @Test("a move whose target comes back without its copy ends, and what may be left of that is removed (M3, E4)")
    func lostTarget() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: n1, target: target, epoch: Epoch(1))))
        let late = PartitionProposal.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2))
        let operation = try #require(try partition(world, id).operation)
        try world.start(node: 4, generation: 2, intact: false, damaged: [id])
        let after = try partition(world, id)
        #expect(after.inSync == [n1, n2, n3] && after.learners == [] && after.operation == nil && after.epoch == Epoch(3))
        #expect(world.topology.operations[operation]?.phase == .aborted)
        #expect(world.topology.operations[operation]?.cleanups.map(\.node) == [n4])
        #expect(try world.propose(late, from: n1).refusal == .staleEpoch)
    }

    @Test("who has said that its last copy is damaged does not lead it by coming back in the same session (F2)")
    func damagedReturn() throws {
        var world = World()
        try world.start(nodes: 3)
        try world.run(.createTable(try world.creation("alone", splitAt: [100], on: [[n1], [n1]])))
        let alone = world.topology.partitions.values.map(\.id).sorted()
        for id in alone { try world.propose(.replicaReady(id, expecting: Epoch(1)), from: n1) }
        try world.start(node: 1, generation: 2, intact: false, damaged: [alone[1]])
        for _ in 1...2 {
            #expect(try world.fail(n1).isAccepted)
            try world.run(.nodeReturned(n1, session: world.session(n1)))
            #expect(try partition(world, alone[0]).primary == n1)
            #expect(try partition(world, alone[1]).primary == nil && partition(world, alone[1]).inSync == [n1])
            #expect(Invariants.violations(in: world.topology) == [])
        }
        // One that had lost everything has lost the rest as well.
        try world.start(node: 1, generation: 3, intact: false)
        #expect(try world.fail(n1).isAccepted)
        try world.run(.nodeReturned(n1, session: world.session(n1)))
        for id in alone { #expect(try partition(world, id).primary == nil) }
        // Another disk says nothing of this one.
        try world.start(node: 1, store: 777, generation: 1)
        for id in alone { #expect(try partition(world, id).replica(on: n1)?.isDamaged == true) }
        // A start that has it.
        try world.start(node: 1, generation: 4)
        for id in alone {
            #expect(try partition(world, id).primary == n1 && partition(world, id).replica(on: n1)?.isDamaged == false)
        }
    }

    @Test(
        "a learner's death makes no primary of a last member that is there, and has not its copy (F2, E4)",
        arguments: [true, false])
    func deathBesideDamaged(isOtherDisk: Bool) throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        for node in [n2, n3] { #expect(try world.fail(node).isAccepted) }
        try world.start(node: 2, generation: 2)
        if isOtherDisk {
            try world.start(node: 1, store: 777, generation: 1)
        } else {
            try world.start(node: 1, generation: 2, intact: false, damaged: [id])
        }
        #expect(try partition(world, id).primary == nil)
        #expect(try world.fail(n2).isAccepted)
        #expect(try partition(world, id).primary == nil && partition(world, id).inSync == [n1])
    }

    @Test("a damaged copy of a table that is being made leads it when it is made anew")
    func damagedCreation() throws {
        var world = World()
        try world.start(nodes: 3)
        try world.run(.createTable(try world.creation("alone", on: [[n1]])))
        let id = try #require(world.topology.partitions.keys.first)
        try world.start(node: 1, generation: 2, intact: false, damaged: [id])
        let waiting = try partition(world, id)
        #expect(waiting.primary == nil && waiting.status == .creating)
        #expect(try world.propose(.replicaReady(id, expecting: waiting.epoch), from: n1).isAccepted)
        let made = try partition(world, id)
        #expect(made.primary == n1 && made.status == .active && made.epoch == waiting.epoch.next)
        #expect(Invariants.violations(in: world.topology) == [])
    }

    @Test("a move ends with its target, and goes on without its source once the target is in sync")
    func moveSurvivesSource() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: n1, target: target, epoch: Epoch(1))))
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1)
        #expect(try world.fail(n1).isAccepted)
        let after = try partition(world, id)
        #expect(
            after.inSync == [n2, n3, n4] && after.replica(on: n1) == nil && after.primary != nil && after.epoch == Epoch(4))
        let operation = try #require(world.topology.operations.values.first { $0.kind.partition == id })
        #expect(operation.step == .dropSource && operation.cleanups.map(\.node) == [n1])
    }

    @Test("a move goes on from another primary when its source's engine does not serve it, and still drops the source")
    func moveSurvivesSickSource() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let source = try #require(try partition(world, id).primary)
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: source, target: target, epoch: Epoch(1))))
        try world.propose(.evict(id, node: source, expecting: Epoch(2)), from: source)
        let left = try partition(world, id)
        let heir = try #require(left.primary)
        #expect(heir != source && left.learners.contains(source) && left.learners.contains(n4))
        let operation = try #require(left.operation)
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: left.epoch), from: heir)
        let epoch = try partition(world, id).epoch
        #expect(
            try world.propose(.removeReplica(id, node: source, operation: operation, expecting: epoch), from: heir).isAccepted)
        let after = try partition(world, id)
        #expect(after.replica(on: source) == nil && after.inSync.contains(n4) && after.operation == nil)
        #expect(world.topology.operations[operation]?.step == .dropSource)
    }

    /// Four nodes, of which the second has failed, and a partition that was on the first three: the fourth is given a copy.
    private func repairing() throws -> (World, PartitionID) {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        #expect(try world.fail(n2).isAccepted)
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: nil, target: target, epoch: Epoch(2))))
        return (world, id)
    }

    @Test("a repair that is done drops the replica of the failed node that it replaces")
    func repairDropsDead() throws {
        var (world, id) = try repairing()
        try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(3)), from: n1)
        let after = try partition(world, id)
        #expect(after.replicas.map(\.node) == [n1, n3, n4] && after.epoch == Epoch(4) && after.operation == nil)
        let operation = try #require(world.topology.operations.values.first { $0.kind.partition == id })
        #expect(operation.phase == .succeeded && operation.cleanups.map(\.node) == [n2])
    }

    @Test("a node that comes back just before its copy is made elsewhere does not leave the partition with one too many (F5)")
    func repairDropsReturned() throws {
        var (world, id) = try repairing()
        try world.start(node: 2, generation: 2)
        let epoch = try partition(world, id).epoch
        #expect(try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: epoch), from: n1).isAccepted)
        let after = try partition(world, id)
        #expect(after.replicas.map(\.node) == [n1, n3, n4] && after.inSync == [n1, n3, n4] && after.operation == nil)
        let operation = try #require(world.topology.operations.values.first { $0.kind.partition == id })
        #expect(operation.phase == .succeeded && operation.cleanups.map(\.node) == [n2])
    }

    @Test("a member that comes back into the in-sync set ends the repair that was to replace it, in the same entry (F5, M3)")
    func returnedEndsRepair() throws {
        var (world, id) = try repairing()
        try world.start(node: 2, generation: 2)
        let before = try partition(world, id)
        let late = PartitionProposal.joinInSync(id, node: n4, store: StoreID(400), expecting: before.epoch)
        #expect(
            try world.propose(.joinInSync(id, node: n2, store: StoreID(200), expecting: before.epoch), from: n1).isAccepted)
        let after = try partition(world, id)
        #expect(after.replicas.map(\.node) == [n1, n2, n3] && after.inSync == [n1, n2, n3])
        #expect(after.operation == nil && after.epoch == before.epoch.next)
        let operation = try #require(world.topology.operations.values.first { $0.kind.partition == id })
        #expect(operation.phase == .aborted && operation.cleanups.map(\.node) == [n4])
        // What was proposed of the copy before that was known changes nothing, and its removal leaves nothing of the repair.
        #expect(try world.propose(late, from: n1).refusal == .staleEpoch)
        for cleanup in operation.cleanups { try world.propose(.cleaned(operation.id, cleanup), from: n4) }
        #expect(world.topology.operations[operation.id]?.cleanups == [])
        #expect(Invariants.violations(in: world.topology) == [])
    }

    @Test("a copy that would be one too many joins nothing, and its operation ends as if it had never begun (M3)")
    func copyTooMany() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: nil, target: target, epoch: Epoch(1))))
        #expect(try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: Epoch(2)), from: n1).isAccepted)
        let after = try partition(world, id)
        #expect(after.inSync == [n1, n2, n3] && after.learners == [] && after.operation == nil && after.epoch == Epoch(3))
        let operation = try #require(world.topology.operations.values.first { $0.kind.partition == id })
        #expect(operation.phase == .aborted && operation.cleanups.map(\.node) == [n4])
    }

    @Test("while a copy is still missed the repair goes on, whoever comes back meanwhile")
    func repairOfTwo() throws {
        var world = World()
        try world.start(nodes: 4)
        let id = try world.makeTable().id
        #expect(try world.fail(n2).isAccepted)
        #expect(try world.fail(n3).isAccepted)
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: nil, target: target, epoch: Epoch(3))))
        try world.start(node: 2, generation: 2)
        var epoch = try partition(world, id).epoch
        #expect(try world.propose(.joinInSync(id, node: n2, store: StoreID(200), expecting: epoch), from: n1).isAccepted)
        #expect(try partition(world, id).operation != nil)
        epoch = try partition(world, id).epoch
        #expect(try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: epoch), from: n1).isAccepted)
        let after = try partition(world, id)
        #expect(after.inSync == [n1, n2, n4] && after.replicas.count == 3 && after.operation == nil)
    }

    @Test("a primary with a damaged copy leaves the in-sync set for another to be promoted, but never as its last member (F6)")
    func primaryEvictsItself() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        var epoch = Epoch(1)
        for left in [2, 1] {
            let primary = try #require(try partition(world, id).primary)
            #expect(try world.propose(.evict(id, node: primary, expecting: epoch), from: primary).isAccepted)
            let after = try partition(world, id)
            #expect(after.inSync.count == left && after.learners.contains(primary))
            #expect(after.primary.map(after.inSync.contains) == true)
            epoch = after.epoch
        }
        let last = try #require(try partition(world, id).primary)
        #expect(try world.propose(.evict(id, node: last, expecting: epoch), from: last).refusal == .lastReplica)
    }

    @Test("a proposal of an earlier session changes nothing (E6)")
    func oldSession() throws {
        var world = World()
        try world.start(nodes: 3)
        let id = try world.makeTable().id
        let old = world.session(n1)
        try world.start(node: 1, generation: 2)
        let result = try world.run(.partition(.evict(id, node: n2, expecting: Epoch(1)), from: n1, session: old))
        #expect(result.refusal == .staleSession)
    }

    @Test("a node that is to be drained fails, and is drained when it returns, started again or not (F5)")
    func drainOutlastsFailure() throws {
        var world = World()
        try world.start(nodes: 3)
        try world.run(.drain(n1))
        #expect(try world.fail(n1).isAccepted)
        #expect(world.topology.nodes[n1]?.status == .failed)
        try world.run(.nodeReturned(n1, session: world.session(n1)))
        #expect(world.topology.nodes[n1]?.status == .draining)
        #expect(try world.fail(n1).isAccepted)
        try world.start(node: 1, generation: 2)
        #expect(world.topology.nodes[n1]?.status == .draining)
    }

    @Test("a drain of a failed node is kept, and begins when the node returns; without one a node returns healthy")
    func drainOfTheFailed() throws {
        var world = World()
        try world.start(nodes: 3)
        #expect(try world.fail(n1).isAccepted)
        #expect(try world.run(.drain(n1)).isAccepted)
        #expect(world.topology.nodes[n1]?.status == .failed && world.topology.nodes[n1]?.isDrainWanted == true)
        try world.start(node: 1, generation: 2)
        #expect(world.topology.nodes[n1]?.status == .draining)
        #expect(try world.fail(n2).isAccepted)
        try world.start(node: 2, generation: 2)
        #expect(world.topology.nodes[n2]?.status == .healthy)
    }
}
