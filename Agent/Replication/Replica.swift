// One partition's replica: primary-backup replication with an external authority, after PacificA (Lin et al., 2008) and Kafka's
// in-sync set; the log matching is Raft's (sections 5.3 and 5.4), with `(epoch, run)` in the place of a term. What differs from
// Raft: the coordinators decide who leads, and an entry is committed when every in-sync member has it on disk, so that any of
// them may be promoted without losing an acknowledged write.
//
// The replica holds no clock, no lease and no file. Its caller hands it what happened, the time and the node's leases, and carries
// out the actions in order. Appends to the node's log come back as `persisted`; nothing is acknowledged before.

package import Model

/// A waiting caller; its continuation lives in the shell.
package struct CallerID: Hashable, Comparable, Sendable {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }
}

package struct Replica: Hashable, Sendable {
    package enum Input: Hashable, Sendable {
        /// A committed descriptor. `grants`: until when each peer may believe that it holds a lease of this node (L2).
        case learned(PartitionDescriptor, minInSync: Int, grants: [NodeID: LogicalInstant])
        /// The partition is no more: a split has ended it, or its table was dropped.
        case retired
        case received(ReplicationMessage, from: NodeID)
        /// The append with this ticket, and all before it, are on disk.
        case persisted(ticket: UInt64)
        /// The engine has applied up to this sequence, not yet for certain on disk.
        case applied(UInt64)
        /// The engine has this much on disk.
        case synced(UInt64)
        /// The checksum over the rows, taken after exactly the verify entry at the position.
        case checksummed(Position, UInt64)
        case write(CallerID, [UInt8], WriteOnceRequest? = nil)
        case read(CallerID)
        case ordered(Order)
        /// A snapshot is about to take the place of whatever this learner holds. `copy` tells it from others.
        case snapshotBegun(copy: UInt64)
        /// A snapshot was installed in the engine, on disk; the log starts there.
        case snapshotInstalled(LogPoint, copy: UInt64)
        /// A snapshot at this sequence or a later one is on its way to the learner; nil: it has ended, well or badly.
        case snapshotSending(to: NodeID, at: UInt64?)
        /// What the learner holds of the snapshot stands at this sequence, from this try or from an earlier one.
        case snapshotStanding(NodeID, at: UInt64)
        case answered(PartitionProposal, ProposalOutcome)
        case tick
    }

    /// What the driver of an operation asks of the primary (module Movement). Each may be repeated.
    package enum Order: Hashable, Sendable {
        case verify(OperationID)
        case join(NodeID, StoreID)
        case fence(OperationID)
        case split(OperationID)
    }

    package enum Action: Hashable, Sendable {
        case append([PartitionRecord], ticket: UInt64)
        case send(ReplicationMessage, to: NodeID)
        case apply([Entry])
        /// Checksum the rows after exactly the entry at this position, which the `apply` before this one ends with.
        case checksum(Position)
        case acknowledge(CallerID, Position)
        case readable(CallerID)
        case refuse(CallerID, Refusal)
        case propose(PartitionProposal, RequestID)
        /// For the node's log: this member is asked to leave, in the proposal that follows.
        case evicting(NodeID, EvictionCause)
        /// Somebody knows an epoch that this node has not seen committed: ask for the topology (rule E2).
        case askTopology(Epoch)
        case halted(HaltReason)
    }

    /// Why a caller is refused. Only `outcomeUnknown` leaves open whether the write happened.
    package enum Refusal: Error, Hashable, Sendable {
        case notPrimary, recovering, fenced, noLease, overloaded
        /// Another write was ordered under its key (rule R8).
        case keyReused
        case notEnoughInSync(have: Int, need: Int)
        case outcomeUnknown
    }

    /// Damage: the replica stops for good and says so (rules R5, F6).
    package enum HaltReason: Hashable, Sendable {
        /// An in-sync peer holds a committed entry that this primary's log does not have.
        case lacksCommitted(peer: NodeID, committed: Position)
        /// A peer acknowledged more than this primary's log holds.
        case behindAcknowledged(peer: NodeID, acknowledged: UInt64, last: UInt64)
    }

    package let id: PartitionID
    package let node: NodeID
    package let settings: ReplicationSettings
    package internal(set) var descriptor: PartitionDescriptor?
    package internal(set) var minInSync = 1
    package internal(set) var isRetired = false
    package internal(set) var haltReason: HaltReason?

    // The log, and how far it is on disk, committed, handed to the engine, applied, and applied on disk.
    package internal(set) var log: ReplicaLog
    package internal(set) var hard: HardState
    package internal(set) var durable: UInt64
    package internal(set) var commit: UInt64
    package internal(set) var applying: UInt64
    package internal(set) var applied: UInt64
    package internal(set) var synced: UInt64
    /// Where the log on this disk begins, if later than in memory.
    var diskBase: LogPoint?

    var pendingAppends: [PendingAppend] = []
    var lastTicket: UInt64 = 0
    var persistedTicket: UInt64 = 0
    /// The first acknowledgement in an epoch waits for this ticket: the cut, and the epoch itself, are then on disk (R5).
    var ackBarrier: UInt64 = 0
    /// Records of this step, not yet handed out.
    var unsaved: [PartitionRecord] = []

    /// The newest term heard of in this epoch, and how far this log is known to agree with its primary's.
    package internal(set) var heardTerm = Term(epoch: Epoch(0), run: 0)
    var agreed: UInt64
    var ackedDurable: UInt64 = 0
    var lastVerified: ReplicationMessage.VerifyReport?
    var freshness = Freshness()
    /// Everything acknowledged before this, by this node's clock, is in the rows here. Nil while nobody has vouched for it.
    package var asOf: LogicalInstant? { freshness.asOf }
    /// The newest epoch at which the primary of the one before said that it serves no more (rule R5).
    ///
    /// It speaks for all who led before it too: it served, and so had waited out the grants of its own to those of them who had been in
    /// one in-sync set with it; and it had joined the set of the others through somebody who served in his turn. So a member that has
    /// just started, and must assume that it granted leases to everybody, has nothing to wait for after a planned hand-over.
    var yielded = Epoch(0)
    /// What this node has yet to say as the former primary.
    struct Farewell: Hashable, Sendable {
        let successor: NodeID
        let epoch: Epoch
        /// The epoch is on disk with it.
        let ticket: UInt64
    }
    var farewell: Farewell?
    var heldSurvey: HeldSurvey?
    /// The end of what is known to be committed here: every later primary has it.
    var settled: UInt64 { max(applying, min(commit, log.lastSequence)) }
    /// Nothing was ever put into this replica: a learner in this state asks for a snapshot.
    package var isEmpty: Bool { log.lastSequence == 0 }
    /// The engine holds part of a snapshot, which counts for nothing: entries make no sense here until it is whole.
    package internal(set) var isImporting: Bool

    var primary: PrimaryState?
    var proposals: ProposalBook
    var actions: [Action] = []
    /// Which of this node's logs of the partition this is: raised by every start, and whenever what was held is given up. Within one
    /// of them, and one term, what is acknowledged stays (rule E4).
    package internal(set) var incarnation: UInt64
    /// How often this replica was promoted.
    var promotions: UInt64 = 0
    /// Nodes that may still serve by a lease of this node, in an epoch that is over (rule R5).
    var formerLeaders: [NodeID: FormerLeader] = [:]
    /// The copy that is being taken in.
    var copy: UInt64?

    struct FormerLeader: Hashable, Sendable {
        /// The epoch that took the role away.
        let deposed: Epoch
        /// When the last grant to it ends.
        let until: LogicalInstant
    }

    struct PendingAppend: Hashable, Sendable {
        let ticket: UInt64
        var through: UInt64
    }

    /// A replica as it stands after a start: `log` and `hard` from the node's log, `applied` from the engine. It serves nothing
    /// before it has learned a descriptor.
    ///
    /// - Parameters:
    ///   - incarnation: higher than that of any replica of this partition that this data folder held before.
    ///   - isImporting: the engine holds part of a snapshot; `log` is empty then.
    package init(
        id: PartitionID, node: NodeID, incarnation: UInt64, log: ReplicaLog = ReplicaLog(), hard: HardState = HardState(),
        applied: UInt64? = nil, isImporting: Bool = false, settings: ReplicationSettings = ReplicationSettings()
    ) {
        self.incarnation = incarnation
        self.isImporting = isImporting
        self.id = id
        self.node = node
        self.settings = settings
        self.log = log
        self.hard = hard
        self.durable = log.lastSequence
        let applied = applied ?? log.base.sequence
        self.commit = applied
        self.applying = applied
        self.applied = applied
        self.synced = applied
        self.agreed = applied
        self.proposals = ProposalBook(prefix: "\(node)/\(incarnation)", interval: settings.proposalInterval)
    }

    /// How many of each thing there are that is under way; none of them when nothing is.
    package var holdings: [(what: String, count: Int)] {
        [
            ("writers", primary?.writers.count ?? 0), ("readers", primary?.readers.count ?? 0),
            ("appends", pendingAppends.count), ("proposals", proposals.count),
            ("prepares", primary?.peers.values.reduce(0) { $0 + $1.flights.count } ?? 0),
        ]
    }

    /// Takes what happened, in order, and answers with what is to be done, in order.
    package mutating func step(_ inputs: [Input], at now: LogicalInstant, leases: LeaseBook) -> [Action] {
        guard haltReason == nil else { return refuseAll(inputs) }
        for input in inputs { take(input, at: now, leases: leases) }
        if haltReason == nil {
            advancePrimary(at: now, leases: leases)
            handOutCommitted()
            answerReaders(at: now, leases: leases)
            forgetApplied()
        }
        save()
        acknowledgeToPrimary(at: now)
        answerHeldSurvey()
        sayFarewell()
        defer { actions = [] }
        return actions
    }

    package mutating func step(_ input: Input, at now: LogicalInstant, leases: LeaseBook) -> [Action] {
        step([input], at: now, leases: leases)
    }

    private mutating func take(_ input: Input, at now: LogicalInstant, leases: LeaseBook) {
        switch input {
        case .learned(let descriptor, let minInSync, let grants):
            learn(descriptor, minInSync: minInSync, grants: grants, at: now, leases: leases)
        case .retired:
            isRetired = true
            depose()
        case .received(let message, let peer): receive(message, from: peer, at: now)
        case .persisted(let ticket): persisted(ticket)
        case .applied(let sequence):
            applied = max(applied, min(sequence, applying))
            freshness.hasApplied(applied)
        case .synced(let sequence): synced = max(synced, min(sequence, applied))
        case .checksummed(let position, let value): checksummed(position, value)
        case .write(let caller, let payload, let request): write(payload, request, for: caller, at: now, leases: leases)
        case .read(let caller): read(for: caller, at: now, leases: leases)
        case .ordered(let order): take(order, at: now)
        case .snapshotBegun(let copy): importing(copy)
        case .snapshotInstalled(let point, let copy): installed(point, copy)
        case .snapshotSending(let peer, let sequence): snapshotSending(to: peer, at: sequence)
        case .snapshotStanding(let peer, let sequence): primary?.peers[peer]?.pin = sequence
        case .answered(let proposal, let outcome): answered(proposal, outcome, at: now)
        case .tick: break
        }
    }

    private func refuseAll(_ inputs: [Input]) -> [Action] {
        inputs.compactMap { input in
            switch input {
            case .write(let caller, _, _), .read(let caller): .refuse(caller, .recovering)
            default: nil
            }
        }
    }

    // MARK: - The node's log

    /// Hands out this step's records as one append.
    private mutating func save() {
        guard !unsaved.isEmpty else { return }
        lastTicket += 1
        pendingAppends.append(PendingAppend(ticket: lastTicket, through: log.lastSequence))
        // The append goes first: prepares travel while the disk works (rule R1).
        actions.insert(.append(unsaved, ticket: lastTicket), at: 0)
        unsaved = []
    }

    /// The ticket under which this step's records will be saved.
    var ticketOfThisStep: UInt64 { lastTicket + 1 }

    mutating func saveHardState() {
        unsaved.removeAll { if case .hardState = $0 { true } else { false } }
        var saved = hard
        if settings.mutated(.forgetsFence) { saved.fence = nil }
        unsaved.append(.hardState(id, saved))
    }

    private mutating func persisted(_ ticket: UInt64) {
        persistedTicket = max(persistedTicket, ticket)
        while let first = pendingAppends.first, first.ticket <= persistedTicket {
            durable = max(durable, first.through)
            pendingAppends.removeFirst()
        }
    }

    /// Takes back the entries after `sequence`, which must all be unapplied.
    mutating func cut(through sequence: UInt64) {
        log.cut(through: sequence)
        durable = min(durable, sequence)
        agreed = min(agreed, sequence)
        for index in pendingAppends.indices { pendingAppends[index].through = min(pendingAppends[index].through, sequence) }
        unsaved.append(.cut(id, through: sequence))
        if !settings.mutated(.acknowledgesBeforeCut) { ackBarrier = ticketOfThisStep }
    }

    // MARK: - The engine

    /// Gives the engine what is committed, on this disk, and not yet given (rule R2), so much at a time. A verify entry ends a batch.
    private mutating func handOutCommitted() {
        guard !isImporting else { return }
        let end = settings.mutated(.appliesUncommitted) ? durable : min(commit, durable)
        while applying < end {
            var batch: [Entry] = []
            var bytes = 0
            var verify: Position?
            while applying < end, verify == nil, bytes < settings.applyBytes, let entry = log.entry(at: applying + 1) {
                batch.append(entry)
                bytes += entry.body.byteCount
                applying = entry.sequence
                if case .verify = entry.body { verify = entry.position }
            }
            guard !batch.isEmpty else { return }
            actions.append(.apply(batch))
            if let verify { actions.append(.checksum(verify)) }
        }
    }

    /// Whether the log holds no more than it may: a short history, what learners within their budget need, and what is in no engine yet
    /// (rule R9).
    package var isLogWithinBudget: Bool {
        log.byteCount <= settings.keptBytes || log.base.sequence >= synced || haltReason != nil
    }

    /// Drops entries that the engine has on disk and that nobody needs (rule R9), but keeps a short history (rule F5).
    private mutating func forgetApplied() {
        let synced = settings.mutated(.forgetsUnsynced) ? applied : synced
        guard log.base.sequence < synced, log.byteCount > settings.longestHistoryBytes else { return }
        var floor = synced
        if let primary, log.byteCount <= settings.learnerBytes || settings.mutated(.keepsLogForLearners) {
            for (_, peer) in primary.peers { floor = min(floor, peer.pin ?? (peer.mode == .snapshot ? floor : peer.received)) }
        }
        var size = log.byteCount
        var through = log.base.sequence
        while through < floor, size > settings.historyBytes, let entry = log.entry(at: through + 1) {
            size -= entry.body.byteCount
            through += 1
        }
        log.forget(through: through)
    }

    /// Gives up what this learner holds, in the log first: from now on only a whole snapshot makes a replica of it again.
    private mutating func importing(_ number: UInt64) {
        guard primary == nil, descriptor?.replica(on: node)?.role == .learner else { return }
        isImporting = true
        copy = number
        // Before the first row of it: no crash leaves a copy that does not know that it is one.
        hard.isCopied = true
        restart(
            from: .start,
            saving: settings.mutated(.keepsLogUnderSnapshot) ? [.hardState(id, hard)] : [.dropped(id), .hardState(id, hard)])
    }

    private mutating func installed(_ point: LogPoint, _ number: UInt64) {
        // Another copy may have begun since this one was whole.
        guard isImporting, copy == number else { return }
        isImporting = false
        copy = nil
        restart(from: point, saving: [.reset(id, point), .hardState(id, hard)])
    }

    private mutating func restart(from point: LogPoint, saving records: [PartitionRecord]) {
        log = ReplicaLog(base: point)
        diskBase = nil
        incarnation += 1
        (durable, commit, applying, applied, synced, agreed) =
            (point.sequence, point.sequence, point.sequence, point.sequence, point.sequence, point.sequence)
        pendingAppends = []
        ackedDurable = 0
        lastVerified = nil
        freshness = Freshness()
        unsaved = records
        ackBarrier = ticketOfThisStep
    }

    private mutating func checksummed(_ position: Position, _ value: UInt64) {
        let report = ReplicationMessage.VerifyReport(position: position, checksum: value)
        if primary != nil {
            primary?.verification?.taken(report, by: node)
        } else {
            lastVerified = report
            ackedDurable = 0
        }
    }

    /// Stops for good: going on could lose or invent data.
    mutating func halt(_ reason: HaltReason) {
        haltReason = reason
        depose()
        actions.append(.halted(reason))
    }
}
