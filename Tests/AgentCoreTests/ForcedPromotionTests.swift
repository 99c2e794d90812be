import Catalog
import Model
import Replication
import Testing

@testable import AgentCore

/// What becomes of a partition whose in-sync set an operator gives up (rule R6).
@Suite struct ForcedPromotionTests {
    /// Two copies, on n1 and n2, the first the primary; n2 is none that counts any more, and hears n1 no more.
    private func world(seed: UInt64) throws -> World {
        let world = try World.active(seed: seed, nodes: 3, copies: 2, loss: 0)
        world.write(for: .milliseconds(300))
        world.cut = [[world.order[0], world.order[1]]]
        world.catalog.evict(world.partitions[0].id, world.order[1])
        world.run(.milliseconds(1_500))
        #expect(world.partitions[0].inSync == [world.order[0]])
        return world
    }

    private func replica(_ world: World, on node: NodeID) -> AgentCore.ReplicaStatus? {
        guard let machine = world.machines[node], machine.isUp else { return nil }
        return machine.core.replicas(at: world.clock(machine)).first
    }

    @Test("it waits the longest lease out from when it learns of its role, for nobody knows whom the coordinators gave leave")
    func waits() throws {
        let world = try world(seed: 1)
        let (old, new) = (world.order[0], world.order[1])
        let (id, epoch) = (world.partitions[0].id, world.partitions[0].epoch)
        // Cut off from everybody but its clients, a moment after the coordinators' leader gave it leave.
        world.cut.formUnion([[old, old], [old, world.order[2]]])
        world.catalog.nodeFailed(old)
        #expect(world.catalog.force(id, to: new) != nil)
        #expect(world.partitions[0].primary == new)
        let forced = world.partitions[0].epoch
        #expect(world.run(until: { replica(world, on: new)?.descriptor?.epoch == forced }, step: .milliseconds(1)))
        let learned = world.now
        var served = 0
        while world.now < learned + .milliseconds(800) {
            world.run(.milliseconds(1))
            let machine = try #require(world.machines[old])
            if machine.core.confirmRead(of: id, at: epoch, now: world.clock(machine)) == nil { served += 1 }
            try #require(replica(world, on: new)?.isServing == false, "after \(world.now - learned)")
        }
        #expect(served > 100, "the old primary served only \(served) ms of the wait")
        #expect(world.run(until: { replica(world, on: new)?.isServing == true }, atMost: .seconds(2)))
        let machine = try #require(world.machines[old])
        #expect(machine.core.confirmRead(of: id, at: epoch, now: world.clock(machine)) != nil)
    }

    @Test("a start between the order and the lease's end waits as long", arguments: 1...4)
    func waitsOverStart(seed: UInt64) throws {
        let world = try world(seed: seed)
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        world.cut.formUnion([[old, old], [old, world.order[2]]])
        world.catalog.nodeFailed(old)
        world.catalog.force(id, to: new)
        let forced = world.partitions[0].epoch
        #expect(world.run(until: { replica(world, on: new)?.descriptor?.epoch == forced }, step: .milliseconds(1)))
        world.run(.milliseconds(Int64(seed * 100)))
        world.crash(new)
        world.restart(new)
        let started = world.now
        while world.now < started + .milliseconds(800) {
            world.run(.milliseconds(1))
            try #require(replica(world, on: new)?.isServing != true, "after \(world.now - started)")
        }
        #expect(world.run(until: { replica(world, on: new)?.isServing == true }, atMost: .seconds(3)))
    }

