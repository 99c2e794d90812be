package import Model

/// Who belongs to the group. While a change is under way both the outgoing and the incoming voters must agree to everything
/// (joint consensus, Raft §6); learners receive entries and count for nothing.
package struct MemberConfiguration: Hashable, Sendable {
    /// Sorted.
    package let voters: [MemberID]
    /// The voters before the change under way; empty when there is none. Sorted.
    package let outgoing: [MemberID]
    /// Sorted.
    package let learners: [MemberID]

    /// - Throws: `InvalidValue` when there is no voter, or a member is named twice where it must not be.
    package init(voters: [MemberID], outgoing: [MemberID] = [], learners: [MemberID] = []) throws(InvalidValue) {
        guard !voters.isEmpty else { throw InvalidValue(field: "voters", detail: "a group needs one voter at least") }
        guard Set(voters).count == voters.count, Set(outgoing).count == outgoing.count, Set(learners).count == learners.count
        else { throw InvalidValue(field: "members", detail: "a member is named twice") }
        guard Set(voters).isDisjoint(with: learners) else {
            throw InvalidValue(field: "learners", detail: "a member cannot be voter and learner")
        }
        self.voters = voters.sorted()
        self.outgoing = outgoing.sorted()
        self.learners = learners.sorted()
    }

    package var isJoint: Bool { !outgoing.isEmpty }

    /// Everybody who receives entries, each once, sorted.
    package var members: [MemberID] { Set(voters + outgoing + learners).sorted() }

    /// Whether `node` counts in either half.
    package func hasVoter(_ node: MemberID) -> Bool { voters.contains(node) || outgoing.contains(node) }

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

    /// Whether `nodes` hold a quorum of each half.
    package func isQuorum(_ nodes: Set<MemberID>) -> Bool {
        outcome(of: Dictionary(uniqueKeysWithValues: nodes.map { ($0, true) })) == .won
    }
}

package enum VoteOutcome: Hashable, Sendable { case pending, won, lost }

/// Majority arithmetic over one set of voters, in one place because it is easy to get wrong by one.
package enum Quorum {
    /// More than half.
    package static func size(of count: Int) -> Int { count / 2 + 1 }

    /// The greatest index that more than half of `voters` have reached.
    /// - Precondition: `voters` is not empty.
    package static func committed(_ voters: [MemberID], _ match: (MemberID) -> LogIndex) -> LogIndex {
        precondition(!voters.isEmpty, "an empty set of voters has no quorum")
        let descending = voters.map(match).sorted(by: >)
        return descending[size(of: voters.count) - 1]
    }

    package static func outcome(_ voters: [MemberID], _ answers: [MemberID: Bool]) -> VoteOutcome {
        let yes = voters.count { answers[$0] == true }
        let no = voters.count { answers[$0] == false }
        if yes >= size(of: voters.count) { return .won }
        return voters.count - no < size(of: voters.count) ? .lost : .pending
    }
}
