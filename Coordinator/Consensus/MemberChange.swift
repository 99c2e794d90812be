/// One step of a change of members. Several in one call are one change: they come into force together.
package enum MemberChange: Hashable, Sendable {
    /// Takes in a member that receives entries and does not vote.
    case addLearner(MemberID)
    /// Makes a voter of a learner that has caught up.
    case promote(MemberID)
    /// Makes a learner of a voter.
    case demote(MemberID)
    case remove(MemberID)

    package var member: MemberID {
        switch self {
        case .addLearner(let member), .promote(let member), .demote(let member), .remove(let member): member
        }
    }
}

extension MemberConfiguration {
    /// What `changes`, one after the other, make of this configuration: a joint one when the voters differ, for only then can the
    /// quorums before and after fail to meet.
    ///
    /// - Precondition: no change is under way.
    /// - Throws: `unknownMember`, `alreadyMember`, `notVoter`, `noVoterLeft`, `twoVotes`, `tooManyMembers`.
    package func changed(by changes: [MemberChange]) throws(Raft.Refusal) -> MemberConfiguration {
        precondition(!isJoint, "a change upon a change")
        var (voters, learners) = (Set(voters), Set(learners))
        for change in changes {
            let member = change.member
            switch change {
            case .addLearner:
                guard !voters.contains(member), learners.insert(member).inserted else { throw .alreadyMember(member) }
            case .promote:
                guard !voters.contains(member) else { throw .alreadyMember(member) }
                guard learners.remove(member) != nil else { throw .unknownMember(member) }
                voters.insert(member)
            case .demote:
                guard !learners.contains(member) else { throw .notVoter(member) }
                guard voters.remove(member) != nil else { throw .unknownMember(member) }
                learners.insert(member)
            case .remove:
                guard voters.remove(member) != nil || learners.remove(member) != nil else { throw .unknownMember(member) }
            }
        }
        guard !voters.isEmpty else { throw .noVoterLeft }
        let nodes = voters.sorted().map(\.node)
        if let twice = zip(nodes, nodes.dropFirst()).first(where: { $0 == $1 }) { throw .twoVotes(twice.0) }
        let outgoing = voters == Set(self.voters) ? [] : self.voters
        do {
            return try MemberConfiguration(voters: Array(voters), outgoing: outgoing, learners: Array(learners))
        } catch {
            // All other rules were checked above.
            throw .tooManyMembers(limit: Self.limit)
        }
    }
}
