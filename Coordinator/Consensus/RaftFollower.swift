// A follower's work: take what the leader sends, and answer for it when it is on disk (Raft §5.3).

import Model

extension Raft {
    mutating func handle(_ append: Append, from leader: MemberID) {
        let outcome: AppendAnswer.Outcome
        switch log.merge(append.entries, after: append.previous) {
        case .matched(let index):
            // Not further than what this append has shown to be equal to the leader's log.
            log.commit(to: min(append.commit, max(index, log.commit)))
            outcome = .matched(index)
        case .rejected(let hint):
            outcome = .rejected(at: append.previous.index, hint: hint)
        case .conflictWithCommitted(let entry):
            return faults.append(.conflictWithCommitted(entry))
        }
        answers.append(to: leader, .appendAnswer(AppendAnswer(term: term, outcome: outcome)))
    }

    mutating func handle(_ beat: Heartbeat, from leader: MemberID) {
        guard beat.commit <= log.last.index else {
            return faults.append(.commitBeyondLog(beat.commit, last: log.last.index))
        }
        log.commit(to: beat.commit)
        answers.append(to: leader, .heartbeatAnswer(HeartbeatAnswer(term: term, round: beat.round)))
    }
}