    @Test("who was given up and comes back serves nothing, and its copy goes; what it alone held is nowhere", arguments: 1...6)
    func returns(seed: UInt64) throws {
        let world = try world(seed: seed)
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        world.write(for: .milliseconds(200))
        if seed % 2 == 0 { world.crash(old) } else { world.cut.formUnion([[old, old], [old, world.order[2]]]) }
        world.catalog.nodeFailed(old)
        #expect(world.catalog.force(id, to: new) != nil)
        #expect(world.run(until: { replica(world, on: new)?.isServing == true }, atMost: .seconds(5)), "\(world.describe())")
        // What stood in the copy's log counts; what it did not have is lost.
        let held = try #require(world.machines[new]?.engine[id]?.rows)
        let givenUp = world.acknowledged.subtracting(held)
        #expect(givenUp.count > 20 && !held.isEmpty)
        world.acknowledged.subtract(givenUp)
        world.history.removeAll { givenUp.contains($0) }
        world.write(for: .milliseconds(300))
        world.cut = []
        world.restart(old)
        world.write(for: .milliseconds(500))
        #expect(replica(world, on: old) == nil, "\(world.describe())")
        #expect(world.machines[old]?.engine.isEmpty == true)
        // As repair would.
        world.catalog.move(id, from: nil, to: old)
        #expect(world.run(until: { world.partitions[0].inSync == [old, new] }, atMost: .seconds(20)), "\(world.describe())")
        let before = world.acknowledged.count
        world.write(for: .milliseconds(300))
        #expect(world.acknowledged.count > before + 50)
        #expect(world.settle() == [])
        for node in [old, new] { #expect(world.machines[node]?.engine[id]?.rows.isDisjoint(with: givenUp) == true) }
    }

    @Test("who was given up, and is to have a new copy before it knows, keeps the old one until its mirror tells of it (M3)")
    func newCopyInstead() throws {
        let world = try world(seed: 1)
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        world.cut.formUnion([[old, old], [old, world.order[2]]])
        world.catalog.nodeFailed(old)
        world.catalog.force(id, to: new)
        #expect(world.run(until: { replica(world, on: new)?.isServing == true }, atMost: .seconds(5)))
        let before = try #require(world.machines[old]?.engine[id]?.storage)
        world.acknowledged.subtract(world.acknowledged.subtracting(world.machines[new]?.engine[id]?.rows ?? []))
        let machine = try #require(world.machines[old])
        world.catalog.nodeReturned(old, session: machine.session)
        world.catalog.move(id, from: nil, to: old)
        #expect(world.partitions[0].learners == [old])
        world.lateMirrors = [old]
        world.cut = []
        #expect(world.run(until: { machine.core.topology.revision == world.catalog.topology.revision }))
        world.run(.seconds(1))
        #expect(machine.engine[id]?.storage == before && world.partitions[0].learners == [old])
        // What its mirror counts on is there.
        world.crash(old)
        world.restart(old)
        #expect(world.damages.isEmpty && machine.engine[id]?.storage == before)
        world.lateMirrors = []
        #expect(world.settle() == [])
        #expect(world.partitions[0].inSync == [old, new] && machine.engine[id]?.storage != before)
    }

    enum Lack: CaseIterable { case nothingIsThere, halfOfASnapshot }

    @Test("a copy that is not whole never leads, not after a start either: it is damaged", arguments: Lack.allCases)
    func halfCopies(lack: Lack) throws {
        let world = try World(seed: 1, nodes: 3)
        world.loss = 0
        try world.catalog.createTable(on: Array(world.order.prefix(2)))
        #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
        world.write(for: .milliseconds(400))
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        // Another disk, which has to be brought everything.
        if lack == .nothingIsThere { world.cut = [[old, new]] }
        world.crash(new)
        world.wipe(new)
        world.restart(new)
        #expect(
            world.run(
                until: {
                    let replica = world.machines[new]?.core.locals[id]?.replica
                    return lack == .nothingIsThere ? replica?.isEmpty == true : replica?.isImporting == true
                }, step: .milliseconds(1)), "\(world.describe())")
        world.crash(old)
        world.catalog.nodeFailed(old)
        world.catalog.force(id, to: new)
        #expect(world.partitions[0].primary == new)
        // At once, before the snapshot is whole.
        world.give(try #require(world.machines[new]), [.topology(world.catalog.topology)])
        #expect(world.damages.count == 1)
        #expect(replica(world, on: new)?.damage != nil && replica(world, on: new)?.isPrimary == false)
        world.crash(new)
        world.restart(new)
        world.run(.seconds(2))
        #expect(replica(world, on: new)?.isServing != true && replica(world, on: new)?.damage != nil)
    }
}
