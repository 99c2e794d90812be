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
            tick(&swim, at: now)
            try #require(now < .origin + .seconds(10))
        }
        return (swim, now)
    }

    /// Who is pinged answers at once.
    private func tick(_ swim: inout Swim, at now: LogicalInstant) {
        for case .send(let message, _) in swim.step(.tick, at: now) {
            guard case .ping(let number, _) = message.body else { continue }
            _ = swim.step(received(.ack(sequence: number)), at: now)
        }
    }

    private func received(_ body: SwimMessage.Body, from number: Int = 1, rumour: Bool = false) -> Swim.Input {
        let life = Life(generation: Generation(1), incarnation: 0)
        let record = MemberRecord(
            node: World.node(number), life: life, status: .alive, profile: World.profile(number))
        return .received(
            SwimMessage(from: World.node(number), life: life, revision: .none, body: body, rumours: rumour ? [record] : []),
            from: World.address(number))
    }

    @Test("while nothing is under way the next tick is due with the next probe, and it is not late then")
    func rests() throws {
        var (swim, now) = try rested()
        let late = swim.counters.lateTicks
        let probes = swim.counters.probes
        #expect(swim.tickDue - now > swim.tuning.tick * 2 && swim.tickDue - now <= swim.tuning.probeInterval)
        now = swim.tickDue
        tick(&swim, at: now)
        #expect(swim.counters.probes == probes + 1)
        #expect(swim.counters.lateTicks == late)
        // The answer to that probe has come, and nothing is waited for until the next.
        #expect(swim.tickDue == now + swim.tuning.probeInterval)
        tick(&swim, at: swim.tickDue)
        #expect(swim.counters.probes == probes + 2)
        #expect(swim.counters.lateTicks == late)
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

    @Test("what somebody waits for makes the next tick due at once", arguments: ["a refused link", "a ping for another"])
    func wakesForOthers(what: String) throws {
        var (swim, now) = try rested()
        now = now + .milliseconds(1)
        let request = SwimMessage.Body.pingRequest(sequence: 1, target: World.node(2), address: World.address(2))
        _ = swim.step(what == "a refused link" ? .linkRefused(World.node(1)) : received(request), at: now)
        #expect(swim.tickDue == now + swim.tuning.tick)
        _ = swim.step(.tick, at: swim.tickDue)
        #expect(swim.tickDue == now + swim.tuning.tick * 2)
    }

    @Test("as long as somebody is under suspicion, and a death is to be reported, every tick is due")
    func watches() throws {
        var (swim, now) = try rested()
        _ = swim.step(received(.ack(sequence: 0), from: 2, rumour: true), at: now)
        let waitedFor = RosterEntry(node: World.node(1), generation: Generation(1), profile: World.profile(1))
        _ = swim.step(.roster([waitedFor]), at: now)
        let end = now + .seconds(20)
        var reports = 0
        // Node 1 answers no more, and node 2 does.
        while now < end {
            now = swim.tickDue
            for action in swim.step(.tick, at: now) {
                if case .reportDeaths = action { reports += 1 }
                guard case .send(let message, World.address(2)) = action, case .ping(let number, _) = message.body else {
                    continue
                }
                _ = swim.step(received(.ack(sequence: number), from: 2), at: now)
            }
            guard swim.counters.suspicions > 0 else { continue }
            try #require(swim.tickDue == now + swim.tuning.tick, "at \(now), after \(reports) reports")
        }
        #expect(reports > 1)
    }

    @Test("an answer that is read behind the time of a tick does not put that tick off")
    func overdue() throws {
        var (swim, now) = try rested()
        now = swim.tickDue
        let pings = swim.step(.tick, at: now).compactMap { action -> UInt64? in
            guard case .send(let message, _) = action, case .ping(let number, _) = message.body else { return nil }
            return number
        }
        let (due, late) = (swim.tickDue, swim.counters.lateTicks)
        now = due + swim.tuning.probeInterval / 2 + .milliseconds(1)
        _ = swim.step(received(.ack(sequence: try #require(pings.first))), at: now)
        #expect(swim.tickDue == due)
        _ = swim.step(.tick, at: now)
        #expect(swim.counters.lateTicks == late + 1)
    }

    @Test("a tick that comes half a period behind its time is late, after a rest too, and a sign of our own health")
    func late() throws {
        var (swim, now) = try rested()
        let late = swim.counters.lateTicks
        let health = swim.localHealth
        now = swim.tickDue + swim.tuning.probeInterval / 2 + .milliseconds(1)
        _ = swim.step(.tick, at: now)
        #expect(swim.counters.lateTicks == late + 1)
        #expect(swim.localHealth == health + 1)
    }

    @Test("members that start together do not probe together")
    func probesApart() throws {
        let interval = SwimTuning.fast.probeInterval
        var parts: [Int64: Int] = [:]
        for seed in 0..<100 as Range<UInt64> {
            var swim = Swim(
                node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: seed,
                at: .origin)
            _ = swim.step(received(.ack(sequence: 0), rumour: true), at: .origin)
            var now = LogicalInstant.origin
            while swim.counters.probes == 0 {
                now = swim.tickDue
                tick(&swim, at: now)
                try #require(now <= .origin + interval + swim.tuning.tick)
            }
            parts[(now.microseconds - 1) * 5 / interval.microseconds, default: 0] += 1
        }
        // In each fifth of the interval, about a fifth of them.
        for part in 0..<5 as Range<Int64> { #expect((8...32).contains(parts[part, default: 0]), "\(parts)") }
    }

    @Test("members that started together do not call those who are missing together")
    func callsApart() throws {
        var called: [[LogicalInstant]] = []
        for seed in 0..<20 as Range<UInt64> {
            var swim = Swim(
                node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: seed,
                at: .origin)
            let roster = [1, 2].map {
                RosterEntry(node: World.node($0), generation: Generation(1), profile: World.profile($0))
            }
            _ = swim.step(.roster(roster), at: .origin)
            _ = swim.step(received(.ack(sequence: 0), rumour: true), at: .origin)
            var times: [LogicalInstant] = []
            var now = LogicalInstant.origin
            while now < .origin + .seconds(120) {
                now = swim.tickDue
                for case .send(let message, _) in swim.step(.tick, at: now) {
                    guard case .ping(let number, let target) = message.body else { continue }
                    if target == World.node(1) { _ = swim.step(received(.ack(sequence: number)), at: now) }
                    // A call, and no probe: the dead are not probed.
                    if target == World.node(2), swim.status(of: target) == .dead, message.digest != nil { times.append(now) }
                }
            }
            called.append(times)
        }
        // As often as they should.
        let interval = SwimTuning.fast.reconnectInterval
        for times in called { #expect((30...50).contains(times.count)) }
        for times in called {
            for (earlier, later) in zip(times, times.dropFirst()) {
                #expect(later - earlier >= interval / 2 && later - earlier <= interval * 3 / 2 + .milliseconds(250))
            }
        }
        // Of twenty, never more than a few within one tick.
        let together = Dictionary(grouping: called.joined(), by: \.microseconds).values.map(\.count).max()
        #expect(together.map { $0 <= 6 } ?? false)
    }
}
