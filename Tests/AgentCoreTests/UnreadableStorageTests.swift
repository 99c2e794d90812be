// One database of several that does not open, at a node that starts with the others (rules R9, L1, M3, R6).

import Model
import Replication
import Testing

@testable import AgentCore

extension OldDiskTests {
    @Test("a storage that cannot be opened damages what is in it and nothing else: its node starts and is filled anew (E4, F6)")
    func unreadableStorage() throws {
        let world = try world(seed: 17)
        let (victim, other) = (world.order[0], world.order[3])
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        #expect(world.run(until: { world.partitions.count == 2 && world.isAtRest }))
        // One of the halves moves into a storage of its own.
        let moved = world.partitions[1].id
        world.catalog.move(moved, from: victim, to: other)
        #expect(world.run(until: { world.isAtRest && world.partitions[1].replica(on: other)?.role == .inSync }))
        world.catalog.move(moved, from: other, to: victim)
        #expect(world.run(until: { world.isAtRest && world.partitions[1].replica(on: victim)?.role == .inSync }))
        work(world, for: .milliseconds(300))
        let machine = try #require(world.machines[victim])
        let held = world.partitions.compactMap { $0.replica(on: victim)?.storage }
        #expect(Set(held).count == 2)
        world.crash(victim)
        world.mayDamage = true
        world.restart(victim, unreadable: [held[0]])
        #expect(machine.damaged == [world.partitions[0].id])
        world.mayDamage = false
        #expect(world.run(until: { world.isAtRest && world.partitions.allSatisfy { $0.inSync.count == 3 } }))
        #expect(machine.unreadable.isEmpty && machine.engine.count == 2)
        work(world, for: .milliseconds(300))
        #expect(world.settle() == [])
    }

    @Test("the log keeps what it has of a storage that cannot be opened, for the day on which it can (R9)")
    func keepsLogOfUnreadable() throws {
        let world = try world(seed: 19)
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        #expect(world.run(until: { world.partitions.count == 2 && world.isAtRest }))
        let victim = world.order[0]
        let machine = try #require(world.machines[victim])
        // What its engine has on disk is old, as after a loss of power.
        let synced = machine.synced
        work(world, for: .milliseconds(300))
        machine.synced = synced
        world.coordinatorsUp = false
        for id in world.order { world.crash(id) }
        machine.synced = synced
        machine.engine = synced
        world.restart(victim)
        let held = machine.core.replicas(at: world.now).map(\.last)
        #expect(held.contains { $0.sequence > 10 })
        world.crash(victim)
        world.mayDamage = true
        for _ in 0..<3 {
            world.restart(victim, unreadable: Set(world.partitions.compactMap { $0.replica(on: victim)?.storage }))
            #expect(machine.damaged == world.partitions.map(\.id))
            world.run(.milliseconds(100))
            world.truncate(machine)
            world.crash(victim)
        }
        world.restart(victim, readsAgain: true)
        #expect(machine.damaged == [])
        #expect(machine.core.replicas(at: world.now).map(\.last) == held)
        world.mayDamage = false
        #expect(world.settle() == [])
    }

