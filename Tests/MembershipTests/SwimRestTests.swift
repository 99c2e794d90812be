import Membership
import MembershipSimulation
import Model
import Testing

/// A member that waits for nothing and has nothing to tell is not woken.
@Suite struct SwimRestTests {
    /// A member that has told all that it had to tell of itself and of one other, and waits for no answer.
    private func rested() throws -> (swim: Swim, now: LogicalInstant) {
        var swim = Swim(
            node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: 4, at: .origin)
        var now = LogicalInstant.origin
        _ = swim.step(received(.ack(sequence: 0), rumour: true), at: now)
        while swim.tickDue - now <= swim.tuning.tick {
            now = now + swim.tuning.tick
            for case .send(let message, _) in swim.step(.tick, at: now) {
                guard case .ping(let number, _) = message.body else { continue }
                _ = swim.step(received(.ack(sequence: number)), at: now)
            }
            try #require(now < .origin + .seconds(10))
        }
        return (swim, now)
    }

    private func received(_ body: SwimMessage.Body, rumour: Bool = false, incarnation: UInt64 = 0) -> Swim.Input {
        let life = Life(generation: Generation(1), incarnation: incarnation)
        let record = MemberRecord(node: World.node(1), life: life, status: .alive, profile: World.profile(1))
        return .received(
            SwimMessage(from: World.node(1), life: life, revision: .none, body: body, rumours: rumour ? [record] : []),
            from: World.address(1))
    }

    @Test("while nothing is under way the next tick is due with the next probe, and it is not late then")
    func rests() throws {
        var (swim, now) = try rested()
        let late = swim.counters.lateTicks
        let probes = swim.counters.probes
        #expect(swim.tickDue - now > swim.tuning.tick * 2 && swim.tickDue - now <= swim.tuning.probeInterval)
        now = swim.tickDue
        _ = swim.step(.tick, at: now)
        #expect(swim.counters.probes == probes + 1)
        #expect(swim.counters.lateTicks == late)
        #expect(swim.tickDue == now + swim.tuning.tick)
    }

    @Test("what is to be told makes the next tick due at once, and that one is not late")
    func wakes() throws {
        var (swim, now) = try rested()
        let late = swim.counters.lateTicks
        now = swim.tickDue + .milliseconds(-1)
        _ = swim.step(.described([1]), at: now + .milliseconds(-50))
        #expect(swim.tickDue == now + .milliseconds(-50) + swim.tuning.tick)
        _ = swim.step(.tick, at: now)
        #expect(swim.counters.lateTicks == late)
    }

    @Test("a tick that comes half a period behind its time is late, after a rest too")
    func late() throws {
        var (swim, now) = try rested()
        let late = swim.counters.lateTicks
        now = swim.tickDue + swim.tuning.probeInterval / 2 + .milliseconds(1)
        _ = swim.step(.tick, at: now)
        #expect(swim.counters.lateTicks == late + 1)
    }
}
