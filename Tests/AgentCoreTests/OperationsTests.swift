import Model
import Replication
import Testing

@testable import AgentCore

@Suite struct OperationsTests {
    private func world(seed: UInt64, nodes: Int = 4) throws -> World {
        let world = try World(seed: seed, nodes: nodes)
        try world.catalog.createTable(on: Array(world.order.prefix(3)))
        #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
        return world
    }

    private func write(_ world: World, for span: Span) {
        let end = world.now + span
        while world.now < end {
            world.write()
            world.run(.milliseconds(2))
        }
    }

    @Test("a table becomes active when every agent has made its replicas, and takes writes")
    func createsTable() throws {
        let world = try world(seed: 1)
        write(world, for: .milliseconds(300))
        #expect(world.acknowledged.count > 20)
        #expect(world.settle() == [])
    }

    @Test("a primary that moves under writes hands its role over, and its data goes (M2, M3)")
    func movesPrimary() throws {
        let world = try world(seed: 2)
        write(world, for: .milliseconds(400))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        write(world, for: .milliseconds(1_500))
        #expect(world.partitions[0].primary == world.order[3], "\(world.describe())")
        #expect(world.partitions[0].replica(on: world.order[0]) == nil)
        #expect(world.settle() == [])
        #expect(world.machines[world.order[0]]!.engine.isEmpty)
    }

    @Test("a split under writes leaves two partitions that hold every write (M2)")
    func splits() throws {
        let world = try world(seed: 3)
        write(world, for: .milliseconds(400))
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        write(world, for: .milliseconds(800))
        #expect(world.partitions.count == 2, "\(world.describe())")
        let before = world.acknowledged.count
        write(world, for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50)
        #expect(world.settle() == [])
    }

    @Test("a dropped table's copies go and stay gone, on every node, after a split and a move too")
    func drops() throws {
        let world = try world(seed: 5)
        write(world, for: .milliseconds(200))
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        write(world, for: .milliseconds(800))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        write(world, for: .milliseconds(1_500))
        world.catalog.dropTables()
        let drop = world.catalog.topology.operations.values.max { $0.id < $1.id }
        let id = try #require(drop?.id)
        #expect(
            world.run(
                until: { world.catalog.topology.operations[id]?.phase == .succeeded }, atMost: .seconds(10)),
            "\(world.describe())")
        world.run(.seconds(1))
        for node in world.order { #expect(world.machines[node]?.engine.isEmpty == true, "\(node)") }
    }

    @Test("a primary is handed over with a short pause (M4)")
    func transfers() throws {
        let world = try world(seed: 4)
        write(world, for: .milliseconds(300))
        world.catalog.transfer(world.partitions[0].id, to: world.order[2])
        write(world, for: .milliseconds(400))
        #expect(world.partitions[0].primary == world.order[2])
        let before = world.acknowledged.count
        write(world, for: .milliseconds(200))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("a copy whose engine fails leaves the in-sync set, primary or not, and is built anew (F6)", arguments: [0, 1])
    func damagedCopy(place: Int) throws {
        let world = try world(seed: 5)
        write(world, for: .milliseconds(300))
        let machine = world.machines[world.order[place]]!
        world.give(machine, [.failed(world.partitions[0].id, "the disk")])
        write(world, for: .milliseconds(2_000))
        let before = world.acknowledged.count
        write(world, for: .milliseconds(200))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.damages.count == 1)
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }

    @Test("a primary whose disk has lost acknowledged entries does not impose its log on the others (E4)", arguments: 1...6)
    func lostTail(seed: UInt64) throws {
        let world = try world(seed: seed)
        write(world, for: .milliseconds(300))
        let primary = world.order[0]
        // The end of its log is taken away, though it had been synced.
        world.crash(primary)
        let disk = world.machines[primary]!.disk.count
        world.machines[primary]!.disk.removeLast(min(disk / 2, Int(seed) * 5))
        world.restart(primary)
        write(world, for: .milliseconds(3_000))
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }

    @Test("moves, splits and transfers among crashes and lost messages lose nothing and leave nothing behind", arguments: 0..<4)
    func chaos(block: UInt64) throws {
        for seed in (block * 8)..<(block * 8 + 8) {
            let world = try world(seed: seed &+ 1_000, nodes: 5)
            for _ in 0..<40 {
                write(world, for: .milliseconds(40))
                let partition = world.partitions.randomElement(using: &world.random)!
                let anyone = world.order.randomElement(using: &world.random)!
                switch Int.random(in: 0..<10, using: &world.random) {
                case 0, 1:
                    world.catalog.move(
                        partition.id, from: partition.replicas.randomElement(using: &world.random)?.node, to: anyone)
                case 2: world.catalog.split(partition.id, at: World.key(UInt64.random(in: 0..<65_536, using: &world.random)))
                case 3: world.catalog.transfer(partition.id, to: anyone)
                case 4: world.crash(anyone)
                case 5:
                    for id in world.order where !world.machines[id]!.isUp {
                        world.catalog.nodeFailed(id, random: &world.random)
                    }
                case 6, 7: for id in world.order { world.restart(id) }
                case 8: world.coordinatorsUp.toggle()
                default: world.coordinatorsUp = true
                }
                for id in world.order where world.machines[id]!.isUp && world.coordinatorsUp { world.catalog.revive(id) }
            }
            let found = world.settle().prefix(3).joined(separator: "; ")
            #expect(found == "", "seed \(seed)")
        }
    }
}

extension World {
    var partitions: [PartitionDescriptor] { catalog.topology.partitions.values.sorted { $0.id < $1.id } }
}
