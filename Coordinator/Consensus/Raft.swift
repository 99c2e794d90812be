// Raft (Ongaro and Ousterhout 2014; Ongaro's thesis) as a value that is stepped: messages, time and finished writes go in; `takeReady()`
// says what to write, send and apply. No clock, no disk, no randomness but the seeded generator that it carries.
//
// Beyond the paper: pre-votes and check-quorum together (thesis §9.6), so that a member that was away disturbs nobody and a leader
// that is cut off stops; ReadIndex in shared rounds (§6.4); a leader's own disk works while it sends (§10.2.1), and counts only when
// its write is finished. Leases are not used for reads: they would need bounded clocks, and a round is cheap.
//
// Refused: applying a membership at commit instead of at append (two quorums that do not meet become possible), and acknowledging
// writes by index (see RaftLog).

package import Model

package struct Raft: Sendable {
    /// What a member is at the moment.
    package enum Role: Hashable, Sendable {
        /// Can move to: preCandidate.
        case follower(leader: MemberID?)
        /// Asks whether it could win, without a new term. Can move to: candidate, follower.
        case preCandidate(answers: [MemberID: Bool])
        /// Can move to: leader, follower, preCandidate.
        case candidate(answers: [MemberID: Bool])
        /// Can move to: follower.
        case leader
    }

    package enum Input: Sendable {
        /// Time has passed; due at `nextDeadline` at the latest.
        case tick
        case received(Message, from: MemberID)
        /// Every write up to this sequence is durable.
        case persisted(UInt64)
        /// The connection to a member was closed or refused by its machine: its process is gone, most likely.
        case connectionLost(MemberID)
        /// Whether this member would rather not lead: its disk is nearly full, or it is about to stop. It campaigns later than the
        /// others then, but it does, for a group that nobody wants to lead must still have a leader.
        case reluctant(Bool)
        /// A quorum came to another state at this index than this member did.
        case stateDiffers(LogIndex)
    }

    package let id: MemberID
    package let settings: RaftSettings
    package internal(set) var hardState: HardState
    package internal(set) var role: Role = .follower(leader: nil)
    package internal(set) var log: RaftLog
    /// The newest snapshot that is durable here; what a follower far behind is sent.
    package internal(set) var snapshot: Snapshot
    /// What makes this store unfit to take part. From then on the member is silent: it neither votes, acknowledges nor leads.
    package internal(set) var fault: Fault?

    /// Present exactly while the role is leader.
    var leadership: Leadership?
    var reads: ReadQueue
    var incoming: IncomingSnapshot?
    var electionDeadline: LogicalInstant
    var isReluctant = false
    var heardFromLeader: LogicalInstant?
    var random: SeededGenerator

    // What the next `Ready` carries.
    var messages: [Envelope] = []
    var answers: [Envelope] = []
    var installing: Snapshot?
    var faults: [Fault] = []
    var freshSnapshot: Snapshot?
    /// Whether `freshSnapshot` came from the leader and nothing of the old log remains.
    var replacesLog = false
    var writtenHardState: HardState
    var lastSequence: UInt64 = 0
    /// Snapshots under way to disk, by the sequence of their write.
    var snapshotWrites: [SnapshotWrite] = []
    /// The terms whose vote each unfinished write carries.
    var voteWrites: [VoteWrite] = []

    struct SnapshotWrite: Sendable {
        let sequence: UInt64
        let snapshot: Snapshot
    }

    struct VoteWrite: Sendable {
        let sequence: UInt64
        let term: Term
    }

    /// A member as it comes back from its disk.
    /// - Parameters:
    ///   - snapshot: the newest one, or the founding one.
    ///   - entries: those after it, consecutive.
    package init(
        id: MemberID, settings: RaftSettings, hardState: HardState = HardState(), snapshot: Snapshot, entries: [Entry] = [],
        seed: UInt64, at now: LogicalInstant
    ) {
        self.id = id
        self.settings = settings
        self.hardState = hardState
        writtenHardState = hardState
        self.snapshot = snapshot
        log = RaftLog(snapshot: snapshot, entries: entries, commit: hardState.commit)
        #if MUTANTS
            log.mutant = settings.mutant
        #endif
        random = SeededGenerator(seed: seed)
        reads = ReadQueue(numbersAfter: random.next() >> 3)
        electionDeadline = now
        self.hardState.commit = log.commit
        resetElectionTimer(at: now)
        if snapshot.id.index > .zero { installing = snapshot }
    }

    package var term: Term { hardState.term }
    package var isLeader: Bool { role == .leader }
    package var configuration: MemberConfiguration {
        mutated(.configuresAtCommit) ? log.configuration(at: log.commit) : log.configuration
    }

    package var leader: MemberID? {
        switch role {
        case .leader: id
        case .follower(let leader): leader
        case .preCandidate, .candidate: nil
        }
    }

    /// Whether this leader has committed an entry of its own term: before, it does not know what is committed (Raft §8).
    package var hasCommittedInTerm: Bool { isLeader && log.term(at: log.commit) == term }

    /// When `tick` is due, whatever else happens.
    package var nextDeadline: LogicalInstant {
        guard fault == nil else { return LogicalInstant(microseconds: .max) }
        guard let leadership else {
            return reads.deadline.map { min($0, electionDeadline) } ?? electionDeadline
        }
        let due = min(leadership.heartbeatDue, leadership.quorumCheckDue)
        return min(leadership.transfer?.until ?? due, leadership.commitNewsDue ?? due, due)
    }

    // MARK: - Inputs

    package mutating func step(_ input: Input, at now: LogicalInstant) {
        guard fault == nil else { return }
        // Heartbeats must not outlive the ability to write: the group would have neither writes nor an election.
        if isLeader, isDiskStalled(at: now) { resign(at: now) }
        switch input {
        case .tick: tick(at: now)
        case .received(let message, let sender): receive(message, from: sender, at: now)
        case .persisted(let sequence): persisted(sequence, at: now)
        case .connectionLost(let peer): connectionLost(peer, at: now)
        case .reluctant(let isReluctant):
            guard isReluctant != self.isReluctant else { return }
            self.isReluctant = isReluctant
            resetElectionTimer(at: now)
        case .stateDiffers(let index): fail(.stateDiffers(index))
        }
    }

    /// Appends a command at the leader. It is committed when `takeReady()` hands the entry of this name out, and never if another
    /// entry comes out at its index.
    /// - Parameter isAwaitedElsewhere: whether somebody waits for it at another member, which is then told of the commit at once.
    package mutating func propose(_ command: [UInt8], isAwaitedElsewhere: Bool = false) throws(Refusal) -> EntryID {
        guard isLeader, let leadership else { throw .notLeader(leader) }
        guard !isTransferring else { throw .transferring }
        guard command.count <= settings.commandBytes else {
            throw .commandTooLarge(bytes: command.count, limit: settings.commandBytes)
        }
        guard leadership.uncommittedBytes + command.count <= settings.uncommittedBytes else {
            throw .tooMuchUncommitted(bytes: leadership.uncommittedBytes, limit: settings.uncommittedBytes)
        }
        let id = appendAsLeader(.command(command))
        if isAwaitedElsewhere { self.leadership?.promptThrough = id.index }
        return id
    }

    /// Hands over the state machine's bytes as it was when `index` had been applied; when they are durable the log is cut behind them.
    /// Ignored while another snapshot is on its way to the disk, and behind one that the leader has sent meanwhile.
    /// - Precondition: `index` has been applied.
    package mutating func takeSnapshot(_ data: [UInt8], at index: LogIndex) {
        precondition(index <= log.applied, "snapshot at \(index), applied \(log.applied)")
        guard index > snapshot.id.index, !isTakingSnapshot, let term = log.term(at: index) else { return }
        freshSnapshot = Snapshot(
            id: EntryID(term: term, index: index), configuration: log.configuration(at: index),
            configurationIndex: log.configurationIndex(at: index), data: data)
    }

    /// Whether a snapshot is on its way to the disk.
    package var isTakingSnapshot: Bool { freshSnapshot != nil || !snapshotWrites.isEmpty }

    private mutating func tick(at now: LogicalInstant) {
        if isLeader {
            leaderTick(at: now)
        } else {
            reconsiderForwarded(at: now)
            if now >= electionDeadline { campaign(at: now) }
        }
    }

    private mutating func persisted(_ sequence: UInt64, at now: LogicalInstant) {
        log.finishedWrites(through: sequence)
        for write in snapshotWrites where write.sequence <= sequence && write.snapshot.id.index >= snapshot.id.index {
            snapshot = write.snapshot
            log.compact(
                through: log.droppable(
                    coveredThrough: snapshot.id.index, keeping: settings.trailingEntries, bytes: settings.trailingBytes))
        }
        snapshotWrites.removeAll { $0.sequence <= sequence }
        let votesForNow = voteWrites.contains { $0.sequence <= sequence && $0.term == term }
        voteWrites.removeAll { $0.sequence <= sequence }
        if votesForNow, case .candidate = role { countVote(true, from: id, at: now) }
        if isLeader { advanceCommit(at: now) }
    }

    private mutating func receive(_ message: Message, from sender: MemberID, at now: LogicalInstant) {
        guard sender != id, message.isPlausible else { return }
        switch message {
        case .preVoteRequest(let request): return answerPreVote(request, from: sender, at: now)
        case .voteRequest(let request): return answerVote(request, from: sender, at: now)
        case .preVoteAnswer(let answer) where answer.granted:
            // Carries the term that was asked for, which nobody has opened yet.
            return preVoteGranted(answer, from: sender, at: now)
        default: break
        }
        if message.term > term {
            if mutated(.ignoresRefusersTerm), case .preVoteAnswer = message { return }
            becomeFollower(message.term, leader: message.isFromLeader ? sender : nil, at: now)
        } else if message.term < term, !mutated(.takesOldTerms) {
            // A leader of an old term must learn that it is one; any other old message is of no use.
            if message.isFromLeader { answers.append(to: sender, .appendAnswer(AppendAnswer(term: term, outcome: .staleTerm))) }
            return
        }
        switch message {
        case .append(let append): follow(sender, at: now) { $0.handle(append, from: sender) }
        case .heartbeat(let beat): follow(sender, at: now) { $0.handle(beat, from: sender) }
        case .snapshotChunk(let chunk): follow(sender, at: now) { $0.handle(chunk, from: sender) }
        case .timeoutNow: follow(sender, at: now) { $0.takeOver(from: sender, at: now) }
        case .appendAnswer(let answer): handle(answer, from: sender, at: now)
        case .heartbeatAnswer(let answer): handle(answer, from: sender, at: now)
        case .snapshotAnswer(let answer): handle(answer, from: sender, at: now)
        case .preVoteAnswer: preVoteRefused(by: sender, at: now)
        case .voteAnswer(let answer): countVote(answer.granted, from: sender, at: now)
        case .readRequest(let request): handle(request, from: sender, at: now)
        case .readAnswer(let answer):
            reads.answered(mutated(.takesLateReadAnswers) ? reads.number : answer.number, index: answer.index)
        case .preVoteRequest, .voteRequest: preconditionFailure("answered above")
        }
    }

    // MARK: - Ready

    /// What is to be done since the last call; nil when there is nothing.
    package mutating func takeReady(at now: LogicalInstant) -> Ready? {
        if fault != nil { fallSilent(at: now) }
        if isLeader { broadcast(at: now) } else { forwardReads(at: now) }
        hardState.commit = log.commit
        let persist = takePersist(at: now)
        let committed = log.takeCommitted()
        let (confirmed, failed) = reads.take()
        let ready = Ready(
            messages: messages, persist: persist, install: installing, committed: committed, reads: confirmed,
            failedReads: failed, faults: faults)
        messages = []
        installing = nil
        faults = []
        let isEmpty =
            ready.messages.isEmpty && persist == nil && ready.install == nil && committed.isEmpty && confirmed.isEmpty
            && failed.isEmpty && ready.faults.isEmpty
        return isEmpty ? nil : ready
    }

    private mutating func takePersist(at now: LogicalInstant) -> Persist? {
        let entries = log.takeUnwritten()
        let changed = hardState.term != writtenHardState.term || hardState.vote != writtenHardState.vote
        if entries.isEmpty, !changed, freshSnapshot == nil {
            // Nothing to write, and no write under way: what is answered for is on disk, and the answer need not ask the disk.
            if log.oldestWriteStartedAt == nil {
                messages += answers
                answers = []
            }
            guard !answers.isEmpty else { return nil }
        }
        lastSequence += 1
        // A write can be torn behind its vote: what the vote's record says to be committed must have been on disk before these entries.
        // Else the entries that they were to replace would come back as committed ones.
        var known = hardState
        if let first = entries.first, !mutated(.countsOnThisWrite) { known.commit = min(known.commit, first.id.index.previous) }
        let persist = Persist(
            sequence: lastSequence, hardState: known, hardStateChanged: changed, snapshot: freshSnapshot,
            replacesLog: replacesLog, entries: entries, answers: answers)
        log.beganWrite(lastSequence, at: now)
        voteWrites.append(VoteWrite(sequence: lastSequence, term: term))
        if let freshSnapshot { snapshotWrites.append(SnapshotWrite(sequence: lastSequence, snapshot: freshSnapshot)) }
        writtenHardState = hardState
        freshSnapshot = nil
        replacesLog = false
        answers = []
        return persist
    }

    mutating func resetElectionTimer(at now: LogicalInstant) {
        let least = settings.electionTimeout.microseconds
        let drawn = least + Int64.random(in: 0..<least, using: &random)
        electionDeadline = now + .microseconds(isReluctant ? drawn + 2 * least : drawn)
    }
}

extension [Envelope] {
    mutating func append(to node: MemberID, _ message: Message) { append(Envelope(to: node, message: message)) }
}
