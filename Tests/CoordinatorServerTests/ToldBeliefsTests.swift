import Membership
import Model
import Testing

@testable import CoordinatorServer

@Suite struct ToldBeliefsTests {
    private func at(_ seconds: Int64) -> LogicalInstant { .origin + .seconds(seconds) }

    private func record(
        _ name: String, _ status: MemberStatus, incarnation: UInt64 = 0, session: UInt64 = 4, kind: MemberKind = .agent,
        isHeard: Bool = true
    ) throws -> ToldBeliefs.Held {
        let record = MemberRecord(
            node: try NodeID(name), life: Life(generation: Generation(2), incarnation: incarnation), status: status,
            profile: MemberProfile(
                kind: kind, zone: try ZoneName("a"), gossip: "h:1", link: "h:2", store: StoreID(1), session: SessionID(session))
        )
        return ToldBeliefs.Held(record: record, isHeard: isHeard)
    }

    /// What each of them was, in order: news or not.
    private func notes(_ beliefs: inout ToldBeliefs, _ records: ToldBeliefs.Held...) -> [Bool] {
        records.map { beliefs.note($0) }
    }

    @Test("what no event brought is found at the next look, and is told once")
    func lostEvents() throws {
        var beliefs = ToldBeliefs()
        let told = notes(&beliefs, try record("n1", .alive), try record("n1", .dead))
        #expect(told == [true, true])
        let now = [
            try record("n1", .alive, incarnation: 1), try record("n2", .alive), try record("c1", .alive, kind: .coordinator),
        ]
        let found = beliefs.news(among: { now }, at: at(1))
        #expect(found == Array(now[..<2]))
        let again = beliefs.news(among: { now }, at: at(1) + ToldBeliefs.interval)
        #expect(again.isEmpty)
        let event = notes(&beliefs, now[0])
        #expect(event == [false])
    }

    @Test("whoever was only expected, and is heard now, is news")
    func heardAtLast() throws {
        var beliefs = ToldBeliefs()
        let alive = try record("n1", .alive)
        let told = notes(&beliefs, try record("n1", .alive, isHeard: false), alive, alive)
        #expect(told == [true, true, false])
    }

    @Test("whoever has refuted, or has a new session, is news; whether one that is not alive is suspect or dead is not")
    func sameBelief() throws {
        var beliefs = ToldBeliefs()
        let alive = try record("n1", .alive)
        let told = notes(
            &beliefs, alive, alive, try record("n1", .alive, incarnation: 3), try record("n1", .alive, session: 9),
            try record("n1", .suspect, session: 9), try record("n1", .dead, session: 9))
        #expect(told == [true, false, true, true, true, false])
    }

    @Test("all is looked at no more often than it should be, and who is held no more is forgotten")
    func looks() throws {
        var beliefs = ToldBeliefs()
        let held = [try record("n1", .dead)]
        let first = beliefs.news(among: { held }, at: at(0))
        #expect(first == held)
        let early = beliefs.news(among: { [] }, at: at(1))
        let kept = notes(&beliefs, held[0])
        #expect(early.isEmpty && kept == [false])
        let late = beliefs.news(among: { [] }, at: at(9))
        let forgotten = notes(&beliefs, held[0])
        #expect(late.isEmpty && forgotten == [true])
    }

    @Test("of one that was held alive and is held no more the core is told that it is not, once")
    func forgottenAlive() throws {
        var beliefs = ToldBeliefs()
        let alive = [try record("n2", .alive), try record("n1", .alive)]
        _ = beliefs.news(among: { alive }, at: at(0))
        let gone = beliefs.news(among: { [] }, at: at(9))
        #expect(gone.map(\.record.node.name) == ["n1", "n2"])
        #expect(gone.allSatisfy { $0.record.status != .alive && !$0.isHeard })
        let again = beliefs.news(among: { [] }, at: at(18))
        #expect(again.isEmpty)
    }
}
