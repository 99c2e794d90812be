import Consensus
import Model
import Testing

@Suite struct QuorumTests {
    @Test("the committed index is the greatest that every half's majority holds, as counted one by one")
    func againstNaive() throws {
        var random = SeededGenerator(seed: 3)
        let pool = try (1...7).map { try MemberID(text: "n\($0)") }
        for _ in 0..<2_000 {
            let voters = Array(pool.shuffled(using: &random).prefix(Int.random(in: 1...7, using: &random)))
            let outgoing = Array(pool.shuffled(using: &random).prefix(Int.random(in: 0...7, using: &random)))
            let configuration = try MemberConfiguration(voters: voters, outgoing: outgoing)
            let held = Dictionary(uniqueKeysWithValues: pool.map { ($0, LogIndex(random.next() % 6)) })
            let naive = (0...6).last { index in
                [voters, outgoing].filter { !$0.isEmpty }.allSatisfy { half in
                    half.filter { (held[$0] ?? .zero).number >= UInt64(index) }.count * 2 > half.count
                }
            }
            #expect(configuration.committed { held[$0] ?? .zero }.number == UInt64(naive ?? 0))
        }
    }

    @Test("a vote is won when each half has won, lost as soon as one half cannot win any more")
    func outcomes() throws {
        let n = try (1...5).map { try MemberID(text: "n\($0)") }
        let joint = try MemberConfiguration(voters: [n[0], n[1], n[2]], outgoing: [n[2], n[3], n[4]])
        #expect(joint.outcome(of: [n[0]: true, n[1]: true]) == .pending)
        #expect(joint.outcome(of: [n[0]: true, n[1]: true, n[3]: true, n[4]: true]) == .won)
        #expect(joint.outcome(of: [n[3]: false, n[4]: false]) == .lost)
        #expect(throws: InvalidValue.self) { try MemberConfiguration(voters: []) }
    }
}

@Suite struct MemberIDTests {
    @Test(
        "a member is written as its node, or as node and store, and read back the same",
        arguments: [("c1", nil), ("c1/0", 0), ("c1/4f2a", 0x4F2A), ("c1/ffffffffffffffff", UInt64.max)])
    func text(_ text: String, _ store: UInt64?) throws {
        let member = MemberID(try NodeID("c1"), store: store.map { StoreID($0) })
        #expect(member.description == text)
        #expect(try MemberID(text: text) == member)
    }

    @Test(
        "a text with another form is refused",
        arguments: ["", "/", "c1/", "/1", "c1/1/2", "c1/04", "c1/4F", "C1", "c1/-1", "c1/+1"])
    func refused(_ text: String) {
        #expect(throws: InvalidValue.self) { try MemberID(text: text) }
    }

    @Test("members stand by node, the founding store before the others of its node")
    func order() throws {
        let sorted = try ["a/ff", "b", "b/2", "b/10", "c"].map { try MemberID(text: $0) }
        var random = SeededGenerator(seed: 1)
        for _ in 0..<20 { #expect(sorted.shuffled(using: &random).sorted() == sorted) }
    }
}