    @Test("nothing of a storage that cannot be opened is removed by a topology of the past, as newer ones may count on it (M3)")
    func unreadableBehind() throws {
        let world = try world(seed: 22)
        let target = world.order[3]
        let id = world.partitions[0].id
        let machine = try #require(world.machines[target])
        world.lateMirrors = [target]
        work(world, for: .milliseconds(100))
        world.catalog.move(id, from: world.order[2], to: target)
        let mid = world.catalog.topology
        #expect(mid.partitions[id]?.replica(on: target)?.role == .learner)
        #expect(world.run(until: { world.partitions[0].inSync.contains(target) && world.isAtRest }))
        work(world, for: .milliseconds(300))
        world.catalog.transfer(id, to: target)
        #expect(world.run(until: { world.partitions[0].primary == target && world.isAtRest }))
        work(world, for: .milliseconds(100))
        for other in world.partitions[0].inSync where other != target { world.catalog.evict(id, other) }
        let storage = try #require(world.partitions[0].replica(on: target)?.storage)
        for other in world.order { world.crash(other) }
        world.coordinatorsUp = false
        world.mayDamage = true
        world.restart(target, unreadable: [storage])
        // Its mirror names nothing, and its log does.
        #expect(machine.core.topology.partitions[id]?.replica(on: target) == nil)
        #expect(machine.damaged == [id])
        world.truncate(machine)
        world.give(machine, [.topology(mid)])
        world.run(.milliseconds(500))
        world.truncate(machine)
        #expect(machine.engine[id] != nil && machine.unreadable == [storage])
        #expect(machine.core.inventory.replicas == 1)
        // Nor by the newest: nobody else has what was written.
        world.coordinatorsUp = true
        world.run(.seconds(2))
        world.truncate(machine)
        #expect(world.partitions[0].inSync == [target])
        #expect(machine.engine[id] != nil && machine.unreadable == [storage])
        world.crash(target)
        world.restart(target, readsAgain: true)
        #expect(machine.damaged == [])
        #expect(world.settle() == [])
    }

    /// A node that starts, and one that asks it for a lease over the partitions that both hold.
    struct Pair {
        let (own, peer): (NodeID, NodeID)
        let nodes: [TopologyChange]
        let storage = StorageID(9)

        init() throws {
            let (own, peer) = (try NodeID("n1"), try NodeID("n2"))
            let zone = try ZoneName("a")
            nodes = [(own, UInt64(1)), (peer, 2)].map { node, store in
                .node(
                    NodeDescriptor(
                        id: node, store: StoreID(store), session: SessionID(5), generation: Generation(3), zone: zone,
                        addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), status: .healthy))
            }
            (self.own, self.peer) = (own, peer)
        }

        func topology(_ index: UInt64, _ changes: [TopologyChange] = []) -> Topology {
            Topology(revision: Revision(history: 1, index: index), changes: nodes + changes)
        }

        func partition(_ id: PartitionID, epoch: UInt64, origin: Position = .zero) -> PartitionDescriptor {
            PartitionDescriptor(
                id: id, table: TableID(10), range: .all, epoch: Epoch(epoch), primary: peer,
                replicas: [(own, UInt64(1)), (peer, 2)].map {
                    ReplicaDescriptor(node: $0.0, store: StoreID($0.1), storage: storage, role: .inSync)
                }, status: .active, origin: origin)
        }

        func start(
            _ topology: Topology, _ records: [PartitionID: RecoveredPartition], engine: [EngineReplica] = [],
            unreadable: [StorageID: String] = [:]
        ) -> AgentCore {
            var core = AgentCore(
                identity: AgentIdentity(node: own, store: StoreID(1), generation: Generation(4)), topology: topology,
                recovered: records, engine: engine, unreadable: unreadable, startedAt: .origin)
            _ = core.start(at: .origin)
            return core
        }

