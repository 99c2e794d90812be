import Model
import Replication
import Testing

@testable import AgentCore

@Suite struct OperationsTests {
    private func world(seed: UInt64, nodes: Int = 4) throws -> World {
        try World.active(seed: seed, nodes: nodes)
    }

    @Test("a table becomes active when every agent has made its replicas, and takes writes")
    func createsTable() throws {
        let world = try world(seed: 1)
        world.write(for: .milliseconds(300))
        #expect(world.acknowledged.count > 20)
        #expect(world.settle() == [])
    }

    @Test("a primary that moves under writes hands its role over, and its data goes (M2, M3)")
    func movesPrimary() throws {
        let world = try world(seed: 2)
        world.write(for: .milliseconds(400))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        world.write(for: .milliseconds(1_500))
        #expect(world.partitions[0].primary == world.order[3], "\(world.describe())")
        #expect(world.partitions[0].replica(on: world.order[0]) == nil)
        #expect(world.settle() == [])
        #expect(world.machines[world.order[0]]!.engine.isEmpty)
    }

    @Test("nothing is kept of an operation that has ended, though the topology shows it still")
    func keepsNothing() throws {
        let world = try world(seed: 2)
        world.write(for: .milliseconds(400))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        world.write(for: .milliseconds(1_500))
        #expect(world.settle() == [])
        world.run(.seconds(1))
        #expect(world.catalog.topology.operations.values.contains { $0.phase == .succeeded })
        for id in world.order {
            let kept = world.machines[id]!.core.holdings.filter { $0.count > 0 && !["appends", "changes"].contains($0.what) }
            #expect(kept.isEmpty, "\(id) keeps \(kept)")
        }
    }

    @Test("a new replica of more than a trifle is built from a snapshot, not by replay", arguments: 1...8)
    func copies(seed: UInt64) throws {
        let world = try world(seed: seed)
        world.write(for: .milliseconds(400))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        // Some snapshots are seconds late here.
        let end = world.now + .seconds(8)
        while world.now < end, !world.partitions[0].inSync.contains(world.order[3]) { world.write(for: .milliseconds(50)) }
        #expect(world.partitions[0].inSync.contains(world.order[3]) && world.copies > 0, "\(world.describe())")
    }

