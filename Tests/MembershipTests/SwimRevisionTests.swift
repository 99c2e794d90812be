import Membership
import MembershipSimulation
import Model
import Testing

/// What members tell of routing revisions (rule T2).
@Suite struct SwimRevisionTests {
    private func member(_ kind: MemberKind = .agent) -> Swim {
        let own = World.profile(0)
        let profile = MemberProfile(
            kind: kind, zone: own.zone, gossip: own.gossip, link: own.link, store: own.store, session: own.session)
        return Swim(node: World.node(0), generation: Generation(1), profile: profile, tuning: .fast, seed: 4, at: .origin)
    }

    private func revision(_ index: UInt64) -> Revision { Revision(history: 1, index: index) }

    /// Another member tells of a revision.
    /// - Returns: what the process hears of it.
    private func tell(_ index: UInt64, to swim: inout Swim) -> [Revision] {
        let message = SwimMessage(
            from: World.node(1), life: Life(generation: Generation(1), incarnation: 0), revision: revision(index),
            body: .gossip, rumours: [])
        return swim.step(.received(message, from: World.address(1)), at: .origin).compactMap { action in
            if case .revisionHeard(let revision, _) = action { revision } else { nil }
        }
    }

    /// What is told to who asks.
    private func told(by swim: inout Swim) -> Revision? {
        let ping = SwimMessage(
            from: World.node(1), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
            body: .ping(sequence: 7, target: World.node(0)), rumours: [])
        return swim.step(.received(ping, from: World.address(1)), at: .origin).compactMap { action in
            if case .send(let message, _) = action { message.revision } else { nil }
        }.first
    }

    @Test("a revision that no coordinator has is told on no more, nor taken from others again; a lower and a higher one are")
    func disbelieves() {
        var swim = member()
        _ = swim.step(.revisionApplied(revision(5)), at: .origin)
        #expect(tell(900, to: &swim) == [revision(900)] && told(by: &swim) == revision(900))
        _ = swim.step(.revisionDisbelieved(revision(900)), at: .origin)
        #expect(told(by: &swim) == revision(5) && swim.counters.disbelievedRevisions == 1)
        #expect(tell(900, to: &swim) == [] && told(by: &swim) == revision(5))
        #expect(tell(6, to: &swim) == [revision(6)] && told(by: &swim) == revision(6))
        #expect(tell(901, to: &swim) == [revision(901)])
        // Another that is wrong makes the first no better.
        _ = swim.step(.revisionDisbelieved(revision(901)), at: .origin)
        #expect(tell(900, to: &swim) == [] && tell(901, to: &swim) == [])
    }

    @Test("what we have applied is told, whatever was thought of it before; what is heard meanwhile is kept")
    func applied() {
        var swim = member()
        _ = tell(900, to: &swim)
        _ = tell(901, to: &swim)
        _ = swim.step(.revisionDisbelieved(revision(900)), at: .origin)
        #expect(told(by: &swim) == revision(901))
        _ = swim.step(.revisionApplied(revision(902)), at: .origin)
        _ = swim.step(.revisionDisbelieved(revision(902)), at: .origin)
        #expect(told(by: &swim) == revision(902) && swim.counters.disbelievedRevisions == 1)
    }

    @Test("a coordinator tells of what it has applied, and of nothing that it has only heard of")
    func coordinator() {
        var swim = member(.coordinator)
        _ = swim.step(.revisionApplied(revision(5)), at: .origin)
        #expect(tell(900, to: &swim) == [] && told(by: &swim) == revision(5))
    }
}
