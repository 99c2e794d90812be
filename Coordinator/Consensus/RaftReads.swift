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
    /// Under way to the leader under `number`.
    private var forwarded: [UInt64] = []
    private(set) var forwardDeadline: LogicalInstant?
    /// Of the last question to a leader. Begins anywhere, so that an answer to this member's former life, in the same term, is not
    /// taken for one to this: it could tell of a commit that is too old.
    private(set) var number: UInt64
    private var confirmed: [ConfirmedRead] = []
    private var failed: [UInt64] = []

    init(numbersAfter number: UInt64) { self.number = number }

    mutating func confirm(_ id: UInt64, at index: LogIndex) { confirmed.append(ConfirmedRead(id: id, index: index)) }
    mutating func fail(_ id: UInt64) { failed.append(id) }

    /// Takes all waiting local reads for one question to the leader; nil while one is under way or when none waits.
    mutating func takeForward(until deadline: LogicalInstant) -> UInt64? {
        guard forwarded.isEmpty, !waiting.isEmpty else { return nil }
        for origin in waiting {
            if case .local(let id) = origin { forwarded.append(id) }
        }
        waiting = []
        guard !forwarded.isEmpty else { return nil }
        number += 1
        forwardDeadline = deadline
        return number
    }

    mutating func answered(_ answer: UInt64, index: LogIndex) {
        guard answer == number else { return }
        for id in forwarded { confirm(id, at: index) }
        forwarded = []
        forwardDeadline = nil
    }

    mutating func failForwarded() {
        failed += forwarded
        forwarded = []
        forwardDeadline = nil
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
        guard let number = reads.takeForward(until: now + settings.electionTimeout) else { return }
        messages.append(to: leader, .readRequest(ReadRequest(term: term, number: number)))
    }

    private mutating func failWaitingReads() {
        guard !reads.waiting.isEmpty else { return }
        reads.failAll()
    }
}
