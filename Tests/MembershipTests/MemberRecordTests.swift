import Membership
import Model
import Testing

@Suite struct MemberRecordTests {
    @Test("a newer generation outranks every rumour about the life before")
    func generations() throws {
        let dead = try record(generation: 1, incarnation: 100, .dead)
        let restarted = try record(generation: 2, incarnation: 0, .alive)
        #expect(restarted.outranks(dead))
        #expect(!dead.outranks(restarted))
    }

    @Test("the order of records is total: of two that differ in rank exactly one outranks the other")
    func totalOrder() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let a = try randomRecord(using: &generator)
            let b = try randomRecord(using: &generator)
            let equal = a.life == b.life && a.status == b.status
            #expect(a.outranks(b) != b.outranks(a) || equal)
            #expect(!(a.outranks(b) && b.outranks(a)))
        }
    }

    private func record(generation: UInt64, incarnation: UInt64, _ status: MemberStatus) throws -> MemberRecord {
        let profile = MemberProfile(
            kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:1", link: "127.0.0.1:2", store: StoreID(1), session: .none
        )
        return MemberRecord(
            node: try NodeID("n1"), life: Life(generation: Generation(generation), incarnation: incarnation), status: status,
            profile: profile)
    }

    private func randomRecord(using generator: inout SeededGenerator) throws -> MemberRecord {
        let statuses = MemberStatus.allCases
        return try record(
            generation: .random(in: 1...3, using: &generator), incarnation: .random(in: 0...3, using: &generator),
            statuses[Int.random(in: 0..<statuses.count, using: &generator)])
    }
}
