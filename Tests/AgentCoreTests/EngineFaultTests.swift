import Model
import Replication
import Testing

@testable import AgentCore

/// Engines that fail, find no room, or cannot read what they hold (rule F6).
@Suite struct EngineFaultTests {
    private func world(seed: UInt64, nodes: Int = 4) throws -> World {
        try World.active(seed: seed, nodes: nodes)
    }

    @Test("a copy whose engine fails leaves the in-sync set, primary or not, and is built anew (F6)", arguments: [0, 1])
    func damagedCopy(place: Int) throws {
        let world = try world(seed: 5)
        world.write(for: .milliseconds(300))
        let machine = world.machines[world.order[place]]!
        world.give(machine, [.failed(world.partitions[0].id, "the disk")])
        world.write(for: .milliseconds(2_000))
        let before = world.acknowledged.count
        world.write(for: .milliseconds(200))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.damages.count == 1)
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }

    @Test("where a file has rotted, its copies are given up, those that can be read as well (F6)")
    func rottenFile() throws {
        let world = try world(seed: 5)
        world.write(for: .milliseconds(300))
        let follower = world.machines[world.order[1]]!
        let storage = try #require(world.partitions[0].replica(on: follower.id)?.storage)
        // Nobody's rows are said to be unreadable but another partition's, beside this one.
        world.give(follower, [.storageDamaged(storage, [PartitionID(77)], "page 3")])
        #expect(world.damages.count == 1)
        world.write(for: .milliseconds(2_000))
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }

    @Test("a copy that reads and stands alone is not given up for what has rotted beside it in its file (F6)")
    func rottenBeside() throws {
        let world = try world(seed: 5, nodes: 1)
        world.write(for: .milliseconds(300))
        let (id, alone) = (world.partitions[0].id, world.machines[world.order[0]]!)
        let storage = try #require(world.partitions[0].replica(on: alone.id)?.storage)
        world.give(alone, [.storageDamaged(storage, [PartitionID(77)], "page 3")])
        #expect(world.damages.isEmpty)
        world.give(alone, [.storageDamaged(storage, [id], "page 3")])
        #expect(world.damages.count == 1)
    }

    @Test("a primary whose engine has long found no room gives its role to one that has some, and its copy stays (F6)")
    func noRoomAtPrimary() throws {
        let world = try world(seed: 6)
        world.write(for: .milliseconds(300))
        let first = world.machines[world.order[0]]!
        let epoch = world.partitions[0].epoch
        first.lacksRoom = true
        world.write(for: .seconds(4))
        #expect(world.partitions[0].epoch == epoch, "it may pass")
        world.write(for: .seconds(3))
        #expect(world.partitions[0].primary != first.id && world.partitions[0].inSync.count == 3, "\(world.describe())")
        let before = world.acknowledged.count
        world.write(for: .milliseconds(200))
        #expect(world.acknowledged.count > before + 50)
        world.makeRoom(on: first.id)
        #expect(world.settle() == [])
        #expect(world.copies == 0)
    }

    @Test("where no engine finds room, none takes the role from another (F6)")
    func noRoomAnywhere() throws {
        let world = try world(seed: 6)
        world.write(for: .milliseconds(300))
        let (primary, epoch) = (world.partitions[0].primary, world.partitions[0].epoch)
        for id in world.order { world.machines[id]?.lacksRoom = true }
        world.write(for: .seconds(10))
        #expect(world.partitions[0].primary == primary && world.partitions[0].epoch == epoch, "\(world.describe())")
        for id in world.order { world.makeRoom(on: id) }
        #expect(world.settle() == [])
    }

    @Test("no role is handed to a node whose engine finds no room, and the transfer is not in the way of others (F6, M4)")
    func noRoomAtTarget() throws {
        let world = try world(seed: 6)
        world.write(for: .milliseconds(300))
        world.machines[world.order[2]]!.lacksRoom = true
        world.write(for: .seconds(2))
        world.catalog.transfer(world.partitions[0].id, to: world.order[2])
        world.write(for: .seconds(1))
        #expect(world.partitions[0].primary == world.order[0] && world.partitions[0].operation == nil, "\(world.describe())")
        world.makeRoom(on: world.order[2])
        world.write(for: .milliseconds(300))
        world.catalog.transfer(world.partitions[0].id, to: world.order[2])
        world.write(for: .seconds(1))
        #expect(world.partitions[0].primary == world.order[2])
        #expect(world.settle() == [])
    }

    @Test("an engine that cannot make a copy is asked again now and then, not all the time, until it can (F6)")
    func noRoomForCopy() throws {
        let world = try world(seed: 7)
        world.write(for: .milliseconds(300))
        world.catalog.move(world.partitions[0].id, from: world.order[1], to: world.order[3])
        let target = world.machines[world.order[3]]!
        target.makesNothing = true
        world.write(for: .seconds(10))
        #expect((5...11).contains(target.refusedCreations), "\(target.refusedCreations)")
        target.makesNothing = false
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }

    @Test("a damaged copy that the engine could not remove at first is removed later, and built anew (F6)")
    func removalFails() throws {
        let world = try world(seed: 5)
        world.write(for: .milliseconds(300))
        let machine = world.machines[world.order[1]]!
        machine.removesNothing = true
        world.give(machine, [.failed(world.partitions[0].id, "no room")])
        world.write(for: .seconds(3))
        #expect(world.partitions[0].inSync.count == 2)
        machine.removesNothing = false
        world.write(for: .seconds(3))
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }
}
