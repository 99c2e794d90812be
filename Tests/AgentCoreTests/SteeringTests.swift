// What becomes of an operation that an operator pauses, resumes or cancels, in the world of whole agents.

import Model
import Replication
import Testing

@testable import AgentCore

@Suite struct SteeringTests {
    private func world(seed: UInt64, nodes: Int = 4) throws -> World {
        let world = try World.active(seed: seed, nodes: nodes)
        world.write(for: .milliseconds(400))
        return world
    }

    /// Whether anybody fences anything.
    private func isFenced(_ world: World) -> Bool {
        world.order.contains { id in
            guard let machine = world.machines[id] else { return false }
            return machine.core.replicas(at: world.clock(machine)).contains(where: \.isFenced)
        }
    }

    @Test("a paused move stands still, whoever leads and whoever starts anew, and goes on when it is resumed", arguments: 1...4)
    func pausedMove(seed: UInt64) throws {
        let world = try world(seed: seed)
        let (source, target) = (world.order[0], world.order[3])
        world.catalog.move(world.partitions[0].id, from: source, to: target)
        let operation = try #require(world.partitions[0].operation)
        world.catalog.pause(operation)
        world.write(for: .seconds(2))
        // Its primary dies, and the next one knows of the pause too.
        let leader = try #require(world.partitions[0].primary)
        world.crash(leader)
        if leader != source { world.catalog.nodeFailed(leader) }
        world.write(for: .milliseconds(200))
        world.restart(leader)
        world.write(for: .seconds(3))
        #expect(world.partitions[0].operation == operation && world.partitions[0].learners.contains(target))
        #expect(world.catalog.topology.operations[operation]?.step == .copy, "\(world.describe())")
        let before = world.acknowledged.count
        world.write(for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50, "\(world.describe())")
        world.catalog.resume(operation)
        #expect(
            world.run(until: { world.catalog.topology.operations[operation]?.phase == .succeeded }, atMost: .seconds(60)),
            "\(world.describe())")
        #expect(world.settle() == [])
        #expect(world.partitions[0].primary == target)
    }

    @Test("a copy under way is stopped by a pause, and by the end of its operation, and none is sent while it is paused")
    func stopsCopies() throws {
        var (pausedCopies, cancelledCopies) = (0, 0)
        for seed in 1...12 {
            let world = try world(seed: UInt64(seed))
            world.catalog.move(world.partitions[0].id, from: nil, to: world.order[3])
            let operation = try #require(world.partitions[0].operation)
            guard world.run(until: { world.copies > 0 }, atMost: .seconds(3), step: .milliseconds(1)) else { continue }
            world.catalog.pause(operation)
            world.write(for: .seconds(1))
            let sent = world.copies
            pausedCopies += world.stoppedCopies
            world.write(for: .seconds(2))
            #expect(world.copies == sent, "seed \(seed)")
            world.catalog.resume(operation)
            let again = { world.copies > sent || world.partitions[0].operation == nil }
            #expect(world.run(until: again, atMost: .seconds(10), step: .milliseconds(1)), "seed \(seed): \(world.describe())")
            let stopped = world.stoppedCopies
            world.catalog.cancel(operation)
            world.write(for: .seconds(1))
            cancelledCopies += world.stoppedCopies - stopped
            #expect(world.settle() == [], "seed \(seed)")
        }
        #expect(pausedCopies > 3 && cancelledCopies > 3, "\(pausedCopies), \(cancelledCopies)")
    }

    enum End: CaseIterable { case damaged, dropped }

    @Test(
        "a copy under way is stopped when its sender finds its own copy damaged, or gives it up", arguments: End.allCases)
    func stopsCopiesOfSender(_ end: End) throws {
        var stopped = 0
        for seed in 1...12 {
            let world = try world(seed: UInt64(seed))
            world.catalog.move(world.partitions[0].id, from: nil, to: world.order[3])
            guard world.run(until: { world.copies > 0 }, atMost: .seconds(3), step: .milliseconds(1)) else { continue }
            let (id, primary) = (world.partitions[0].id, try #require(world.partitions[0].primary))
            let machine = try #require(world.machines[primary])
            world.mayDamage = true
            switch end {
            case .damaged: world.give(machine, [.failed(id, "the world broke it")])
            case .dropped:
                machine.core.drop(id, at: world.clock(machine))
                world.give(machine, [.tick])
            }
            world.run(.milliseconds(40))
            stopped += world.stoppedCopies
        }
        #expect(stopped > 3, "\(stopped)")
    }

    /// Where a writer of the partition would do well to wait.
    private func changing(_ id: PartitionID, _ world: World) -> [NodeID] {
        world.order.filter { node in
            world.machines[node].map { $0.core.isChangingHands(id, at: world.clock($0)) } ?? false
        }
    }

    @Test("hands change where a partition is fenced and where it is taken up, and nowhere when that is over (M4)")
    func handsChange() throws {
        let world = try world(seed: 5, nodes: 3)
        let id = world.partitions[0].id
        #expect(changing(id, world) == [])
        world.catalog.transfer(id, to: world.order[1])
        var seen: Set<[NodeID]> = []
        for _ in 0..<1_000 {
            world.run(.microseconds(500))
            seen.insert(changing(id, world))
        }
        #expect(seen.isSuperset(of: [[world.order[0]], [world.order[1]]]), "\(seen)")
        #expect(world.partitions[0].primary == world.order[1] && changing(id, world) == [])
    }

    @Test("the halves of a split change hands at their primary until it has installed them and serves them (M2)")
    func handsChangeInSplit() throws {
        let world = try world(seed: 5, nodes: 3)
        let (parent, first) = (world.partitions[0].id, try #require(world.machines[world.order[0]]))
        first.holdsInstallations = true
        world.catalog.split(parent, at: Key([0x80]))
        #expect(world.run(until: { !first.waiting.isEmpty }, atMost: .seconds(2)), "\(world.describe())")
        #expect(changing(parent, world) == [], "it is no more: its rows are to be looked for")
        #expect(world.partitions.count == 2)
        for half in world.partitions { #expect(changing(half.id, world) == [first.id]) }
        world.makeRoom(on: first.id)
        let areOver = { world.partitions.allSatisfy { changing($0.id, world) == [] } }
        #expect(world.run(until: areOver, atMost: .milliseconds(200)), "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("whenever a transfer or a split is paused, no fence stands half a second later, and writes go on (M4)")
    func pauseAroundFence() throws {
        var (paused, over) = (0, 0)
        for step in 0..<40 {
            let world = try world(seed: 31)
            if step % 2 == 0 {
                world.catalog.transfer(world.partitions[0].id, to: world.order[2])
            } else {
                world.catalog.split(world.partitions[0].id, at: Key([0x80]))
            }
            let operation = try #require(world.partitions[0].operation)
            let pausedAt = world.now + .milliseconds(Int64(step) * 4)
            while world.now < pausedAt { world.run(.microseconds(500)) }
            world.catalog.pause(operation)
            world.write(for: .milliseconds(500))
            #expect(!isFenced(world), "step \(step): \(world.describe())")
            let before = world.acknowledged.count
            world.write(for: .milliseconds(300))
            #expect(world.acknowledged.count > before + 50, "step \(step): \(world.describe())")
            if world.catalog.topology.operations[operation]?.phase == .running { paused += 1 } else { over += 1 }
            world.resumeAll()
            #expect(world.settle() == [], "step \(step)")
        }
        // Both sides of the fence were met.
        #expect(paused > 3 && over > 3, "\(paused), \(over)")
    }

    @Test("whenever a move, a split or a transfer is cancelled, it is before or after, and nothing of it is left (M3, M8)")
    func cancelledAnywhere() throws {
        var phases: [OperationPhase: Int] = [:]
        for step in 0..<60 {
            let world = try world(seed: 41)
            let id = world.partitions[0].id
            switch step % 4 {
            case 0: world.catalog.move(id, from: world.order[0], to: world.order[3])
            case 1: world.catalog.move(id, from: world.order[2], to: world.order[3])
            case 2: world.catalog.split(id, at: Key([0x80]))
            default: world.catalog.transfer(id, to: world.order[1])
            }
            let operation = try #require(world.partitions[0].operation)
            let cancelledAt = world.now + .milliseconds(Int64(step) * (step % 4 < 2 ? 12 : 4))
            while world.now < cancelledAt {
                if world.chance(0.3) { world.write() }
                world.run(.microseconds(500))
            }
            world.catalog.cancel(operation)
            world.write(for: .milliseconds(500))
            #expect(!isFenced(world), "step \(step): \(world.describe())")
            #expect(world.settle() == [], "step \(step)")
            let ended = try #require(world.catalog.topology.operations[operation])
            #expect(ended.cleanups == [] && ended.phase != .running)
            phases[ended.phase, default: 0] += 1
        }
        #expect(phases[.aborted] ?? 0 > 10 && phases[.succeeded] ?? 0 > 5, "\(phases)")
    }
}