        /// What it grants no lease over.
        func exclusions(by core: inout AgentCore) -> [LeaseExclusion]? {
            let request = LeaseRequest(number: 1, revision: core.topology.revision)
            for case .send(.leaseGrant(let grant), _) in core.step(
                [.received(.leaseRequest(request), from: peer)], at: .origin)
            {
                return grant.exclusions
            }
            return nil
        }
    }

    @Test("nobody gets a lease over what should be where nothing can be read, by a topology that may be of the past (L1)")
    func grantsByOldTopologies() throws {
        let pair = try Pair()
        let id = PartitionID(11)
        let newer = pair.topology(21, [.partition(pair.partition(id, epoch: 4))])
        for (proven, isExcluded) in [(nil, true), (Epoch(3), true), (Epoch(4), false)] {
            var records = RecoveredPartition()
            if let proven { records.add(.hardState(id, HardState(epoch: proven))) } else { records.add(.dropped(id)) }
            for isToldLater in [false, true] {
                var core = pair.start(
                    isToldLater ? pair.topology(20) : newer, [id: records], unreadable: [pair.storage: "page 1"])
                if isToldLater { _ = core.step([.topology(newer)], at: .origin) }
                let expected = isExcluded ? [LeaseExclusion(partition: id, epoch: Epoch(5))] : []
                #expect(
                    pair.exclusions(by: &core) == expected, "\(String(describing: proven)), told later: \(isToldLater)")
            }
        }
    }

    @Test("a start gives leases over the halves of a split that it has yet to install out of their parent (L1, R7)")
    func grantsBeforeInstalling() throws {
        let pair = try Pair()
        let (parent, child) = (PartitionID(11), PartitionID(12))
        let origin = Position(epoch: Epoch(4), run: 1, sequence: 7)
        var records = RecoveredPartition()
        records.add(.reset(parent, LogPoint(position: origin, checksum: 3)))
        records.add(.hardState(parent, HardState(epoch: Epoch(4), run: 1)))
        let split = pair.topology(
            21,
            [
                .partitionRetired(parent, epoch: Epoch(4), children: [child]),
                .partition(pair.partition(child, epoch: 5, origin: origin)),
            ])
        let engine = [EngineReplica(partition: parent, storage: pair.storage, range: .all, applied: origin)]
        var core = pair.start(split, [parent: records], engine: engine)
        #expect(pair.exclusions(by: &core) == [])
    }

    @Test(
        "a copy that its log gave up for a snapshot that had not begun is no damage under a mirror from before (E4)"
    )
    func givenUpUnderAnOldMirror() throws {
        let pair = try Pair()
        let id = PartitionID(11)
        var records = RecoveredPartition()
        records.add(.dropped(id))
        records.add(.hardState(id, HardState(epoch: Epoch(5), isCopied: true)))
        let engine = [
            EngineReplica(
                partition: id, storage: pair.storage, range: .all, applied: Position(epoch: Epoch(4), run: 1, sequence: 7))
        ]
        var core = pair.start(pair.topology(20, [.partition(pair.partition(id, epoch: 4))]), [id: records], engine: engine)
        #expect(core.damagedPartitions == [] && core.unvouched == [])
        // What it is told later says that it learns; the rows are not what it has.
        let evicted = PartitionDescriptor(
            id: id, table: TableID(10), range: .all, epoch: Epoch(5), primary: pair.peer,
            replicas: [(pair.own, UInt64(1), ReplicaRole.learner), (pair.peer, 2, .inSync)].map {
                ReplicaDescriptor(node: $0.0, store: StoreID($0.1), storage: pair.storage, role: $0.2)
            }, status: .active)
        _ = core.step([.topology(pair.topology(21, [.partition(evicted)]))], at: .origin)
        let status = core.replicas(at: .origin).first { $0.partition == id }
        #expect(core.damagedPartitions == [] && status?.last.sequence == 0)
    }

    @Test("of a storage that cannot be opened nothing is removed while one of those in it may be the last copy there is (R6)")
    func lastCopyInUnreadable() throws {
        let world = try world(seed: 18)
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        #expect(world.run(until: { world.partitions.count == 2 && world.isAtRest }))
        work(world, for: .milliseconds(300))
        let (victim, others) = (world.order[0], Array(world.order[1...2]))
        let (lonely, shared) = (world.partitions[0].id, world.partitions[1].id)
        for other in others { world.catalog.evict(lonely, other) }
        let copies = world.machines[victim]?.engine.count
        world.crash(victim)
        world.mayDamage = true
        world.restart(victim, unreadable: Set(world.partitions.compactMap { $0.replica(on: victim)?.storage }))
        #expect(world.machines[victim]?.damaged == [lonely, shared])
        world.run(.seconds(5))
        #expect(world.catalog.topology.partitions[lonely]?.inSync == [victim])
        #expect(world.catalog.topology.partitions[shared]?.inSync.contains(victim) == false)
        #expect(world.machines[victim]?.engine.count == copies)
        #expect(world.machines[victim]?.unreadable.isEmpty == false)
        #expect(world.violations == [])
    }
}
