// Disks that come back as they once were, and mirrors that are older than what was done under them (rules E4, R5, M3).

import Model
import Replication
import Testing

@testable import AgentCore

@Suite struct OldDiskTests {
    func world(seed: UInt64) throws -> World {
        try World.active(seed: seed, nodes: 4)
    }

    func work(_ world: World, for span: Span) {
        let end = world.now + span
        while world.now < end {
            world.write()
            if world.chance(0.3) { world.callByOldRoutes() }
            world.run(.milliseconds(2))
        }
    }

    private func returnTo(_ image: World.Disk, _ node: NodeID, in world: World) {
        world.crash(node)
        world.restore(node, to: image)
        world.restart(node)
    }

    @Test(
        "a primary whose disk went back takes from the others what it acknowledged, with no coordinator in reach (E4, R5)",
        arguments: 1...8)
    func primaryGoesBack(seed: UInt64) throws {
        let world = try world(seed: seed)
        work(world, for: .milliseconds(200))
        var image = world.image(of: world.order[0])
        work(world, for: .milliseconds(300))
        world.coordinatorsUp = false
        image.topology = world.catalog.topology
        let before = world.acknowledged.count
        returnTo(image, world.order[0], in: world)
        work(world, for: .milliseconds(3_000))
        #expect(world.acknowledged.count > before + 100, "it serves again")
        #expect(world.settle() == [])
    }

    @Test("a copy that moved away and came back with an old disk goes again, though its cleanup was long settled (M3)")
    func strayCopy() throws {
        let world = try world(seed: 11)
        work(world, for: .milliseconds(300))
        let image = world.image(of: world.order[0])
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        work(world, for: .milliseconds(1_500))
        #expect(world.catalog.topology.operations.values.allSatisfy { $0.cleanups.isEmpty } && !image.engine.isEmpty)
        returnTo(image, world.order[0], in: world)
        work(world, for: .milliseconds(500))
        #expect(world.machines[world.order[0]]?.engine.isEmpty == true)
        #expect(world.settle() == [])
    }

    @Test("nothing is dropped, nor said to be, before the mirror on disk says that it is over (M3)")
    func dropsBehindTheMirror() throws {
        let world = try world(seed: 12)
        work(world, for: .milliseconds(300))
        let source = world.order[0]
        world.lateMirrors = [source]
        world.catalog.move(world.partitions[0].id, from: source, to: world.order[3])
        work(world, for: .milliseconds(1_500))
        #expect(world.partitions[0].replica(on: source) == nil, "\(world.describe())")
        #expect(world.machines[source]?.engine.isEmpty == false)
        // A start from the old mirror finds all that it names.
        world.crash(source)
        world.lateMirrors = []
        world.restart(source)
        world.run(.milliseconds(500))
        #expect(world.damages == [])
        #expect(world.machines[source]?.engine.isEmpty == true)
        #expect(world.settle() == [])
    }

