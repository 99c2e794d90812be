import Model
import Replication
import Testing

@testable import AgentCore

/// A copy that is made anew while it is still believed to be what it was.
@Suite struct LostCopyTests {
    @Test(
        "a learner that lost its copy is damaged and leads nobody, where its primary has it join for what it had before (R4, E4)",
        arguments: [true, false])
    func joinsForALostLog(isMade: Bool) throws {
        let world = try World.active(seed: 1, nodes: 2, copies: 2, loss: 0)
        world.write(for: .milliseconds(300))
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        let machine = try #require(world.machines[new])
        world.cut = [[old, new]]
        world.catalog.evict(id, new)
        #expect(world.run(until: { machine.core.topology.partitions[id]?.learners == [new] }))
        world.mayDamage = true
        world.give(machine, [.failed(id, "the world broke it")])
        #expect(
            world.run(
                until: {
                    guard let local = machine.core.locals[id], local.damage == nil, !local.isDropping else { return false }
                    return isMade ? local.replica?.isEmpty == true : local.replica == nil
                }, step: .microseconds(20)), "\(world.describe())")
        world.catalog.join(id, new)
        #expect(world.partitions[0].inSync == [old, new])
        world.give(machine, [.topology(world.catalog.topology)])
        world.crash(old)
        world.catalog.nodeFailed(old)
        #expect(world.partitions[0].primary == new)
        world.run(.seconds(5))
        #expect(machine.core.locals[id]?.damage != nil && machine.core.locals[id]?.replica?.isServing != true)
    }

    @Test("a damaged learner leaves the epoch in which it has spoken before its copy is made anew (R4)")
    func leavesItsEpoch() throws {
        let world = try World.active(seed: 2, nodes: 2, copies: 2, loss: 0)
        world.write(for: .milliseconds(300))
        let (old, new) = (world.order[0], world.order[1])
        let id = world.partitions[0].id
        let machine = try #require(world.machines[new])
        world.cut = [[old, new]]
        world.catalog.evict(id, new)
        #expect(world.run(until: { machine.core.topology.partitions[id]?.learners == [new] }))
        let spokenIn = world.partitions[0].epoch
        world.mayDamage = true
        world.coordinatorsUp = false
        world.give(machine, [.failed(id, "the world broke it")])
        world.run(.seconds(3))
        let local = try #require(machine.core.locals[id])
        #expect(local.damage != nil && !local.isDropping && world.partitions[0].epoch == spokenIn)
        world.coordinatorsUp = true
        #expect(
            world.run(until: { machine.core.locals[id].map { $0.damage == nil && !$0.isDropping } ?? true }),
            "\(world.describe())")
        #expect(world.partitions[0].epoch > spokenIn && world.partitions[0].learners == [new])
        world.cut = []
        #expect(world.settle() == [])
    }
}
