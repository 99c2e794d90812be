// Elections: pre-vote, vote, and what makes a member follow again (Raft §5.2, §5.4.1; thesis §9.6).

import Model

extension Raft {
    /// Asks for pre-votes, which change nothing anywhere: only a majority that also misses its leader lets a new term begin.
    mutating func campaign(at now: LogicalInstant) {
        resetElectionTimer(at: now)
        // Whoever cannot write could neither vote for itself nor lead.
        reads.failForwarded()
        guard mayCampaign, !isDiskStalled(at: now) else {
            role = .follower(leader: nil)
            return
        }
        role = .preCandidate(answers: [id: true])
        guard configuration.outcome(of: [id: true]) != .won else { return openTerm(at: now) }
        let request = VoteRequest(term: term.next, last: log.last)
        for peer in voters { messages.append(to: peer, .preVoteRequest(request)) }
    }

    /// A member on its way out campaigns until it knows that the group has committed that it is out: it may be the only one with the
    /// entry that says so, while those who stay would refuse each other's shorter logs for ever (thesis §4.2.2). Its own vote does
    /// not count.
    private var mayCampaign: Bool {
        configuration.hasVoter(id) || (log.configurationBefore?.hasVoter(id) == true && !mutated(.leavesBeforeCommit))
    }

    /// Opens a new term and votes for itself; the vote counts, and is asked of others, when it is on disk.
    mutating func openTerm(isTransfer: Bool = false, at now: LogicalInstant) {
        hardState.term = term.next
        hardState.vote = id
        role = .candidate(answers: [:])
        resetElectionTimer(at: now)
        let request = VoteRequest(term: term, last: log.last, isTransfer: isTransfer)
        for peer in voters { answers.append(to: peer, .voteRequest(request)) }
    }

    /// The other voters, sorted.
    private var voters: [MemberID] { configuration.members.filter { $0 != id && configuration.hasVoter($0) } }

    mutating func preVoteGranted(_ answer: VoteAnswer, from sender: MemberID, at now: LogicalInstant) {
        if mutated(.countsPreVotes), answer.term == term { return countVote(true, from: sender, at: now) }
        guard case .preCandidate(var votes) = role, answer.term == term.next else { return }
        votes[sender] = true
        role = .preCandidate(answers: votes)
        if configuration.outcome(of: votes) == .won { openTerm(at: now) }
    }

    mutating func preVoteRefused(by sender: MemberID, at now: LogicalInstant) {
        guard case .preCandidate(var votes) = role else { return }
        votes[sender] = false
        role = configuration.outcome(of: votes) == .lost ? .follower(leader: nil) : .preCandidate(answers: votes)
    }

    mutating func countVote(_ granted: Bool, from sender: MemberID, at now: LogicalInstant) {
        guard case .candidate(var votes) = role else { return }
        votes[sender] = granted
        role = .candidate(answers: votes)
        switch (mutated(.electsByNewHalf) ? configuration.settled : configuration).outcome(of: votes) {
        case .pending: break
        case .won: becomeLeader(at: now)
        case .lost: becomeFollower(term, leader: nil, at: now)
        }
    }

    /// Answers without changing anything here: neither term nor vote nor timer.
    mutating func answerPreVote(_ request: VoteRequest, from sender: MemberID, at now: LogicalInstant) {
        let grants =
            request.term > term && !isServed(at: now, by: sender)
            && (request.last.isAtLeastAsUpToDate(as: log.last) || mutated(.votesForShorterLog))
            && (configuration.hasVoter(id) || !mutated(.learnerNeverVotes))
        let answer = VoteAnswer(term: grants ? request.term : term, granted: grants)
        answers.append(to: sender, .preVoteAnswer(answer))
    }

    mutating func answerVote(_ request: VoteRequest, from sender: MemberID, at now: LogicalInstant) {
        // Who hears its leader does not let another open a term (check-quorum's other half), unless that leader wants it so.
        if request.term > term, request.isTransfer || !isServed(at: now, by: sender) {
            becomeFollower(request.term, leader: nil, at: now)
        }
        // The same candidate asking again in the same term gets the same answer.
        let grants =
            request.term == term && (hardState.vote == nil || hardState.vote == sender || mutated(.votesTwice)) && !isLeader
            && (request.last.isAtLeastAsUpToDate(as: log.last) || mutated(.votesForShorterLog))
            && (configuration.hasVoter(id) || !mutated(.learnerNeverVotes))
        if grants {
            hardState.vote = sender
            resetElectionTimer(at: now)
        }
        answers.append(to: sender, .voteAnswer(VoteAnswer(term: term, granted: grants)))
    }

    /// Whether a leader other than `candidate` was heard within the least election time-out. The known leader's own candidacy is
    /// never refused for its own sake: it has just started again.
    private func isServed(at now: LogicalInstant, by candidate: MemberID) -> Bool {
        switch role {
        case .leader: return true
        case .follower(let leader?) where leader != candidate:
            return heardFromLeader.map { now - $0 < settings.electionTimeout } ?? false
        case .follower, .preCandidate, .candidate: return false
        }
    }

    mutating func becomeFollower(_ newTerm: Term, leader: MemberID?, at now: LogicalInstant) {
        precondition(newTerm >= term, "\(newTerm) is behind \(term)")
        if newTerm > term || mutated(.forgetsVoteInTerm) {
            hardState.term = newTerm
            hardState.vote = nil
        }
        if isLeader {
            for case .local(let id) in leadership?.openRound?.origins ?? [] { reads.fail(id) }
            leadership = nil
            reads.failAll()
            resetElectionTimer(at: now)
        } else if self.leader != leader || leader == nil {
            reads.failForwarded()
        }
        role = .follower(leader: leader)
    }

    /// Takes a message of this term's leader.
    mutating func follow(_ sender: MemberID, at now: LogicalInstant, _ body: (inout Raft) -> Void) {
        guard !isLeader else { return fail(.secondLeader(sender, term: term)) }
        if leader != sender { becomeFollower(term, leader: sender, at: now) }
        heardFromLeader = now
        resetElectionTimer(at: now)
        body(&self)
    }

    /// The leader's process is gone, most likely: forget it and ask, soon and not all at once. A pre-vote does no harm if it lives.
    mutating func connectionLost(_ peer: MemberID, at now: LogicalInstant) {
        if isLeader { leadership?.progress[peer]?.linkBroken() }
        guard role == .follower(leader: peer) else { return }
        reads.failForwarded()
        role = .follower(leader: nil)
        heardFromLeader = nil
        guard !isReluctant else { return resetElectionTimer(at: now) }
        let spread = max(settings.heartbeatInterval.microseconds / 2, 1)
        electionDeadline = now + .microseconds(Int64.random(in: 0..<spread, using: &random))
    }
}
