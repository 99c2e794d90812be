import Consensus
import Model
import Testing

@Suite struct QuorumTests {
    @Test("the committed index is the greatest that every half's majority holds, as counted one by one")
    func againstNaive() throws {
        var random = SeededGenerator(seed: 3)
        let pool = try (1...7).map { try NodeID("n\($0)") }
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
        let n = try (1...5).map { try NodeID("n\($0)") }
        let joint = try MemberConfiguration(voters: [n[0], n[1], n[2]], outgoing: [n[2], n[3], n[4]])
        #expect(joint.outcome(of: [n[0]: true, n[1]: true]) == .pending)
        #expect(joint.outcome(of: [n[0]: true, n[1]: true, n[3]: true, n[4]: true]) == .won)
        #expect(joint.outcome(of: [n[3]: false, n[4]: false]) == .lost)
        #expect(throws: InvalidValue.self) { try MemberConfiguration(voters: []) }
    }
}
