import GossipKit
import Membership
import Testing

/// Who ends, or stands still, or starts again.
@Suite(.serialized, .timeLimit(.minutes(20))) struct CrowdDeathTests {
    @Test("C1, C13: who is killed is dead for all, nobody else is, and who starts again is alive for all in the new life")
    func killed() async throws {
        let pulse = Pulse()
        defer { pulse.end() }
        try await CrowdStory.tell { crowd in
            var times: [Double] = []
            for victim in [3, crowd.count / 2, crowd.count - 1] {
                let start = ContinuousClock.now
                await crowd.kill(victim)
                let time = try await crowd.wait(for: .down, of: victim, since: start)
                print("dead for all \(crowd.count - 1) others after \(time) s")
                times.append(time)
                let restart = ContinuousClock.now
                try crowd.start(victim)
                try await crowd.wait("\(victim) to be back") { crowd.allKnowLives(of: [victim]) }
                print("back for all after \((ContinuousClock.now - restart) / .seconds(1)) s")
                try await crowd.waitUntilWhole()
                #expect(crowd.sightings.falseVerdicts(except: [victim], since: start) == [])
            }
            #expect(times.sorted()[1] < pulse.allows(2.7), "\(times), where naps are \(pulse.slowness) times as long")
        }
    }

    @Test("C1: a process whose links are refused is dead for all on the word of two who were refused, and nobody else is")
    func refused() async throws {
        try await CrowdStory.tell(linked: true) { crowd in
            var byLinks = 0
            for victim in [3, crowd.count / 2, crowd.count - 1] {
                let start = ContinuousClock.now
                await crowd.kill(victim)
                let time = try await crowd.wait(for: .down, of: victim, since: start)
                byLinks += crowd.condemnedByLinks(victim)
                print("dead for all \(crowd.count - 1) others after \(time) s; by refused links for \(byLinks) so far")
                try crowd.start(victim)
                try await crowd.wait("\(victim) to be back") { crowd.allKnowLives(of: [victim]) }
                try await crowd.waitUntilWhole()
                #expect(crowd.sightings.falseVerdicts(except: [victim], since: start) == [])
            }
            // Where the machine takes seconds for a handshake, silence may be told first; of three, not always.
            #expect(byLinks >= crowd.count - 1)
        }
    }

    @Test("C1: with the times of larger networks it is the same", .enabled(if: CrowdStory.isLong, "make test-long"))
    func killedSlowly() async throws {
        try await CrowdStory.tell(CrowdStory.size, .lan) { crowd in
            let start = ContinuousClock.now
            await crowd.kill(5)
            print("dead for all \(crowd.count - 1) others after \(try await crowd.wait(for: .down, of: 5, since: start)) s")
            #expect(crowd.sightings.falseVerdicts(except: [5], since: start) == [])
        }
    }

    @Test(
        "C13: who is killed and started ten times in a row is held dead by nobody, and its last life is the one that all know")
    func restarts() async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            for _ in 0..<10 {
                await crowd.kill(7)
                try crowd.start(7)
                try await crowd.wait("7 to be back") { crowd.allKnowLives(of: [7]) }
            }
            try await crowd.waitUntilWhole()
            #expect(crowd.sightings.falseVerdicts(since: start) == [])
        }
    }

    @Test("C2: a host that vanishes without a word is dead for all others, holds none of them dead itself, and can come back")
    func blackHole() async throws {
        let pulse = Pulse()
        defer { pulse.end() }
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            crowd.cut(11)
            let time = try await crowd.wait(for: .down, of: 11, since: start)
            print("gone for all after \(time) s")
            #expect(time < pulse.allows(3.1), "where naps are \(pulse.slowness) times as long")
            // It probes on, and nobody answers.
            try await crowd.goesOn(probes: 20, but: 11)
            #expect(crowd.sightings.falseVerdicts(except: [11], since: start) == [])
            #expect(!crowd.sightings.since(start).contains { $0.observer == 11 && $0.belief == .down })
            crowd.network.set(nil)
            try await crowd.waitUntilWhole()
        }
    }

    @Test("C3: who stands still for a moment is held dead by nobody, and accuses nobody when it goes on")
    func shortStalls() async throws {
        try await stall([0.2, 0.5, 1], .fast)
    }

    @Test(
        "C3: with the times of larger networks five seconds are a moment", .enabled(if: CrowdStory.isLong, "make test-long"))
    func shortStallsSlowly() async throws {
        try await stall([2, 5], .lan)
    }

    private func stall(_ times: [Double], _ tuning: SwimTuning) async throws {
        try await CrowdStory.tell(CrowdStory.size, tuning) { crowd in
            for seconds in times {
                let start = ContinuousClock.now
                try await crowd.stall([7], for: .seconds(seconds))
                // For as long as a suspicion that nobody refutes would take.
                try await crowd.goesOn(probes: 20)
                try await crowd.waitUntilWhole()
                #expect(crowd.sightings.falseVerdicts(since: start) == [], "\(seconds) s")
                #expect(crowd.accusations(by: 7, since: start) == [], "\(seconds) s")
            }
        }
    }

    @Test(
        "C4: who stands still for long is dead for all, accuses nobody when it goes on, and is back for all",
        arguments: CrowdStory.isLong ? [10.0, 20, 30] : [10])
    func longStall(seconds: Double) async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            try await crowd.stall([7], for: .seconds(seconds))
            try await crowd.wait(for: .down, of: 7, since: start)
            let end = ContinuousClock.now
            try await crowd.waitUntilWhole()
            print("after \(seconds) s of standing still back for all after \((ContinuousClock.now - end) / .seconds(1)) s")
            try await crowd.goesOn(probes: 8)
            #expect(crowd.sightings.falseVerdicts(except: [7], since: start) == [])
            #expect(crowd.accusations(by: 7, since: start) == [])
            #expect(crowd.sightings.isWhole(crowd.everybody))
        }
    }
}
