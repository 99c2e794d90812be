import Model
import Replication
import Testing

@testable import AgentCore

/// Merges of what splits have left, in the small world.
@Suite struct MergeTests {
    /// Two halves of one table on three nodes, written to.
    private func halves(seed: UInt64) throws -> World {
        let world = try World.active(seed: seed, nodes: 4)
        write(world, for: .milliseconds(200))
        // A fence may not end in time: then an operator asks again.
        for _ in 0..<5 where world.partitions.count == 1 {
            world.catalog.split(world.partitions[0].id, at: Key([0x80]))
            write(world, for: .milliseconds(800))
        }
        try #require(world.partitions.count == 2, "\(world.describe())")
        return world
    }

    private func write(_ world: World, for span: Span) {
        let end = world.now + span
        while world.now < end {
            world.write()
            world.callByOldRoutes()
            world.run(.milliseconds(2))
        }
    }

    private func begin(_ world: World) throws -> OperationID {
        let left = try #require(world.partitions.first { $0.range.low == .least })
        world.catalog.merge(left.id)
        return try #require(world.catalog.topology.partitions[left.id]?.operation, "\(world.describe())")
    }

    private func isFenced(_ world: World) -> Bool {
        guard let machine = world.partitions[0].primary.flatMap({ world.machines[$0] }) else { return false }
        return machine.core.replicas(at: world.now).filter(\.isFenced).count == 2
    }

    @Test("whoever starts again in the midst of a merge, it ends before or after, and loses nothing (M3)", arguments: 0..<40)
    func crashes(seed: UInt64) throws {
        let world = try halves(seed: 500 + seed)
        let operation = try begin(world)
        // The gate takes some 60 ms, all the rest some 40.
        write(world, for: .milliseconds(50 + Int64(seed) * 2))
        let victim = world.order[Int(seed % 3)]
        world.crash(victim)
        if seed % 4 == 3 { world.run(.milliseconds(20)) }
        world.restart(victim)
        write(world, for: .milliseconds(1_500))
        #expect(world.settle() == [])
        let isMerged = world.catalog.topology.operations[operation]?.phase == .succeeded
        #expect(world.partitions.count == (isMerged ? 1 : 2), "\(world.describe())")
    }