    @Test("a copy that fails is ordered again, but not for ever at once, and the move goes on when it can")
    func failingCopies() throws {
        var most = 0
        for seed in 1...8 {
            let world = try world(seed: UInt64(seed))
            world.write(for: .milliseconds(400))
            world.copiesFail = true
            world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
            world.run(.seconds(10))
            // Most learners have had the log replayed by then: their first words may come in either order.
            most = max(most, world.copies)
            world.copiesFail = false
            #expect(
                world.run(until: { world.partitions[0].inSync.contains(world.order[3]) }, atMost: .seconds(60)),
                "\(world.describe())")
        }
        #expect((4...9).contains(most), "\(most) copies")
    }

    @Test("a split under writes leaves two partitions that hold every write (M2)")
    func splits() throws {
        let world = try world(seed: 3)
        world.write(for: .milliseconds(400))
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        world.write(for: .milliseconds(800))
        #expect(world.partitions.count == 2, "\(world.describe())")
        let before = world.acknowledged.count
        world.write(for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50)
        #expect(world.settle() == [])
    }

    @Test("a merge under writes leaves one partition that holds every write of both (M2)")
    func merges() throws {
        let world = try world(seed: 3)
        world.write(for: .milliseconds(400))
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        world.write(for: .milliseconds(800))
        let halves = world.partitions.map(\.id)
        try #require(halves.count == 2, "\(world.describe())")
        world.catalog.merge(try #require(world.partitions.first { $0.range.low == .least }).id)
        world.write(for: .milliseconds(800))
        #expect(world.partitions.count == 1 && world.partitions[0].range == .all, "\(world.describe())")
        #expect(world.partitions[0].parents.map(\.partition) == halves)
        let before = world.acknowledged.count
        world.write(for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.settle() == [])
        for node in world.order { #expect((world.machines[node]?.engine.count ?? 0) <= 1, "\(node)") }
    }

    @Test("a dropped table's copies go and stay gone, on every node, after a split and a move too")
    func drops() throws {
        let world = try world(seed: 5)
        world.write(for: .milliseconds(200))
        world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        world.write(for: .milliseconds(800))
        world.catalog.move(world.partitions[0].id, from: world.order[0], to: world.order[3])
        world.write(for: .milliseconds(1_500))
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
        world.write(for: .milliseconds(300))
        world.catalog.transfer(world.partitions[0].id, to: world.order[2])
        world.write(for: .milliseconds(400))
        #expect(world.partitions[0].primary == world.order[2])
        let before = world.acknowledged.count
        world.write(for: .milliseconds(200))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("a half that moved away while a member was behind is made there, and removed with its rows (M2)", arguments: 1...4)
    func lateInstallation(seed: UInt64) throws {
        let world = try World.active(seed: seed, nodes: 4)
        world.write(for: .milliseconds(400))
        let (parent, late, spare) = (world.partitions[0].id, world.order[2], world.order[3])
        // It replicates, and hears of nothing that is decided.
        world.cut.insert([late, late])
        world.catalog.split(parent, at: Key([0x80]))
        #expect(world.run(until: { world.catalog.topology.retired[parent] != nil }), "\(world.describe())")
        world.catalog.nodeFailed(late)
        world.write(for: .seconds(2))
        #expect(world.partitions.allSatisfy { !$0.inSync.contains(late) }, "\(world.describe())")
        let upper = try #require(world.partitions.max { $0.range.low < $1.range.low }).id
        world.catalog.move(upper, from: late, to: spare)
        #expect(world.run(until: { world.catalog.topology.partitions[upper]?.replica(on: late) == nil }), "\(world.describe())")
        world.cut = []
        let lower = try #require(world.partitions.min { $0.range.low < $1.range.low }).id
        #expect(world.run(until: { world.machines[late]?.engine.keys.sorted() == [lower] }), "\(world.describe())")
        #expect(world.abandonedRows == 0)
        #expect(world.settle() == [])
    }

    @Test(
        "a half that moved away and was split again while a member was behind leaves no rows there, after a start in between too (M2)",
        arguments: [1, 2, 3, 4], [false, true])
    func lateInstallationOfEndedHalf(seed: UInt64, starts: Bool) throws {
        let world = try World.active(seed: seed, nodes: 4)
        world.write(for: .milliseconds(400))
        let (parent, late, spare) = (world.partitions[0].id, world.order[2], world.order[3])
        world.cut.insert([late, late])
        world.catalog.split(parent, at: Key([0x80]))
        #expect(world.run(until: { world.catalog.topology.retired[parent] != nil }), "\(world.describe())")
        world.catalog.nodeFailed(late)
        world.write(for: .seconds(2))
        let halves = world.partitions.sorted { $0.range.low < $1.range.low }
        // The lower one of the first seeds, the upper one of the others.
        let (ended, kept) = seed % 2 == 0 ? (halves[0], halves[1]) : (halves[1], halves[0])
        world.catalog.move(ended.id, from: late, to: spare)
        #expect(world.run(until: { world.catalog.topology.partitions[ended.id]?.replica(on: late) == nil }))
        world.write(for: .seconds(1))
        world.catalog.split(ended.id, at: Key([seed % 2 == 0 ? 0x40 : 0xC0]))
        #expect(world.run(until: { world.catalog.topology.retired[ended.id] != nil }), "\(world.describe())")
        let machine = try #require(world.machines[late])
        machine.holdsInstallations = starts
        world.cut = []
        if starts {
            // Its disk shows that the parent is no more, and nothing but the engine shows what the parent covered.
            #expect(world.run(until: { machine.savedTopology.retired[ended.id] != nil && !machine.waiting.isEmpty }))
            world.crash(late)
            machine.holdsInstallations = false
            world.restart(late)
        }
        #expect(world.run(until: { machine.engine.keys.sorted() == [kept.id] }), "\(world.describe())")
        #expect(world.abandonedRows == 0)
        #expect(world.settle() == [])
    }

    @Test("where a member installs the halves of a split last, the primary need not ask it again (M2, R5)", arguments: 1...4)
    func lastToInstall(seed: UInt64) throws {
        let world = try World.active(seed: seed, nodes: 3, loss: 0)
        world.write(for: .milliseconds(400))
        let (parent, late) = (world.partitions[0].id, try #require(world.machines[world.order[2]]))
        late.holdsInstallations = true
        world.catalog.split(parent, at: Key([0x80]))
        #expect(world.run(until: { world.machines[world.order[0]]?.engine[parent] == nil && !late.waiting.isEmpty }))
        // Longer than an answer takes; and it was asked a moment ago.
        world.run(.milliseconds(60))
        world.makeRoom(on: late.id)
        let first = try #require(world.machines[world.order[0]])
        let areServed = { world.partitions.count == 2 && first.core.replicas(at: world.clock(first)).allSatisfy(\.isServing) }
        #expect(!areServed())
        #expect(world.run(until: areServed, atMost: .milliseconds(25), step: .milliseconds(1)), "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("a primary whose disk has lost acknowledged entries does not impose its log on the others (E4)", arguments: 1...6)
    func lostTail(seed: UInt64) throws {
        let world = try world(seed: seed)
        world.write(for: .milliseconds(300))
        let primary = world.order[0]
        // The end of its log is taken away, though it had been synced.
        world.crash(primary)
        let disk = world.machines[primary]!.disk.count
        world.machines[primary]!.disk.removeLast(min(disk / 2, Int(seed) * 5))
        world.restart(primary)
        world.write(for: .milliseconds(3_000))
        world.damages = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync.count == 3)
    }
}

extension World {
    func resumeAll() { for id in catalog.topology.operations.keys.sorted() { catalog.resume(id) } }
    var partitions: [PartitionDescriptor] { catalog.topology.partitions.values.sorted { $0.id < $1.id } }
}
