// What nodes tell of their disks, and what becomes of copies that nobody wants.

import Model
import Replication
import Testing

@testable import AgentCore

@Suite struct InventoryTests {
    private func world(seed: UInt64) throws -> World {
        let world = try World.active(seed: seed, nodes: 4)
        world.write(for: .milliseconds(300))
        return world
    }

    private func inventory(of node: NodeID, in world: World) throws -> Inventory {
        try #require(world.machines[node]).core.inventory
    }

    @Test("a node whose copies are in their places has no strays, also while it moves, splits and drops them")
    func noStrays() throws {
        let world = try world(seed: 51)
        for id in world.order.prefix(3) { #expect(try inventory(of: id, in: world).strays == []) }
        #expect(try inventory(of: world.order[0], in: world).replicas == 1)
        #expect(try inventory(of: world.order[3], in: world).replicas == 0)
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        var unwanted = 0
        for _ in 0..<400 {
            world.write()
            world.run(.milliseconds(5))
            for id in world.order {
                // A copy on its way out is told of as such.
                unwanted += try inventory(of: id, in: world).strays.count { !$0.isBeingRemoved }
            }
        }
        #expect(world.partitions.count == 2 && unwanted == 0, "\(unwanted)")
        #expect(world.settle() == [])
    }

    /// A copy of a partition of which no catalog knows, as a disk from elsewhere has it.
    private func plant(_ id: PartitionID, on node: NodeID, in world: World) throws {
        let machine = try #require(world.machines[node])
        world.crash(node)
        machine.engine[id] = World.Held(storage: StorageID(777), range: .all)
        machine.synced = machine.engine
        world.restart(node)
        world.run(.seconds(1))
    }

    @Test("a copy of an unknown partition is kept and told of, through restarts, until a record names it; then it goes")
    func unknownCopy() throws {
        let world = try world(seed: 52)
        let (id, node) = (PartitionID(madeAt: 3, ordinal: 9), world.order[3])
        try plant(id, on: node, in: world)
        let machine = try #require(world.machines[node])
        for _ in 0..<2 {
            #expect(machine.engine[id] != nil)
            let told = try inventory(of: node, in: world)
            #expect(told.strayCount == 1 && told.strays.map(\.partition) == [id])
            #expect(told.revision == machine.savedTopology.revision)
            #expect(told.strays.first?.isBeingRemoved == false)
            world.crash(node)
            world.restart(node)
            world.write(for: .milliseconds(500))
        }
        let held = try #require(try inventory(of: node, in: world).strays.first)
        world.catalog.removeOrphan(held, on: node)
        world.write(for: .seconds(1))
        #expect(machine.engine[id] == nil, "\(world.describe())")
        #expect(try inventory(of: node, in: world).strayCount == 0)
        #expect(world.settle() == [])
    }

    @Test("the removal of an orphan ends though its node stops at any moment of it")
    func removalCutOff() throws {
        for step in 0..<30 {
            let world = try world(seed: 53)
            let (id, node) = (PartitionID(madeAt: 3, ordinal: 9), world.order[1])
            try plant(id, on: node, in: world)
            let held = try #require(try inventory(of: node, in: world).strays.first)
            world.catalog.removeOrphan(held, on: node)
            let end = world.now + .milliseconds(Int64(step))
            while world.now < end { world.run(.microseconds(500)) }
            world.crash(node)
            world.run(.milliseconds(50))
            world.restart(node)
            #expect(world.settle() == [], "step \(step)")
            #expect(world.machines[node]?.engine[id] == nil, "step \(step)")
        }
    }

    @Test("a report names no more strays than fit, and how many there are; as they go, the others are named")
    func bounded() throws {
        let world = try world(seed: 54)
        let node = world.order[3]
        let machine = try #require(world.machines[node])
        world.crash(node)
        for ordinal in 0..<300 {
            let storage = StorageID(UInt64(ordinal))
            machine.engine[PartitionID(madeAt: 3, ordinal: ordinal)] = World.Held(storage: storage, range: .all)
        }
        machine.synced = machine.engine
        world.restart(node)
        let told = try inventory(of: node, in: world)
        #expect(told.strayCount == 300 && told.strays.count == Inventory.most && told.strays == told.strays.sorted())
    }
}