    @Test("fences that no coordinator hears of stand, and end together when one is in reach again (M4)", arguments: 0..<4)
    func noQuorum(seed: UInt64) throws {
        let world = try halves(seed: 560 + seed)
        let operation = try begin(world)
        try #require(world.run(until: { isFenced(world) }, atMost: .seconds(2), step: .milliseconds(1)))
        world.coordinatorsUp = false
        write(world, for: .seconds(2))
        #expect(isFenced(world), "\(world.describe())")
        world.coordinatorsUp = true
        write(world, for: .seconds(1))
        #expect(world.catalog.topology.operations[operation]?.phase != .running)
        let before = world.acknowledged.count
        write(world, for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("a cancelled merge takes its records back in both logs, and another one succeeds (M2)", arguments: 0..<4)
    func cancelled(seed: UInt64) throws {
        let world = try halves(seed: 570 + seed)
        let operation = try begin(world)
        try #require(world.run(until: { isFenced(world) }, atMost: .seconds(2), step: .milliseconds(1)))
        world.run(.milliseconds(Int64(seed) * 2))
        world.catalog.cancel(operation)
        write(world, for: .milliseconds(400))
        if world.catalog.topology.operations[operation]?.phase == .aborted {
            #expect(world.partitions.count == 2 && !isFenced(world))
            _ = try begin(world)
            write(world, for: .milliseconds(800))
        }
        #expect(world.partitions.count == 1, "\(world.describe())")
        #expect(world.settle() == [])
    }

    /// A merge is committed, and one member, a follower if nothing else is asked for, has both halves on its disk still.
    private func late(_ world: World, _ member: Int = 1) throws -> World.Machine {
        let machine = try #require(world.machines[world.order[member]])
        world.run(.milliseconds(200))
        let operation = try begin(world)
        // The primary's own engine has to have the records before it proposes anything.
        let isTime = {
            member == 0 ? world.catalog.topology.operations[operation]?.phase == .succeeded : isFenced(world)
        }
        try #require(world.run(until: isTime, atMost: .seconds(2), step: .milliseconds(1)))
        // Its engine takes in no more; what it has is on disk.
        machine.lacksRoom = true
        try #require(
            world.run(until: { machine.savedTopology.partitions.count == 1 }, atMost: .seconds(2), step: .milliseconds(1)),
            "\(world.describe())")
        return machine
    }

    @Test("a member that starts again behind the commit installs what was merged, and its lease is as good as before (M2, L1)")
    func startsBehind() throws {
        let world = try halves(seed: 580)
        let machine = try late(world)
        world.crash(machine.id)
        machine.lacksRoom = false
        #expect(machine.engine.count == 2)
        world.restart(machine.id)
        let id = world.partitions[0].id
        let (epoch, primary) = (world.partitions[0].epoch, try #require(world.machines[world.order[0]]))
        let isLeased = {
            primary.core.replicas(at: world.clock(primary)).contains { $0.partition == id && $0.isServing && $0.hasLease }
        }
        #expect(world.run(until: isLeased, atMost: .seconds(2)), "\(world.describe())")
        #expect(world.partitions[0].epoch == epoch, "nobody had to leave for it")
        #expect(world.settle() == [])
    }

    @Test("a member that has lost one of the two ends gives both up, and is filled by a peer (E4)", arguments: 0..<2)
    func lostEnd(place: Int) throws {
        let world = try halves(seed: 590)
        let ids = world.partitions.map(\.id)
        let machine = try late(world)
        world.crash(machine.id)
        machine.lacksRoom = false
        // Everything of that half but what its engine has.
        machine.disk.removeAll { $0.record.partition == ids[place] && isEntry($0.record, after: machine.engine[ids[place]]) }
        machine.persisted = machine.disk.count
        world.mayDamage = true
        world.restart(machine.id)
        write(world, for: .seconds(4))
        world.mayDamage = false
        #expect(world.settle() == [])
        #expect(world.partitions.count == 1 && world.partitions[0].inSync.count == 3, "\(world.describe())")
        #expect(world.copies > 0, "nothing was taken from the half that was left")
    }

    @Test("whoever loses a half before it is merged leaves, leader or not, and is filled (F6)", arguments: 0..<4)
    func failedHalf(way: Int) throws {
        var found: (world: World, ids: [PartitionID], machine: World.Machine)?
        // Where its engine was told already, nobody knows what that has made of the halves.
        for seed in 600..<640 where found == nil {
            let world = try halves(seed: UInt64(seed))
            let ids = world.partitions.map(\.id)
            let machine = try late(world, way / 2)
            let isTold = machine.waiting.contains { if case .installChildren = $0 { true } else { false } }
            if !isTold { found = (world, ids, machine) }
        }
        let (world, ids, machine) = try #require(found)
        world.mayDamage = true
        machine.waiting = []
        world.give(machine, [.failed(ids[way % 2], "page 3 is not what was written")])
        machine.lacksRoom = false
        write(world, for: .seconds(4))
        world.mayDamage = false
        let before = world.acknowledged.count
        write(world, for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        #expect(world.settle() == [])
        #expect(world.partitions.count == 1 && world.partitions[0].inSync.count == 3, "\(world.describe())")
        #expect(world.copies > 0)
    }

    @Test("a half that the log has given up is not merged: rows of it may be gone (M3)", arguments: 0..<2)
    func halfRemoved(place: Int) throws {
        let world = try halves(seed: 595)
        let machine = try late(world)
        world.crash(machine.id)
        machine.lacksRoom = false
        let merged = world.partitions[0]
        for (index, parent) in merged.parents.enumerated() {
            var held = try #require(machine.engine[parent.partition])
            held.applied = parent.end
            held.rows = Set(world.acknowledged.filter { held.range.contains(World.key($0)) })
            if index == place {
                held.rows = []
                machine.disk.append((0, .dropped(parent.partition)))
            }
            machine.engine[parent.partition] = held
        }
        machine.synced = machine.engine
        machine.persisted = machine.disk.count
        world.mayDamage = true
        world.restart(machine.id)
        write(world, for: .seconds(4))
        world.mayDamage = false
        #expect(world.settle() == [])
        #expect(world.partitions.count == 1 && world.partitions[0].inSync.count == 3, "\(world.describe())")
        #expect(world.copies > 0, "what was left of a half was taken for it")
    }

    @Test("what was merged and then given up is not taken for whole by the next start: its removal may have begun (M3)")
    func mergedRemoved() throws {
        let world = try halves(seed: 596)
        let machine = try late(world)
        world.crash(machine.id)
        machine.lacksRoom = false
        let merged = world.partitions[0]
        let storage = try #require(machine.engine.values.first?.storage)
        machine.disk += (merged.parents.map(\.partition) + [merged.id]).map { (0, PartitionRecord.dropped($0)) }
        machine.persisted = machine.disk.count
        machine.engine = [merged.id: World.Held(storage: storage, range: merged.range, applied: merged.origin)]
        machine.synced = machine.engine
        world.mayDamage = true
        world.restart(machine.id)
        write(world, for: .seconds(4))
        world.mayDamage = false
        #expect(world.settle() == [])
        #expect(world.partitions.count == 1 && world.partitions[0].inSync.count == 3, "\(world.describe())")
        #expect(world.copies > 0, "what was left was taken for whole")
    }

    /// An operation is committed, and the engine of a follower, which has all that it takes, was told to install what came of it
    /// and has not begun.
    private func ordered(_ world: World, _ begin: () throws -> Void) throws -> World.Machine {
        let machine = try #require(world.machines[world.order[1]])
        machine.holdsInstallations = true
        // A fence may not end in time: then an operator asks again.
        for _ in 0..<5 where machine.waiting.isEmpty {
            world.run(.milliseconds(200))
            try begin()
            _ = world.run(until: { !machine.waiting.isEmpty }, atMost: .seconds(1), step: .milliseconds(1))
        }
        try #require(machine.waiting.count == 1, "\(world.describe())")
        return machine
    }

    @Test(
        "what fails when the engine was told to merge or cut it stays until that is done, and what comes of it is no good (M2, F6)",
        arguments: 0..<6)
    func failsBehindOrder(way: Int) throws {
        let isSplit = way >= 4
        var world = try World(seed: 620 + UInt64(way), nodes: 4)
        if isSplit {
            try world.catalog.createTable(on: Array(world.order.prefix(3)))
            #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
            write(world, for: .milliseconds(200))
        } else {
            world = try halves(seed: 620 + UInt64(way))
        }
        let machine = try ordered(world) {
            guard isSplit else {
                _ = try begin(world)
                return
            }
            world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        }
        let parents = machine.engine.keys.sorted()
        #expect(parents.count == (isSplit ? 1 : 2))
        // Removals run past what is quick, as on a full disk, or wait behind it.
        machine.holdsRemovals = way % 2 == 1
        let removals = machine.removals
        world.mayDamage = true
        world.give(machine, [.failed(parents[way / 2 % parents.count], "page 3 is not what was written")])
        let isOut = { world.partitions.allSatisfy { $0.learners.contains(machine.id) } }
        #expect(world.run(until: isOut, atMost: .seconds(1)), "the others wait for it: \(world.describe())")
        write(world, for: .milliseconds(1_500))
        #expect(machine.removals == removals && machine.waiting.count == 1 && machine.engine.keys.sorted() == parents)
        let copies = world.copies
        world.makeRoom(on: machine.id)
        write(world, for: .seconds(4))
        world.mayDamage = false
        #expect(world.settle() == [])
        #expect(world.partitions.allSatisfy { $0.inSync.count == 3 }, "\(world.describe())")
        #expect(world.copies >= copies + world.partitions.count, "what came of a damaged half was taken for whole")
    }

    @Test("an installation at which the engine fails is given up, and what was to come of it is filled by a peer (F6)")
    func failedInstallation() throws {
        let world = try halves(seed: 630)
        let machine = try ordered(world) { _ = try begin(world) }
        let parents = machine.engine.keys.sorted()
        machine.waiting = []
        world.mayDamage = true
        world.give(machine, [.installationFailed(parent: parents[0], "page 3 is not what was written")])
        write(world, for: .seconds(4))
        world.mayDamage = false
        machine.holdsInstallations = false
        #expect(world.settle() == [])
        #expect(world.partitions.count == 1 && world.partitions[0].inSync.count == 3, "\(world.describe())")
        #expect(world.copies > 0)
    }

    @Test("what is said of a half that is merged already is no damage of anybody's (F6)")
    func lateWord() throws {
        let world = try halves(seed: 631)
        let machine = try ordered(world) { _ = try begin(world) }
        let half = try #require(machine.engine.keys.min())
        world.makeRoom(on: machine.id)
        #expect(world.run(until: { machine.engine.count == 1 }))
        let actions = machine.core.step([.failed(half, "page 3 is not what was written")], at: world.clock(machine))
        #expect(!actions.contains { if case .damaged = $0 { true } else { false } })
        #expect(world.settle() == [])
    }

    @Test(
        "a primary whose engine cannot make what was split or merged gives the role to one whose can, and follows when it can (F6)",
        arguments: [true, false])
    func uninstalledPrimary(isMerge: Bool) throws {
        let world = isMerge ? try halves(seed: 640) : try World.active(seed: 641, nodes: 3)
        let first: World.Machine
        if isMerge {
            first = try late(world, 0)
        } else {
            first = try #require(world.machines[world.order[0]])
            first.holdsInstallations = true
            world.run(.milliseconds(200))
            world.catalog.split(world.partitions[0].id, at: Key([0x80]))
        }
        #expect(world.run(until: { !first.waiting.isEmpty }, atMost: .seconds(2)), "\(world.describe())")
        write(world, for: .seconds(3))
        #expect(world.partitions.allSatisfy { $0.primary == first.id }, "it may pass: \(world.describe())")
        write(world, for: .seconds(4))
        #expect(world.partitions.allSatisfy { $0.primary != first.id && $0.learners == [first.id] }, "\(world.describe())")
        let before = world.acknowledged.count
        write(world, for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        world.makeRoom(on: first.id)
        #expect(world.settle() == [])
        #expect(world.partitions.allSatisfy { $0.inSync.count == 3 } && world.copies == 0, "\(world.describe())")
    }

    @Test("where no engine makes what was merged, as many stay in sync as the table asks for (F6, R3)")
    func uninstalledAnywhere() throws {
        let world = try halves(seed: 642)
        let members = world.order.prefix(3)
        for node in members { world.machines[node]?.holdsInstallations = true }
        world.run(.milliseconds(200))
        _ = try begin(world)
        let isHeld = { members.allSatisfy { world.machines[$0]?.waiting.isEmpty == false } }
        #expect(world.run(until: isHeld, atMost: .seconds(3)), "\(world.describe())")
        write(world, for: .seconds(20))
        #expect(world.partitions[0].inSync.count == 2, "\(world.describe())")
        for node in members { world.makeRoom(on: node) }
        #expect(world.settle() == [])
    }

    @Test(
        "of two halves neither is left when their table is dropped before they are merged here, whichever of them is late (M3)",
        arguments: 0..<2)
    func droppedBetween(place: Int) throws {
        let world = try halves(seed: 650)
        let ids = world.partitions.map(\.id)
        let machine = try late(world)
        // The engine takes in one half, and not the other; nothing else happens to either.
        machine.syncsNothing = true
        func isOf(_ id: PartitionID) -> (AgentAction) -> Bool {
            { action in if case .apply(id, _, _) = action { true } else { false } }
        }
        let waiting = machine.waiting
        machine.lacksRoom = false
        machine.waiting = []
        for action in waiting where isOf(ids[place])(action) { world.work(action, at: machine) }
        world.run(.milliseconds(50))
        machine.lacksRoom = true
        machine.waiting = waiting.filter { !isOf(ids[place])($0) }
        let ends = world.partitions[0].parents.map { machine.engine[$0.partition]?.applied.sequence == $0.end.sequence }
        #expect(ends == [place == 0, place == 1])
        world.catalog.dropTables()
        #expect(world.run(until: { machine.savedTopology.partitions.values.allSatisfy { $0.status == .deleting } }))
        world.makeRoom(on: machine.id)
        #expect(world.run(until: { world.catalog.topology.partitions.isEmpty }, atMost: .seconds(10)), "\(world.describe())")
        world.run(.seconds(1))
        for node in world.order { #expect(world.machines[node]?.engine.isEmpty == true, "\(node)") }
        #expect(world.violations == [] && world.damages == [])
    }

    private func isEntry(_ record: PartitionRecord, after held: World.Held?) -> Bool {
        if case .entry(_, let entry) = record { entry.sequence > held?.applied.sequence ?? 0 } else { false }
    }

    @Test("merges among splits, moves, crashes and lost messages lose nothing and leave nothing behind", arguments: 0..<4)
    func chaos(block: UInt64) throws {
        var merged = 0
        for seed in (block * 8)..<(block * 8 + 8) {
            let (world, found) = try OperationChaosTests.chaos(seed: seed &+ 8_000, merges: true)
            #expect(found.prefix(3).joined(separator: "; ") == "", "seed \(seed &+ 8_000)")
            merged += world.merges
        }
        #expect(merged > 3, "\(merged) merges")
    }

    @Test("nor when disks go back, are lost or lie meanwhile (E4)", arguments: 0..<4)
    func chaosOfDisks(block: UInt64) throws {
        for seed in (block * 8)..<(block * 8 + 8) {
            let found = try OperationChaosTests.chaos(seed: seed &+ 8_100, sick: true, merges: true).found
            #expect(found.prefix(3).joined(separator: "; ") == "", "seed \(seed &+ 8_100)")
        }
    }

    @Test("a write that is sent again under its key over a merge happens once (R8)", arguments: 0..<2)
    func happensOnce(block: UInt64) throws {
        for seed in (block * 6)..<(block * 6 + 6) {
            let found = try OperationChaosTests.chaos(seed: seed &+ 8_200, repeats: true, merges: true).found
            #expect(found.prefix(3).joined(separator: "; ") == "", "seed \(seed &+ 8_200)")
        }
    }
}

extension World {
    /// How many have succeeded, of those that are remembered.
    var merges: Int {
        catalog.topology.operations.values.count { $0.kind.name == "merge" && $0.phase == .succeeded }
    }
}
