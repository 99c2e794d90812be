// What the driver of an operation (module Movement) has the primary do: compare, admit a learner, fence, cut in two.

package import Model

extension Replica {
    /// Carries out an order, if this replica serves; an order that stands already changes nothing.
    mutating func take(_ order: Order, at now: LogicalInstant) {
        guard let primary, primary.phase == .serving, let descriptor else { return }
        let ticket = ticketOfThisStep
        switch order {
        case .verify(let operation):
            // One at a time; a comparison that nobody answered is taken again.
            let last = primary.verification.flatMap { $0.operation == operation ? $0 : nil }
            if last?.isRunning(at: now) ?? false { return }
            let entry = self.order(.verify(operation), in: primary.term)
            // Nobody here knows how long the rows take to read: each attempt is given twice as long as the one before.
            let patience = last.map { min($0.patience * 2, settings.longestVerification) } ?? settings.verifyPatience
            self.primary?.verification = Verification(
                operation: operation, position: entry.position, orderedAt: now, patience: patience)
        case .join(let learner, let store):
            guard hard.pendingJoin == nil, let replica = descriptor.replica(on: learner), replica.role == .learner,
                replica.store == store, let peer = primary.peers[learner], isFollowing(peer, at: now)
            else { return }
            // Where its copy was lost since it last said what it has, the epoch has risen for that.
            guard peer.saidIn == descriptor.epoch || settings.mutated(.joinsUnheard) else { return }
            hard.pendingJoin = PendingJoin(node: learner, store: store, expecting: descriptor.epoch)
            saveHardState()
            self.primary?.joinTicket = ticket
        case .fence(let operation):
            guard hard.fence == nil, descriptor.operation == operation else { return }
            hard.fence = Fence(operation: operation, epoch: descriptor.epoch)
            saveHardState()
            self.primary?.fenceTicket = ticket
            self.primary?.fencedAt = now
        case .split(let operation):
            guard hard.fence?.operation == operation, isFenceOnDisk, log.openSplit?.operation != operation else { return }
            self.order(.split(operation), in: primary.term)
        }
    }

    /// Proposes the pending learner once the union rule is on disk and it holds all up to the point from which writes wait for
    /// it (rule R4), and repeats until the outcome is known.
    mutating func driveJoin(at now: LogicalInstant) {
        guard let primary, primary.phase == .serving, let join = hard.pendingJoin, persistedTicket >= primary.joinTicket,
            let peer = primary.peers[join.node], peer.durable >= commit || settings.mutated(.joinsTooEarly)
        else { return }
        propose(.joinInSync(id, node: join.node, store: join.store, expecting: join.expecting), at: now)
    }

    /// Asks for the end of a fence that has stood too long, until its operation is over (rule M4).
    mutating func watchFence(at now: LogicalInstant) {
        guard let fence = hard.fence, let descriptor else { return }
        let since = primary?.fencedAt ?? now
        primary?.fencedAt = since
        guard now >= since + settings.fenceWatchdog, !settings.mutated(.neverAborts) else { return }
        if settings.mutated(.liftsFenceByItself) {
            hard.fence = nil
            return saveHardState()
        }
        propose(
            .abort(fence.operation, partition: id, reason: "fence held for 250 ms", expecting: descriptor.epoch), at: now)
    }

    /// A record whose operation ended without a split or merge is taken back in the log, before the next write (rule M2).
    mutating func cancelOrphanSplit() {
        guard let primary, primary.phase == .serving, hard.fence == nil, let open = log.openSplit,
            open.operation != descriptor?.operation
        else { return }
        order(.cancelSplit(open.operation), in: primary.term)
    }

    mutating func answered(_ proposal: PartitionProposal, _ outcome: ProposalOutcome, at now: LogicalInstant) {
        // A refused join settles nothing: an earlier request for it may have been accepted, or may yet be. Only a descriptor of a
        // later epoch does (rule R4), and `evictTheSilent` asks for one when the learner does not answer.
        proposals.answered(proposal, outcome, at: now)
        if settings.mutated(.settlesJoinByAnswer), case .joinInSync = proposal, hard.pendingJoin != nil {
            hard.pendingJoin = nil
            saveHardState()
        }
    }

    // MARK: - What the driver sees

    /// Whether this replica is primary and has everything that was ever acknowledged.
    package var isServing: Bool { primary?.phase == .serving }
    /// Since when it is; for measuring, never for deciding.
    package var servingSince: LogicalInstant? { primary?.servingSince }
    package var isPrimary: Bool { primary != nil }
    /// The term in which this replica leads.
    package var term: Term? { primary?.term }

    /// Whether its fence has stood for longer than it can while the coordinators have a quorum: `FENCED_NO_QUORUM` (rule M4).
    package func isFencedWithoutQuorum(at now: LogicalInstant) -> Bool {
        hard.fence != nil && primary?.fencedAt.map { now >= $0 + settings.fenceBound } ?? false
    }

    /// Fenced on disk: whatever happens, no write is ordered behind what is ordered now (rule M4).
    package var isFenceOnDisk: Bool {
        guard let primary, primary.phase == .serving, hard.fence != nil, hard.pendingJoin == nil else { return false }
        return persistedTicket >= primary.fenceTicket
    }

    /// Fenced on disk, nothing in flight: every member of the in-sync set has the whole log (rule M4).
    package var isDrained: Bool { isFenceOnDisk && commit == log.lastSequence }

    /// The committed split or merge record of this operation, at the end of the log (rule M2).
    package func committedSplit(of operation: OperationID) -> LogPoint? {
        guard let open = log.openSplit, open.operation == operation, open.point.sequence <= commit else { return nil }
        return open.point
    }

