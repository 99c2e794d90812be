import Model
import Movement
import Replication
import Testing

@testable import AgentCore

/// What an agent asks for that finds a partition too large or too hot.
@Suite struct SplitRequestTests {
    /// Measures for so long, every two seconds, while clients write: at each node, of each partition of which it has a copy.
    private func measure(_ world: World, for span: Span, _ load: (PartitionDescriptor) -> PartitionLoad) {
        let end = world.now + span
        while world.now < end {
            for id in world.order {
                guard let machine = world.machines[id], machine.isUp else { continue }
                let held = world.partitions.filter { $0.replica(on: id) != nil }
                world.give(machine, [.loadMeasured(held.map(load))])
            }
            for _ in 0..<4 {
                world.write(for: .milliseconds(40))
                world.run(.milliseconds(460))
            }
        }
    }

    /// Three nodes with one table, whose operators want hot partitions split.
    private func watched(seed: UInt64) throws -> World {
        let world = try World.active(seed: seed, nodes: 3)
        world.catalog.configure("split_operations_per_second", "20000")
        return world
    }

    private func hot(_ partition: PartitionDescriptor) -> PartitionLoad {
        PartitionLoad(partition: partition.id, bytes: 0, operationsPerSecond: 1e6)
    }

    private func quiet(_ partition: PartitionDescriptor) -> PartitionLoad {
        PartitionLoad(partition: partition.id, bytes: 1 << 20, operationsPerSecond: 100)
    }

    @Test("a partition that is hot for ten seconds is split at the key that its primary has found (M2)", arguments: 1...4)
    func splits(seed: UInt64) throws {
        let world = try watched(seed: seed)
        world.splitKey = Key([0x60])
        measure(world, for: .seconds(8), hot)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 0, "\(world.describe())")
        measure(world, for: .seconds(8), hot)
        let found = world.partitions.map(\.range).sorted { $0.low < $1.low }
        #expect(found == [KeyRange(low: .least, high: Key([0x60])), KeyRange(low: Key([0x60]), high: nil)])
        #expect(world.settle() == [])
    }

    @Test("one that holds too much is split too; one that does neither is left alone")
    func size() throws {
        let world = try watched(seed: 3)
        world.splitKey = Key([0x60])
        measure(world, for: .seconds(30), quiet)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 0)
        measure(world, for: .seconds(16)) { PartitionLoad(partition: $0.id, bytes: 1 << 50, operationsPerSecond: 0) }
        #expect(world.partitions.count == 2, "\(world.describe())")
    }

    @Test("the limits are those that are configured for the node, and zero is none")
    func configured() throws {
        let world = try watched(seed: 4)
        world.splitKey = Key([0x60])
        world.catalog.configure("split_operations_per_second", "0")
        measure(world, for: .seconds(30), hot)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 0, "\(world.describe())")
        world.catalog.configure("split_operations_per_second", "50")
        measure(world, for: .seconds(16), quiet)
        #expect(world.partitions.count == 2, "\(world.describe())")
    }

    @Test("a node asks for one split in a minute, however hot all of its partitions are")
    func onePerMinute() throws {
        let world = try watched(seed: 5)
        world.splitKey = Key([0x60])
        measure(world, for: .seconds(16), hot)
        #expect(world.partitions.count == 2, "\(world.describe())")
        world.splitKey = Key([0x30])
        measure(world, for: .seconds(40), hot)
        #expect(world.partitions.count == 2 && world.splitKeysAsked == 1, "\(world.describe())")
        measure(world, for: .seconds(24), hot)
        #expect(world.partitions.count == 3 && world.splitKeysAsked == 2, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("what no key halves is left alone for ten minutes")
    func noKey() throws {
        let world = try watched(seed: 6)
        measure(world, for: .seconds(100), hot)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 1)
        #expect(world.settle() == [])
    }

    @Test("a split whose gate does not open ends after a minute, and is asked for again after a rest behind that (M4)")
    func gateStaysShut() throws {
        let world = try watched(seed: 9)
        world.splitKey = Key([0x60])
        let follower = try #require(world.order.first { $0 != world.partitions[0].primary })
        measure(world, for: .seconds(4), hot)
        world.machines[follower]?.lacksRoom = true
        measure(world, for: .seconds(10), hot)
        let operation = try #require(world.partitions[0].operation)
        measure(world, for: .seconds(62), hot)
        #expect(world.catalog.topology.operations[operation]?.phase == .aborted, "\(world.describe())")
        world.makeRoom(on: follower)
        measure(world, for: .seconds(50), hot)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 1, "\(world.describe())")
        measure(world, for: .seconds(30), hot)
        #expect(world.partitions.count == 2, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("nothing is asked for while an operation is under way, nor with a key that comes meanwhile")
    func busy() throws {
        let world = try World.active(seed: 7, nodes: 4)
        world.splitKey = Key([0x60])
        world.write(for: .milliseconds(400))
        world.catalog.move(world.partitions[0].id, from: world.order[1], to: world.order[3])
        let operation = try #require(world.partitions[0].operation)
        world.catalog.pause(operation)
        measure(world, for: .seconds(30), hot)
        #expect(world.splitKeysAsked == 0 && world.partitions[0].operation == operation, "\(world.describe())")
        let primary = try #require(world.partitions[0].primary)
        world.give(try #require(world.machines[primary]), [.splitKeyFound(world.partitions[0].id, Key([0x60]))])
        world.run(.seconds(1))
        #expect(world.machines[primary]?.core.wantedSplit == nil)
    }

    @Test("a request is repeated until it is answered, though no coordinator is in reach for a while, and then made once")
    func repeated() throws {
        let world = try watched(seed: 8)
        world.splitKey = Key([0x60])
        measure(world, for: .seconds(8), hot)
        world.coordinatorsUp = false
        measure(world, for: .seconds(8), hot)
        #expect(world.partitions.count == 1 && world.splitKeysAsked == 1)
        world.coordinatorsUp = true
        measure(world, for: .seconds(6), quiet)
        #expect(world.partitions.count == 2, "\(world.describe())")
        #expect(world.settle() == [])
    }
}
