import Consensus
import Model
import Testing

@Suite struct MemberConfigurationTests {
    private static let pool = ["a", "b", "c", "d"].compactMap { try? MemberID(text: $0) }

    /// Every set of members of the pool, the empty one first.
    private static let subsets: [[MemberID]] = (0..<(1 << pool.count)).map { bits in
        pool.indices.filter { bits >> $0 & 1 == 1 }.map { pool[$0] }
    }

    /// More than half of `half`, counted by hand; nobody has to agree in a half that is not there.
    private static func agrees(_ half: [MemberID], _ members: Set<MemberID>) -> Bool {
        half.isEmpty || half.filter { members.contains($0) }.count * 2 > half.count
    }

    /// Every configuration of the pool, joint ones included.
    private static func configurations() throws -> [MemberConfiguration] {
        try subsets.filter { !$0.isEmpty }.flatMap { voters in
            try subsets.map { try MemberConfiguration(voters: voters, outgoing: $0) }
        }
    }

    @Test("a quorum holds more than half of each half: every configuration of four members, every set of them")
    func quorums() throws {
        for configuration in try Self.configurations() {
            for members in Self.subsets.map({ Set($0) }) {
                let naive = Self.agrees(configuration.voters, members) && Self.agrees(configuration.outgoing, members)
                #expect(configuration.isQuorum(members) == naive, "\(configuration) \(members)")
            }
        }
    }

    @Test("a quorum of a joint configuration meets every quorum of what was before it, and of what comes after it")
    func quorumsMeet() throws {
        for joint in try Self.configurations() where joint.isJoint {
            let before = try MemberConfiguration(voters: joint.outgoing)
            let quorums = Self.subsets.map { Set($0) }.filter(joint.isQuorum)
            for other in [before, joint, joint.settled] {
                let others = Self.subsets.map { Set($0) }.filter(other.isQuorum)
                for quorum in quorums { #expect(others.allSatisfy { !$0.isDisjoint(with: quorum) }, "\(joint) \(quorum)") }
            }
        }
    }

    @Test("a vote is won by a quorum, lost when no answer to come can win it, and open otherwise: every vote of three members")
    func votes() throws {
        let three = Array(Self.pool.prefix(3))
        for configuration in try Self.configurations() where Set(configuration.members).isSubset(of: three) {
            for answers in Self.answers(of: three) {
                let yes = Set(answers.filter(\.value).keys)
                let open = Set(three).subtracting(answers.keys)
                let naive: VoteOutcome =
                    configuration.isQuorum(yes) ? .won : configuration.isQuorum(yes.union(open)) ? .pending : .lost
                #expect(configuration.outcome(of: answers) == naive, "\(configuration) \(answers)")
            }
        }
    }

    /// Every way in which members can have answered yes, no, or not yet.
    private static func answers(of members: [MemberID]) -> [[MemberID: Bool]] {
        members.reduce([[:]]) { partial, member in
            partial.flatMap { answers in
                [nil, false, true].map { answers.merging([member: $0].compactMapValues { $0 }) { $1 } }
            }
        }
    }

    @Test("the committed index is the greatest that a quorum holds: every configuration of three members, every log up to two")
    func committed() throws {
        let three = Array(Self.pool.prefix(3))
        for configuration in try Self.configurations() where Set(configuration.members).isSubset(of: three) {
            for number in 0..<27 {
                let held = Dictionary(uniqueKeysWithValues: zip(three, [number % 3, number / 3 % 3, number / 9]))
                let naive = (0...2).last { index in configuration.isQuorum(Set(three.filter { (held[$0] ?? 0) >= index })) }
                let counted = configuration.committed { LogIndex(UInt64(held[$0] ?? 0)) }
                #expect(counted.number == UInt64(naive ?? 0), "\(configuration) \(held)")
            }
        }
    }

    @Test("tolerance is how many voters may be lost, whichever they are")
    func tolerance() throws {
        for configuration in try Self.configurations() {
            let voters = Set(configuration.voters + configuration.outgoing)
            let survived = (0...voters.count).last { lost in
                Self.subsets.map { Set($0) }.filter { $0.count == lost && $0.isSubset(of: voters) }
                    .allSatisfy { configuration.isQuorum(voters.subtracting($0)) }
            }
            #expect(configuration.tolerance == survived, "\(configuration)")
        }
    }

    @Test("changes one after the other make the same of a configuration as of a plain list of who is what")
    func changes() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<4_000 {
            let shuffled = Self.pool.shuffled(using: &random)
            let (voters, rest) = (Array(shuffled.prefix(Int.random(in: 1...3, using: &random))), shuffled.dropFirst(3))
            let before = try MemberConfiguration(voters: voters, learners: Array(rest))
            let changes = (0..<Int.random(in: 1...3, using: &random)).compactMap { _ in change(&random) }
            var parts = Dictionary(uniqueKeysWithValues: before.members.map { ($0, before.voters.contains($0)) })
            let isLegal = changes.allSatisfy { Self.apply($0, to: &parts) } && parts.values.contains(true)
            do throws(Raft.Refusal) {
                let after = try before.changed(by: changes)
                #expect(isLegal, "\(before) \(changes)")
                #expect(after.voters == parts.filter(\.value).keys.sorted())
                #expect(after.learners == parts.filter { !$0.value }.keys.sorted())
                #expect(after.outgoing == (after.voters == before.voters ? [] : before.voters))
                #expect(after.settled.isJoint == false && after.settled.voters == after.voters)
            } catch {
                #expect(!isLegal, "\(before) \(changes): \(error)")
            }
        }
    }

    private func change(_ random: inout SeededGenerator) -> MemberChange? {
        guard let member = Self.pool.randomElement(using: &random) else { return nil }
        let kinds: [MemberChange] = [.addLearner(member), .promote(member), .demote(member), .remove(member)]
        return kinds.randomElement(using: &random)
    }

    /// Who votes, by member; false when the change makes no sense.
    private static func apply(_ change: MemberChange, to votes: inout [MemberID: Bool]) -> Bool {
        let old = votes[change.member]
        switch change {
        case .addLearner(let member): votes[member] = false
        case .promote(let member): votes[member] = true
        case .demote(let member): votes[member] = false
        case .remove(let member): votes[member] = nil
        }
        switch change {
        case .addLearner: return old == nil
        case .promote: return old == false
        case .demote: return old == true
        case .remove: return old != nil
        }
    }
}
