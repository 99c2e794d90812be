import GossipKit
import Membership
import Testing

/// Datagrams that do not arrive, on some ways.
@Suite(.serialized, .timeLimit(.minutes(20))) struct CrowdCutTests {
    enum Ear: CaseIterable { case deaf, mute }

    @Test(
        "C9: who hears nobody, or is heard by nobody, is dead for all once, has nobody else held dead, and is back when it is mended",
        arguments: Ear.allCases)
    func oneWay(ear: Ear) async throws {
        try await CrowdStory.tell(CrowdStory.size, CrowdStory.isLong ? .lan : .fast) { crowd in
            let start = ContinuousClock.now
            crowd.network.set { from, to in ear == .deaf ? to != 9 : from != 9 }
            print("\(ear): dead for all after \(try await crowd.wait(for: .down, of: 9, since: start)) s")
            // Long enough for all others to have called the dead one, and each other, many times.
            try await crowd.goesOn(probes: CrowdStory.isLong ? 50 : 24, but: 9)
            let verdicts = crowd.sightings.since(start).filter { $0.belief == .down }
            #expect(verdicts.count == crowd.count - 1, "each once: \(verdicts)")
            #expect(verdicts.allSatisfy { $0.subject == 9 })
            crowd.network.set(nil)
            let mended = ContinuousClock.now
            try await crowd.waitUntilWhole()
            print("\(ear): back for all after \((ContinuousClock.now - mended) / .seconds(1)) s")
            #expect(crowd.sightings.falseVerdicts(except: [9], since: start) == [])
        }
    }

    @Test(
        "C10: two halves hold each other dead and nobody of their own, and find each other again, however long it was",
        arguments: CrowdStory.isLong ? [10.0, 25, 60] : [10])
    func split(seconds: Double) async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            let half = crowd.count / 2
            crowd.network.set { from, to in (from < half) == (to < half) }
            let halves = [Array(half..<crowd.count), Array(0..<half)]
            // Where half of many are gone at once, everybody takes itself for ill as well, and has judged all of them only much later.
            try await crowd.wait("each to hold somebody of the other half dead") {
                crowd.everybody.allSatisfy { observer in
                    halves[observer < half ? 0 : 1].contains { crowd.sightings.all([observer], hold: .down, of: [$0]) }
                }
            }
            let wait = seconds - (ContinuousClock.now - start) / .seconds(1)
            if wait > 0 { try await Task.sleep(for: .seconds(wait)) }
            crowd.network.set(nil)
            let mended = ContinuousClock.now
            try await crowd.waitUntilWhole()
            print("a cut of \(seconds) s has healed after \((ContinuousClock.now - mended) / .seconds(1)) s")
            try await crowd.goesOn(probes: 8)
            let wrong = crowd.sightings.since(start)
                .filter { $0.belief == .down && ($0.observer < half) == ($0.subject < half) }
            #expect(wrong == [])
            #expect(crowd.sightings.isWhole(crowd.everybody))
        }
    }

    @Test("C11: two members that do not hear each other, and are heard by all others, are held dead by nobody")
    func pair() async throws {
        // Few, so that the two probe each other often.
        try await CrowdStory.tell(6) { crowd in
            let start = ContinuousClock.now
            crowd.network.set { from, to in !(from == 1 && to == 2 || from == 2 && to == 1) }
            try await crowd.wait("many pings on both ways to be lost", within: 3 * CrowdStory.patience) {
                crowd.network.dropped(from: 1, to: 2) >= 20 && crowd.network.dropped(from: 2, to: 1) >= 20
            }
            #expect(crowd.sightings.falseVerdicts(since: start) == [])
            #expect(crowd.sightings.since(start).count { $0.belief == .suspected } < 10, "helpers answer for them")
        }
    }
}
