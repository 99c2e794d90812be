// Planned changes of leadership (thesis §3.10): the leader takes no more proposals, brings its successor up to date, and tells it to
// open a term at once, without asking whether anybody misses a leader.

package import Model

extension Raft {
    /// A transfer under way.
    struct Transfer: Sendable {
        let successor: MemberID
        /// Given up then: proposals are taken again.
        let until: LogicalInstant
    }

    /// Hands leadership to `successor`, which takes over as soon as it holds all of the log; given up after one election time-out.
    /// Proposals are refused meanwhile.
    ///
    /// Asked again for the same successor, it changes nothing.
    /// - Throws: `notLeader`, `notVoter`, `changeUnderWay` (the successor might not know of it), `transferring`.
    package mutating func transferLeadership(to successor: MemberID, at now: LogicalInstant) throws(Refusal) {
        guard isLeader else { throw .notLeader(leader) }
        guard successor != id, leadership?.transfer?.successor != successor else { return }
        guard !isTransferring else { throw .transferring }
        guard configuration.voters.contains(successor) else { throw .notVoter(successor) }
        guard !isChangeUnderWay, log.configurationIndex <= log.applied else { throw .changeUnderWay }
        let until = mutated(.neverGivesUpTransfer) ? LogicalInstant(microseconds: .max) : now + settings.electionTimeout
        leadership?.transfer = Transfer(successor: successor, until: until)
        continueTransfer(at: now)
    }

    /// Whether proposals are refused because another member is to lead: by a transfer, or because this leader is to vote no more.
    package var isTransferring: Bool {
        guard let leadership else { return false }
        return leadership.transfer != nil || !configuration.hasVoter(id)
    }

    /// Who would lead next if this leader could choose: of the voters that answered lately, the one that holds most of the log.
    package func bestSuccessor(at now: LogicalInstant, except others: [MemberID] = []) -> MemberID? {
        var best: (member: MemberID, match: LogIndex)?
        for voter in configuration.voters where voter != id && !others.contains(voter) {
            guard let progress = leadership?.progress[voter], progress.hasAnswered(since: now - settings.electionTimeout)
            else { continue }
            if best.map({ progress.match > $0.match }) ?? true { best = (voter, progress.match) }
        }
        return best?.member
    }

    /// Tells the successor to take over once it holds everything. Repeated at each of its answers: the word may have been lost.
    mutating func continueTransfer(at now: LogicalInstant) {
        guard let successor = leadership?.transfer?.successor, let progress = leadership?.progress[successor],
            progress.match == log.last.index
        else { return }
        messages.append(to: successor, .timeoutNow(TimeoutNow(term: term)))
    }

    /// Stops leading for a reason of its own, and names a successor so that nobody has to wait for a time-out.
    mutating func resign(at now: LogicalInstant) {
        if let successor = bestSuccessor(at: now) { messages.append(to: successor, .timeoutNow(TimeoutNow(term: term))) }
        becomeFollower(term, leader: nil, at: now)
    }

    /// The leader's word to take over now. Only a voter does, and only while it follows that leader; one that would rather not lead
    /// lets the transfer be given up.
    mutating func takeOver(from sender: MemberID, at now: LogicalInstant) {
        guard role == .follower(leader: sender), configuration.hasVoter(id), !isReluctant,
            !isDiskStalled(at: now)
        else { return }
        reads.failForwarded()
        openTerm(isTransfer: true, at: now)
    }
}
