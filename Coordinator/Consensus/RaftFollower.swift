// A follower's work: take what the leader sends, and answer for it when it is on disk (Raft §5.3).

import Model

extension Raft {
    mutating func handle(_ append: Append, from leader: MemberID) {
        let outcome: AppendAnswer.Outcome
        switch log.merge(append.entries, after: append.previous) {
        case .matched(let index):
            // Not further than what this append has shown to be equal to the leader's log.
            let verified = mutated(.commitsUnverified) ? log.last.index : max(index, log.commit)
            log.commit(to: min(append.commit, verified))
            outcome = .matched(mutated(.acknowledgesWholeLog) ? log.last.index : index)
            if let half = incoming, half.id.index <= log.commit { incoming = nil }
        case .rejected(let hint):
            outcome = .rejected(at: append.previous.index, hint: hint)
        case .conflictWithCommitted(let entry):
            return fail(.conflictWithCommitted(entry))
        }
        answers.append(to: leader, .appendAnswer(AppendAnswer(term: term, outcome: outcome)))
    }

    mutating func handle(_ beat: Heartbeat, from leader: MemberID) {
        guard beat.commit <= log.last.index else {
            return fail(.commitBeyondLog(beat.commit, last: log.last.index))
        }
        log.commit(to: beat.commit)
        answers.append(to: leader, .heartbeatAnswer(HeartbeatAnswer(term: term, round: beat.round)))
    }

    /// This member's store contradicts what the group knows of it: it has forgotten what it promised, and every vote and every
    /// acknowledgement of it could be the one too many. It takes no part any more, and says why.
    mutating func fail(_ fault: Fault) {
        guard self.fault == nil else { return }
        self.fault = fault
        faults.append(fault)
    }

    mutating func fallSilent(at now: LogicalInstant) {
        becomeFollower(term, leader: nil, at: now)
        reads.failAll()
        incoming = nil
        messages = []
        answers = []
    }
}