    /// Whether the order would change nothing.
    package func stands(_ order: Order, at now: LogicalInstant) -> Bool {
        switch order {
        case .verify(let operation):
            primary?.verification.map { $0.operation == operation && $0.isRunning(at: now) } ?? false
        case .join: hard.pendingJoin != nil
        case .fence: hard.fence != nil
        case .split(let operation): !isFenceOnDisk || log.openSplit?.operation == operation
        }
    }

    /// Ordered, but not yet on every required disk.
    package var uncommittedBytes: Int {
        let missing = log.lastSequence - min(commit, log.lastSequence)
        return missing == 0 ? 0 : log.byteCount / max(1, log.count) * Int(min(missing, UInt64(log.count)))
    }

    /// Whether committed entries wait to be handed to the engine.
    package var needsApply: Bool { applying < min(commit, durable) }

    package var verification: Verification? { primary?.verification }

    /// How far a peer is, as its primary knows it; nil when this replica does not lead or the peer is no member.
    package func progress(of peer: NodeID, at now: LogicalInstant) -> PeerView? {
        guard let progress = primary?.peers[peer] else { return nil }
        return PeerView(
            durable: progress.durable, needsSnapshot: progress.mode == .snapshot, isFollowing: isFollowing(progress, at: now),
            cameBySnapshot: progress.cameBySnapshot,
            lagBytes: bytes(after: progress.durable, through: log.lastSequence),
            isStuck: progress.engine.isStuck(for: settings.engineHiccup, at: now),
            unappliedBytes: bytes(after: progress.engine.applied, through: commit))
    }

    /// Whether a learner takes in the log as it grows. One that does not answer, or is too slow, would be made to leave again as soon as it
    /// is in, and each epoch of that voids what it may have to say: it would stay so for ever.
    private func isFollowing(_ peer: PeerProgress, at now: LogicalInstant) -> Bool {
        peer.mode == .streaming && peer.isHeard(within: settings.prepareTimeout, at: now)
            && peer.keepsUp(at: now)
    }

    /// About how many bytes of the log stand between two sequences.
    private func bytes(after sequence: UInt64, through last: UInt64) -> Int {
        let first = max(sequence, log.base.sequence)
        let missing = last - min(first, last)
        let average = UInt64(max(1, log.byteCount / max(1, log.count)))
        return missing == 0 ? 0 : Int(min(UInt64(log.byteCount), missing * average))
    }

    /// Whether this primary's engine takes in nothing, though it should.
    package func isEngineStuck(at now: LogicalInstant) -> Bool {
        primary?.engine.isStuck(for: settings.engineHiccup, at: now) ?? false
    }

    /// Committed, but not yet in the engine here.
    package var unappliedBytes: Int { bytes(after: applied, through: commit) }

    package struct PeerView: Hashable, Sendable {
        package let durable: UInt64
        package let needsSnapshot: Bool
        package let isFollowing: Bool
        package let cameBySnapshot: Bool
        package let lagBytes: Int
        /// Its engine takes in nothing, though it should.
        package let isStuck: Bool
        /// Bytes that are committed, and that its engine has not taken in yet.
        package let unappliedBytes: Int
    }

    /// What has happened between two points of this primary's history, `end` being one that the engine was given: with it a copy
    /// that stands at `point` is brought to `end`, for both are in the one chain.
    ///
    /// - Returns: nil: the log does not reach back so far, has another entry at one of the points, or this replica does not lead in
    ///   `term`. Empty: the points are the same.
    package func changes(after point: LogPoint, through end: LogPoint, in term: Term) -> [Entry]? {
        guard self.term == term, end.sequence <= applying, point.sequence <= end.sequence,
            log.point(at: point.sequence) == point, log.point(at: end.sequence) == end
        else { return nil }
        return log.entries(from: point.sequence + 1, through: end.sequence, bytes: .max, limit: .max)
    }

    /// The record that stands for this replica when older ones are dropped from the node's log (rule R9).
    package var checkpoint: PartitionRecord {
        .checkpoint(id, baseOnDisk, settings.mutated(.checkpointsNoState) ? HardState() : hard)
    }

    /// Where the log on this disk begins: nothing up to there is needed for a start.
    package var baseOnDisk: LogPoint {
        guard let diskBase, diskBase.sequence > log.base.sequence else { return log.base }
        return diskBase
    }

    /// Gives up on disk what a start of this node does not need: what the engine has there. In memory it stays, for whoever comes back
    /// soon (rule F5). Without this one quiet partition would keep what all others of its node have written since (rule R9).
    package mutating func forgetOnDisk() {
        // Whoever leads after a start must still see that the partition was about to be cut, to take that back.
        let synced = settings.mutated(.forgetsUnsynced) ? applied : synced
        let end = min(synced, log.openSplit.map { $0.point.sequence - 1 } ?? synced)
        if let point = log.point(at: end), point.sequence > baseOnDisk.sequence { diskBase = point }
    }

    /// Whether this replica has everything up to the point at which a split or merge ends it.
    package func holds(_ origin: Position) -> Bool {
        applied >= origin.sequence && (log.point(at: origin.sequence).map { $0.position == origin } ?? true)
    }

    /// Whether the entry at which a split or merge ends this replica is not in its log, and cannot come any more.
    package func lacks(_ origin: Position) -> Bool {
        log.base.sequence <= origin.sequence && log.point(at: origin.sequence)?.position != origin
    }

    /// The coordinators committed that the partition ends at `origin`, which proves that everything up to it is committed (rule M2).
    package mutating func finish(at origin: Position) {
        if let point = log.point(at: origin.sequence), point.position == origin { commit = max(commit, origin.sequence) }
    }
}
