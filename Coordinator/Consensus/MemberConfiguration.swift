package import Model

/// Who belongs to the group. While voters change, both the outgoing and the incoming ones must agree to everything (joint
/// consensus, Raft §6); learners receive entries and count for nothing.
///
/// A voter that becomes a learner stands in `outgoing` and in `learners` for as long as the change is under way: it counts in the
/// old half until the old half is gone.
package struct MemberConfiguration: Hashable, Sendable {
    /// More members than any group has use for: every write waits for more than half of the voters.
    package static let limit = 32

    /// Sorted.
    package let voters: [MemberID]
    /// The voters before the change under way; empty when there is none. Sorted.
    package let outgoing: [MemberID]
    /// Sorted.
    package let learners: [MemberID]

    /// - Throws: `InvalidValue` when there is no voter, a member is named twice where it must not be, a node would have two votes,
    ///   or there are too many members.
    package init(voters: [MemberID], outgoing: [MemberID] = [], learners: [MemberID] = []) throws(InvalidValue) {
        guard !voters.isEmpty else { throw InvalidValue(field: "voters", detail: "a group needs one voter at least") }
        guard Set(learners).count == learners.count else {
            throw InvalidValue(field: "learners", detail: "a member is named twice")
        }
        for (field, half) in [("voters", voters), ("outgoing", outgoing)] {
            // Two stores of one node fall together.
            guard Set(half.map(\.node)).count == half.count else {
                throw InvalidValue(field: field, detail: "a node would have two votes")
            }
        }
        guard Set(voters).isDisjoint(with: learners) else {
            throw InvalidValue(field: "learners", detail: "a member cannot be voter and learner")
        }
        guard Set(voters + outgoing + learners).count <= Self.limit else {
            throw InvalidValue(field: "members", detail: "a group has \(Self.limit) members at most")
        }
        self.voters = voters.sorted()
        self.outgoing = outgoing.sorted()
        self.learners = learners.sorted()
    }

    /// What a joint configuration leads to; the same when none is under way.
    package var settled: MemberConfiguration { MemberConfiguration(settling: self) }

    private init(settling joint: MemberConfiguration) {
        voters = joint.voters
        outgoing = []
        learners = joint.learners
    }

    package var isJoint: Bool { !outgoing.isEmpty }

    /// Everybody who receives entries, each once, sorted.
    package var members: [MemberID] { Set(voters + outgoing + learners).sorted() }

    /// Whether `member` counts in either half.
    package func hasVoter(_ member: MemberID) -> Bool { voters.contains(member) || outgoing.contains(member) }

    /// How many voters may be lost without losing the group.
    package var tolerance: Int {
        let one = (voters.count - 1) / 2
        return isJoint ? min(one, (outgoing.count - 1) / 2) : one
    }

    /// The greatest index that a quorum of each half holds, given what each voter holds.
    package func committed(_ match: (MemberID) -> LogIndex) -> LogIndex {
        let incoming = Quorum.committed(voters, match)
        return isJoint ? min(incoming, Quorum.committed(outgoing, match)) : incoming
    }

    /// How a vote stands; won only when each half has won.
    package func outcome(of answers: [MemberID: Bool]) -> VoteOutcome {
        let incoming = Quorum.outcome(voters, answers)
        guard isJoint else { return incoming }
        switch (incoming, Quorum.outcome(outgoing, answers)) {
        case (.won, .won): return .won
        case (.lost, _), (_, .lost): return .lost
        case (.pending, _), (_, .pending): return .pending
        }
    }

    /// Whether `members` hold a quorum of each half.
    package func isQuorum(_ members: Set<MemberID>) -> Bool {
        outcome(of: Dictionary(uniqueKeysWithValues: members.map { ($0, true) })) == .won
    }
}
