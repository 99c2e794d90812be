// Linearizable reads without a log entry (thesis §6.4): the leader notes its commit index, makes sure by one round of heartbeats that
// it still leads, and the reader waits until its state machine has come that far. All reads that wait share one round.

import Model

/// Whose read it is.
enum ReadOrigin: Hashable, Sendable {
    case local(UInt64)
    case remote(MemberID, number: UInt64)
}

struct ReadRound: Sendable {
    let number: UInt64
    let index: LogIndex
    let origins: [ReadOrigin]
}

struct ReadQueue: Sendable {
    /// Wait for the next round, or for a leader to be asked.
    var waiting: [ReadOrigin] = []
    /// Under way to the leader under `number`; nil when none is.
    private var question: Question?
    /// Of the last question to a leader. Begins anywhere, so that an answer to this member's former life, in the same term, is not
    /// taken for one to this: it could tell of a commit that is too old.
    private(set) var number: UInt64
    private var confirmed: [ConfirmedRead] = []
    private var failed: [UInt64] = []

    /// Reads that the leader is asked about, all at once.
    private struct Question: Sendable {
        let reads: [UInt64]
        /// When they fail.
        let until: LogicalInstant
        /// When the leader is asked again: the question or its answer may be lost, and asking twice does no harm.
        var again: LogicalInstant
    }

    /// When `reconsider` is due.
    var deadline: LogicalInstant? { question.map { min($0.until, $0.again) } }

    init(numbersAfter number: UInt64) { self.number = number }

    mutating func confirm(_ id: UInt64, at index: LogIndex) { confirmed.append(ConfirmedRead(id: id, index: index)) }
    mutating func fail(_ id: UInt64) { failed.append(id) }

    /// Takes all waiting local reads for one question to the leader; nil while one is under way or when none waits.
    mutating func takeForward(until end: LogicalInstant, askingAgainAt again: LogicalInstant) -> UInt64? {
        guard question == nil, !waiting.isEmpty else { return nil }
        let local = waiting.compactMap { origin in if case .local(let id) = origin { id } else { nil } }
        waiting = []
        guard !local.isEmpty else { return nil }
        number += 1
        question = Question(reads: local, until: end, again: again)
        return number
    }

    /// Gives up the question under way when its time is over, or says under which number to ask it again.
    mutating func reconsider(at now: LogicalInstant, next: LogicalInstant) -> UInt64? {
        guard let current = question, now >= min(current.until, current.again) else { return nil }
        guard now < current.until else {
            failForwarded()
            return nil
        }
        question?.again = next
        return number
    }

    mutating func answered(_ answer: UInt64, index: LogIndex) {
        guard answer == number, let reads = question?.reads else { return }
        for id in reads { confirm(id, at: index) }
        question = nil
    }

    mutating func failForwarded() {
        failed += question?.reads ?? []
        question = nil
        // An answer that is still on its way belongs to nobody any more.
        number += 1
    }

    /// A leader that is none any more confirms nothing.
    mutating func failAll() {
        for origin in waiting {
            if case .local(let id) = origin { failed.append(id) }
        }
        waiting = []
        failForwarded()
    }

    mutating func take() -> ([ConfirmedRead], [UInt64]) {
        defer { (confirmed, failed) = ([], []) }
        return (confirmed, failed)
    }
}

extension Raft {
    /// Asks from which applied index on a read is linearizable; `takeReady()` answers under `id`, or says that it failed.
    package mutating func read(_ id: UInt64) {
        guard leader != nil, reads.waiting.count < settings.waitingReads else { return reads.fail(id) }
        reads.waiting.append(.local(id))
    }

    /// Begins a round for all waiting reads, unless one is open or the leader does not know yet what is committed.
    mutating func beginReadRound(at now: LogicalInstant) {
        if mutated(.joinsOpenRound), let open = leadership?.openRound, !reads.waiting.isEmpty {
            leadership?.openRound = ReadRound(number: open.number, index: open.index, origins: open.origins + reads.waiting)
            reads.waiting = []
        }
        guard hasCommittedInTerm || mutated(.readsBeforeCommit), !reads.waiting.isEmpty, leadership?.openRound == nil else {
            return
        }
        leadership?.round += 1
        guard let round = leadership?.round else { return }
        leadership?.openRound = ReadRound(number: round, index: log.commit, origins: reads.waiting)
        reads.waiting = []
        sendHeartbeats(at: now)
        confirmReads()
    }

    /// Answers the open round when a quorum has confirmed it or a later one. A heartbeat carries a round only after its reads were
    /// noted, so every such answer was given after them.
    mutating func confirmReads() {
        guard let leadership, let round = leadership.openRound else { return }
        let confirming = leadership.progress.filter { $0.value.confirmedRound >= round.number }.map(\.key)
        guard configuration.isQuorum(Set(confirming + [id])) || mutated(.readsWithoutQuorum) else { return }
        self.leadership?.openRound = nil
        for origin in round.origins {
            switch origin {
            case .local(let id): reads.confirm(id, at: round.index)
            case .remote(let node, let number):
                messages.append(to: node, .readAnswer(ReadAnswer(term: term, number: number, index: round.index)))
            }
        }
    }

    mutating func handle(_ request: ReadRequest, from peer: MemberID, at now: LogicalInstant) {
        guard isLeader, reads.waiting.count < settings.waitingReads else { return }
        reads.waiting.append(.remote(peer, number: request.number))
    }

    mutating func forwardReads(at now: LogicalInstant) {
        guard case .follower(let leader?) = role else { return failWaitingReads() }
        let number = reads.takeForward(
            until: now + settings.electionTimeout, askingAgainAt: now + settings.heartbeatInterval)
        if let number { ask(leader, number) }
    }

    /// A question that is not answered is put again with each heartbeat interval: what was lost costs that long, not an election
    /// time-out and the reads. Whichever answer comes first is as good as any, for each was given after the question.
    mutating func reconsiderForwarded(at now: LogicalInstant) {
        guard let number = reads.reconsider(at: now, next: now + settings.heartbeatInterval), let leader else { return }
        ask(leader, number)
    }

    private mutating func ask(_ leader: MemberID, _ number: UInt64) {
        messages.append(to: leader, .readRequest(ReadRequest(term: term, number: number)))
    }

    private mutating func failWaitingReads() {
        guard !reads.waiting.isEmpty else { return }
        reads.failAll()
    }
}
