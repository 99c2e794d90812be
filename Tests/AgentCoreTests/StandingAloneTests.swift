import Model
import Replication
import Testing

@testable import AgentCore

/// What the last in-sync member of several replicas may do (rule R6).
@Suite struct StandingAloneTests {
    /// Two copies, on n1 and n2, the first the primary.
    private func world(seed: UInt64) throws -> World {
        let world = try World.active(seed: seed, nodes: 3, copies: 2, loss: 0)
        write(world, for: .milliseconds(300))
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

    @Test("one dead node of two stops its partition for no longer than it takes to declare it failed", arguments: 1...8)
    func goesOn(seed: UInt64) throws {
        let world = try world(seed: seed)
        let survivor = world.order[Int(seed % 2)]
        // Until the dead one's last grant has run out nobody can leave it out.
        world.coordinatorsUp = false
        world.crash(world.order[1 - Int(seed % 2)])
        world.write()
        let waiting = world.nextCaller
        world.run(.milliseconds(1_500))
        world.coordinatorsUp = true
        world.catalog.nodeFailed(world.order[1 - Int(seed % 2)])
        // A new primary waits its predecessor's lease out.
        world.run(.milliseconds(1_500))
        #expect(world.partitions[0].primary == survivor && world.partitions[0].inSync == [survivor])
        // Whoever waited for the dead one is told that his write is kept.
        if survivor == world.order[0] { #expect(world.acknowledged.contains(waiting)) }
        let (writes, reads) = (world.acknowledged.count, world.goodReads)
        write(world, for: .seconds(2))
        #expect(world.acknowledged.count > writes + 700 && world.goodReads > reads + 500, "\(world.describe())")
        #expect(world.settle() == [])
    }

    @Test("cut off from the coordinators too, it serves for no longer than the lease that their last answer was worth")
    func cutOff() throws {
        let world = try world(seed: 3)
        let survivor = world.order[0]
        world.crash(world.order[1])
        world.catalog.nodeFailed(world.order[1])
        write(world, for: .milliseconds(1_500))
        #expect(world.machines[survivor]?.core.replicas(at: world.now).first?.hasLease == true)
        world.cut = [[survivor, survivor]]
        // Answers that are on their way count from when they were asked for.
        write(world, for: .milliseconds(810))
        let (writes, reads) = (world.acknowledged.count, world.goodReads)
        write(world, for: .seconds(1))
        #expect(world.acknowledged.count == writes && world.goodReads == reads)
        #expect(world.refused[world.nextCaller] == .replica(.noLease))
        world.cut = []
        #expect(world.settle() == [])
    }

    @Test("with the other copy's node alive it needs no coordinator")
    func grantedByMajority() throws {
        let world = try world(seed: 4)
        world.catalog.nodeFailed(world.order[1])
        world.run(.milliseconds(50))
        world.coordinatorsUp = false
        write(world, for: .seconds(2))
        let writes = world.acknowledged.count
        write(world, for: .milliseconds(200))
        #expect(world.acknowledged.count > writes + 50)
        #expect(world.settle() == [])
    }
}