    @Test(
        "nobody grants the deposed primary a lease at an epoch that its own disk knows to be over, though its mirror does not (L1)",
        arguments: [false, true], [false, true])
    func grantsByOldMirrors(isSplit: Bool, isUnreadable: Bool) throws {
        let world = try world(seed: 14)
        work(world, for: .milliseconds(300))
        let (deposed, others) = (world.order[0], Array(world.order[1...2]))
        let old = world.partitions[0]
        #expect(old.primary == deposed)
        world.lateMirrors = Set(others)
        world.cut = [[deposed, deposed], [deposed, others[0]], [deposed, others[1]]]
        world.catalog.nodeFailed(deposed)
        work(world, for: .milliseconds(1_500))
        if isSplit {
            // A split wants no copy that lags: the old primary's goes elsewhere first.
            world.catalog.move(old.id, from: deposed, to: world.order[3])
            #expect(world.run(until: { world.partitions[0].inSync.count == 3 }))
            #expect(world.run(until: { world.partitions[0].operation == nil }), "\(world.describe())")
            world.catalog.split(old.id, at: Key([0x80]))
            #expect(world.run(until: { others.allSatisfy { world.machines[$0]?.engine[old.id] == nil } }))
            work(world, for: .milliseconds(200))
        }
        for other in others { world.crash(other) }
        world.mayDamage = isUnreadable
        for other in others {
            let storages = Set(try #require(world.machines[other]).engine.values.map(\.storage))
            world.restart(other, unreadable: isUnreadable ? storages : [])
        }
        // The old primary reaches them again; nobody reaches the coordinators.
        world.cut = []
        world.coordinatorsUp = false
        let before = world.goodReads
        for _ in 0..<100 {
            world.nextCaller += 1
            let caller = CallerID(world.nextCaller)
            world.reads[caller] = World.Read(
                partition: old.id, epoch: old.epoch, range: old.range, after: world.history.count)
            world.give(try #require(world.machines[deposed]), [.read(caller, old.id, old.epoch)])
            world.run(.milliseconds(10))
        }
        #expect(world.goodReads == before)
        guard isUnreadable else { return #expect(world.settle() == []) }
        // Three copies are gone, or nobody is left to lead: it was the disks' cable.
        for other in others { world.crash(other) }
        for other in others { world.restart(other, readsAgain: true) }
        #expect(world.settle() == [])
    }

    @Test("a topology without any node is somebody's empty disk, and takes no role from anybody (T3)")
    func emptyTopology() throws {
        let world = try world(seed: 15)
        work(world, for: .milliseconds(100))
        let machine = try #require(world.machines[world.order[0]])
        let known = machine.core.topology
        world.give(machine, [.topology(Topology(revision: Revision(history: 2, index: 1)))])
        #expect(machine.core.topology == known)
        #expect(world.settle() == [])
    }

    @Test("a copy that lacks what was acknowledged is not read, not even without a promise of freshness (E4)")
    func damagedCopies() throws {
        let world = try world(seed: 16)
        work(world, for: .milliseconds(100))
        let machine = try #require(world.machines[world.order[0]])
        let partition = world.partitions[0]
        let last = try #require(machine.core.replicas(at: world.now).first { $0.partition == partition.id }).last
        #expect(machine.core.localStorage(of: partition.id) != nil)
        let ack = ReplicationMessage.Ack(
            term: last.term, received: last.sequence + 1_000, durable: 0, verified: nil, incarnation: 1 << 60, applied: 0,
            spokenAt: world.now)
        let message = ReplicationMessage(partition: partition.id, epoch: partition.epoch, body: .ack(ack))
        world.give(machine, [.received(.replication(message), from: world.order[1])])
        #expect(machine.core.replicas(at: world.now).contains { $0.damage != nil })
        #expect(machine.core.localStorage(of: partition.id) == nil)
    }

    @Test("children of a split whose first records the disk lost are whole after every later start (R9, M2)")
    func lostFirstRecords() throws {
        let world = try world(seed: 13)
        work(world, for: .milliseconds(300))
        let follower = world.order[2]
        let parent = world.partitions[0].id
        world.catalog.split(parent, at: Key([0x80]))
        let machine = try #require(world.machines[follower])
        #expect(world.run(until: { machine.engine[parent] == nil }, step: .microseconds(500)))
        var image = world.image(of: follower)
        let first = image.log.firstIndex { entry in
            if case .reset(let id, _) = entry.record { id != parent } else { false }
        }
        image.log.removeSubrange(try #require(first)...)
        image.topology = world.catalog.topology
        for id in image.engine.keys {
            image.engine[id]?.applied = try #require(world.catalog.topology.partitions[id]).origin
        }
        returnTo(image, follower, in: world)
        work(world, for: .milliseconds(1_500))
        world.crash(follower)
        world.restart(follower)
        work(world, for: .milliseconds(500))
        #expect(world.settle() == [])
    }

    @Test(
        "histories in which a disk that went back once lost a write, hung, or was found damaged later",
        arguments: [
            5_001, 5_018, 5_021, 5_030, 5_033, 5_035, 5_046, 5_053, 5_061, 5_065, 5_073, 5_075, 5_084, 5_094, 5_114, 5_141,
        ])
    func onceBroken(seed: UInt64) throws {
        #expect(try OperationChaosTests.chaos(seed: seed, sick: true).found.prefix(3).joined(separator: "; ") == "")
    }

    @Test("a log that has lost what took its last entries back is damaged, and no proof against the primary (E4)")
    func lostCut() throws {
        #expect(
            try OperationChaosTests.chaos(seed: 60_131, copies: 2, sick: true).found.prefix(3).joined(separator: "; ") == "")
    }

    @Test("a copy that is being removed writes nothing behind its last word: a start would let it count (M8)")
    func lastWord() throws {
        #expect(
            try OperationChaosTests.chaos(seed: 60_305, copies: 2, sick: true).found.prefix(3).joined(separator: "; ") == "")
    }

    @Test("what is being removed stays given up when the log is shortened (R9, M8)")
    func keepsLastWord() throws {
        let world = try world(seed: 21)
        work(world, for: .milliseconds(300))
        let source = world.order[2]
        let machine = try #require(world.machines[source])
        let id = world.partitions[0].id
        // What the engine fails at is said to be damage.
        world.mayDamage = true
        machine.removesNothing = true
        world.catalog.move(id, from: source, to: world.order[3])
        work(world, for: .milliseconds(1_500))
        #expect(world.partitions[0].replica(on: source) == nil && machine.engine[id] != nil)
        world.truncate(machine)
        world.crash(source)
        machine.savedTopology = Topology()
        world.coordinatorsUp = false
        world.restart(source)
        #expect(machine.core.replicas(at: world.now).isEmpty || machine.core.checkpoints == [.dropped(id)])
        machine.removesNothing = false
        #expect(world.settle() == [])
    }

    @Test("a log that does not fit its engine does not fit it after it was shortened either (R9, E4)")
    func keepsLogOfDamaged() throws {
        let pair = try Pair()
        let id = PartitionID(12)
        let origin = Position(epoch: Epoch(4), run: 1, sequence: 7)
        let topology = pair.topology(21, [.partition(pair.partition(id, epoch: 5, origin: origin))])
        // The first entry behind the origin is lost, and the engine stands there, as if nothing had ever come after it.
        let later = Entry(position: Position(epoch: Epoch(5), run: 1, sequence: 9), body: .opening, checksum: 1)
        var records: [PartitionRecord] = [
            .reset(id, LogPoint(position: origin, checksum: 3)), .hardState(id, HardState(epoch: Epoch(5), run: 1)),
            .entry(id, later),
        ]
        for _ in 0..<3 {
            var recovered = RecoveredPartition()
            for record in records { recovered.add(record) }
            let engine = [EngineReplica(partition: id, storage: pair.storage, range: .all, applied: origin)]
            let core = pair.start(topology, [id: recovered], engine: engine)
            #expect(core.damagedPartitions == [id])
            let forgotten = core.forgotten[id]
            let kept = records.filter { record in
                guard case .entry(_, let entry) = record, let forgotten else { return false }
                return entry.sequence > forgotten
            }
            records = kept + core.checkpoints
        }
    }

    @Test("a start names the partitions that it found damaged: after a split, the children that would have come of them (E4)")
    func namesTheDamaged() throws {
        let world = try World(seed: 8, nodes: 3)
        try world.catalog.createTable(on: world.order)
        #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
        for _ in 0..<100 {
            world.write()
            world.run(.milliseconds(2))
        }
        world.run(.seconds(1))
        let victim = world.order[2]
        let machine = try #require(world.machines[victim])
        let parent = world.partitions[0].id
        var image = world.image(of: victim)
        func startsWithHalfItsLog() -> [PartitionID] {
            var image = image
            image.log.removeLast(image.log.count / 2)
            world.mayDamage = true
            returnTo(image, victim, in: world)
            return machine.damaged
        }
        #expect(startsWithHalfItsLog() == [parent])
        let isWhole = { world.isAtRest && world.partitions[0].inSync.count == 3 }
        #expect(world.run(until: isWhole))
        for _ in 0..<100 {
            world.write()
            world.run(.milliseconds(2))
        }
        world.run(.seconds(1))
        image = world.image(of: victim)
        world.catalog.split(parent, at: Key([0x80]))
        #expect(world.run(until: { world.partitions.count == 2 }))
        image.topology = world.catalog.topology
        #expect(startsWithHalfItsLog() == world.partitions.map(\.id))
        #expect(world.settle() == [])
        #expect(world.partitions.allSatisfy { $0.inSync.count == 3 })
    }

    @Test("a copy that was damaged at the start and made anew since leads again when its node registers anew (F2)")
    func leadsWhatWasMadeAnew() throws {
        let world = try World(seed: 9, nodes: 3)
        try world.catalog.createTable(on: world.order)
        #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
        work(world, for: .milliseconds(300))
        let victim = world.order[2]
        let machine = try #require(world.machines[victim])
        var image = world.image(of: victim)
        image.log.removeLast(image.log.count / 2)
        world.mayDamage = true
        returnTo(image, victim, in: world)
        #expect(machine.core.unvouched == [world.partitions[0].id])
        #expect(world.run(until: { world.isAtRest && world.partitions[0].inSync.count == 3 }))
        world.order.prefix(2).forEach(world.crash)
        world.order.forEach { world.catalog.nodeFailed($0) }
        #expect(world.partitions[0].inSync == [victim] && world.partitions[0].primary == nil)
        machine.session = .none
        #expect(world.run(until: { world.partitions[0].primary == victim }))
        world.order.prefix(2).forEach { world.restart($0) }
        #expect(world.settle() == [])
    }

    @Test("a damaged copy is not vouched for, gone or not, before the coordinators were seen to count on it no more (E4)")
    func vouchesForNothingLost() throws {
        let pair = try Pair()
        let id = PartitionID(12)
        func topology(_ index: UInt64, _ role: ReplicaRole, isRegistered: Bool) throws -> Topology {
            var partition = pair.partition(id, epoch: index)
            partition.replicas[0].role = role
            var own = try #require(pair.topology(1).nodes[pair.own])
            own.generation = Generation(isRegistered ? 4 : 3)
            return pair.topology(index, [.partition(partition), .node(own)])
        }
        var records = RecoveredPartition()
        records.add(.hardState(id, HardState(epoch: Epoch(20), run: 1)))
        // The engine is behind what the log has cut, and the mirror on disk knows of no in-sync set with this copy in it.
        records.add(.reset(id, LogPoint(position: Position(epoch: Epoch(20), run: 1, sequence: 9), checksum: 3)))
        let engine = [EngineReplica(partition: id, storage: pair.storage, range: .all, applied: Position.zero)]
        var core = pair.start(try topology(20, .learner, isRegistered: false), [id: records], engine: engine)
        #expect(core.unvouched == [id])
        // What it has said may yet have it join: it stays what it is until it is out of the set, and known to be damaged.
        for (index, role, isRegistered) in [(21, .learner, false), (22, .inSync, false), (23, .inSync, true)]
            as [(UInt64, ReplicaRole, Bool)]
        {
            _ = core.step([.topology(try topology(index, role, isRegistered: isRegistered))], at: .origin)
            #expect(core.step([.persisted(ticket: 9)], at: .origin).isEmpty && core.unvouched == [id], "\(index)")
        }
        _ = core.step([.topology(try topology(24, .learner, isRegistered: true))], at: .origin)
        #expect(core.step([.persisted(ticket: 9)], at: .origin).contains(.drop(id, pair.storage)))
        _ = core.step([.dropped(id, pair.storage), .created(id, pair.storage)], at: .origin)
        let point = LogPoint(position: Position(epoch: Epoch(24), run: 1, sequence: 24), checksum: 3)
        _ = core.step(
            [.snapshotBegun(id, pair.storage, copy: 24), .snapshotInstalled(id, pair.storage, point, copy: 24)], at: .origin)
        #expect(core.unvouched == [])
        _ = core.step([.topology(try topology(25, .inSync, isRegistered: true))], at: .origin)
        #expect(core.unvouched == [])
    }

    @Test("a disk that went back vouches for nothing before it is registered, then for what has joined in-sync sets since (E4)")
    func vouchesAfterGoingBack() throws {
        let pair = try Pair()
        let (alone, other) = (PartitionID(12), PartitionID(13))
        func topology(_ index: UInt64, _ roles: [ReplicaRole], generation: UInt64) throws -> Topology {
            let partitions = zip([alone, other], roles).map { id, role in
                var partition = pair.partition(id, epoch: index)
                partition.replicas[0].role = role
                return TopologyChange.partition(partition)
            }
            var own = try #require(pair.topology(1).nodes[pair.own])
            own.generation = Generation(generation)
            return pair.topology(index, partitions + [.node(own)])
        }
        let point = LogPoint(position: Position(epoch: Epoch(20), run: 1, sequence: 9), checksum: 3)
        let engine = [alone, other].map {
            EngineReplica(partition: $0, storage: pair.storage, range: .all, applied: point.position)
        }
        let records = [alone, other].map { id in
            var records = RecoveredPartition()
            records.add(.reset(id, point))
            return records
        }
        var core = pair.start(
            try topology(20, [.inSync, .inSync], generation: 3), [alone: records[0], other: records[1]],
            engine: engine)
        #expect(core.unvouched == [])
        core.wentBack(to: Generation(8))
        for (index, roles, generation, unvouched) in [
            (21, [.inSync, .inSync], 7, nil), (22, [.inSync, .learner], 8, [alone]), (23, [.inSync, .inSync], 8, [alone]),
            (24, [.learner, .inSync], 8, []), (25, [.inSync, .inSync], 8, []),
        ] as [(UInt64, [ReplicaRole], UInt64, [PartitionID]?)] {
            _ = core.step([.topology(try topology(index, roles, generation: generation))], at: .origin)
            #expect(core.unvouched == unvouched, "\(index)")
        }
    }
}
