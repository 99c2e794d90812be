// What a committed descriptor does to a replica: who it is now, and which fences, joins and waits that settles.

package import Model

extension Replica {
    /// - Parameter grants: until when each peer may believe that it holds a lease of this node.
    mutating func learn(
        _ new: PartitionDescriptor, minInSync: Int, grants: [NodeID: LogicalInstant], at now: LogicalInstant, leases: LeaseBook
    ) {
        guard new.id == id, !isRetired else { return }
        self.minInSync = minInSync
        let old = descriptor
        if let old, new.epoch <= old.epoch {
            if new.epoch == old.epoch { descriptor = new }
            return
        }
        guard new.epoch >= hard.epoch || settings.mutated(.takesOlderDescriptors) else {
            // This disk has acknowledged under a newer epoch: the topology at hand is behind, and gives no role.
            actions.append(.askTopology(hard.epoch))
            return
        }
        descriptor = new
        ackedDurable = 0
        noteLeaders(from: old, to: new, grants: grants, at: now, leases: leases)
        settle(with: new)
        if hard.epoch != new.epoch {
            hard.epoch = max(hard.epoch, new.epoch)
            saveHardState()
            ackBarrier = ticketOfThisStep
        }
        if !settings.mutated(.keepsEndedProposals) {
            proposals.forget { $0.expectedEpoch.map { $0 < new.epoch } ?? false }
        }

        let isPrimary = new.primary == node && new.replica(on: node)?.role == .inSync
        // One committed change that leaves the role here: the same primary goes on. After a gap somebody else may have led.
        let continues = primary != nil && old?.epoch.next == new.epoch && old?.primary == node
        if isPrimary, continues {
            adoptMembers(of: new, at: now)
        } else if isPrimary {
            depose()
            promote(to: new, at: now)
        } else {
            // By serving it had proved that nobody who led before still may (see `yielded`); after a gap somebody else may have led since.
            let served = primary?.phase == .serving && old?.epoch.next == new.epoch
            depose()
            if served, let successor = new.primary, successor != node {
                farewell = Farewell(successor: successor, epoch: new.epoch, ticket: ticketOfThisStep)
            }
        }
    }

    /// Clears a fence whose operation has ended, a join that the epoch decides, and what was to be compared before this replica joined
    /// (rules M4, R4, M6).
    private mutating func settle(with new: PartitionDescriptor) {
        // What ends an operation raises the epoch. A descriptor of the fence's own epoch without it is from before it began: the operation
        // may be committed by now, and what was written behind the fence would be lost with it.
        if let fence = hard.fence, fence.operation != new.operation, new.epoch > fence.epoch {
            hard.fence = nil
            saveHardState()
        }
        if let join = hard.pendingJoin, new.epoch > join.expecting {
            hard.pendingJoin = nil
            saveHardState()
        }
        if hard.isCopied, new.replica(on: node)?.role == .inSync {
            hard.isCopied = false
            saveHardState()
        }
    }

    /// Remembers who may have led until this epoch, and for how long it may believe in a grant of this node. All of them count, not
    /// only the last: the one in between may never have waited the first one's lease out.
    ///
    /// Who was forced into the lead granted nothing to whom the coordinators' leader gave leave to serve alone, and nobody keeps a book
    /// of that: the word is worth a lease, and was asked for before this node learned of its role. So it waits the longest one out from
    /// now on (rule R6).
    private mutating func noteLeaders(
        from old: PartitionDescriptor?, to new: PartitionDescriptor, grants: [NodeID: LogicalInstant], at now: LogicalInstant,
        leases: LeaseBook
    ) {
        formerLeaders = formerLeaders.filter { now < $0.value.until }
        guard new.status != .creating else { return }
        let isForced = new.forcedAt.map { $0 > old?.epoch ?? Epoch(0) } ?? false && !settings.mutated(.skipsForcedWait)
        var deposed: [NodeID] = []
        if let old, old.epoch.next == new.epoch, !isForced {
            if let before = old.primary, before != new.primary { deposed = [before] }
        } else {
            // Anybody may have led in an epoch that this node never saw, also a node that holds no replica any more.
            deposed = Array(grants.keys)
        }
        for peer in deposed where peer != node {
            guard let granted = grants[peer] else { continue }
            let until = isForced ? max(granted, leases.longestGrantEnds(from: now)) : granted
            formerLeaders[peer] = FormerLeader(deposed: new.epoch, until: until)
        }
    }

    /// Becomes primary of this epoch: raises the run on disk, compares all in-sync logs, waits until nobody else can be serving, opens
    /// (rules R1, R5).
    mutating func promote(to new: PartitionDescriptor, at now: LogicalInstant) {
        hard.run = max(hard.run, log.last.position.run, heardTerm.run) + (settings.mutated(.keepsRun) ? 0 : 1)
        saveHardState()
        let waits =
            settings.mutated(.skipsLeaseWait)
            ? [:]
            : formerLeaders.filter { yielded < $0.value.deposed }.mapValues(\.until)
        promotions += 1
        primary = PrimaryState(
            term: Term(epoch: new.epoch, run: hard.run), runTicket: ticketOfThisStep, waits: waits,
            comparison: LogComparison(number: incarnation &+ promotions, startedAt: now))
        adoptMembers(of: new, at: now)
    }

    /// Keeps the progress of peers that stay, starts it for those that came.
    private mutating func adoptMembers(of new: PartitionDescriptor, at now: LogicalInstant) {
        guard var primary else { return }
        let members = new.replicas.filter { $0.node != node }
        primary.peers = primary.peers.filter { id, peer in
            guard let before = primary.stores[id] else { return false }
            return members.contains { $0.node == id && $0.store == before }
        }
        primary.stores = [:]
        for member in members {
            primary.stores[member.node] = member.store
            // An evicted member is met anew: what it acknowledged before says nothing any more.
            let isEvicted = member.role == .learner && primary.inSync.contains(member.node)
            let known = primary.peers[member.node]
            if known == nil || isEvicted {
                primary.peers[member.node] = PeerProgress(next: log.lastSequence + 1, after: known)
            }
            primary.peers[member.node]?.stalledSince = nil
        }
        primary.inSync = new.inSync
        self.primary = primary
    }

    /// Gives up the primary role. Writes under way may or may not survive: only the next primary decides.
    mutating func depose() {
        guard let primary else { return }
        for writer in primary.writers { actions.append(.refuse(writer.caller, .outcomeUnknown)) }
        for reader in primary.readers { actions.append(.refuse(reader.caller, .notPrimary)) }
        self.primary = nil
        heardTerm = Term(epoch: Epoch(0), run: 0)
        agreed = applied
    }

    /// Tells the successor once the epoch is on disk: a start from a disk that does not know of it would serve again (rule R7).
    mutating func sayFarewell() {
        guard let farewell, persistedTicket >= farewell.ticket else { return }
        self.farewell = nil
        let message = ReplicationMessage(partition: id, epoch: farewell.epoch, body: .yielded)
        actions.append(.send(message, to: farewell.successor))
    }

    func message(_ body: ReplicationMessage.Body) -> ReplicationMessage {
        ReplicationMessage(partition: id, epoch: descriptor?.epoch ?? Epoch(0), body: body)
    }
}

extension PartitionProposal {
    /// The epoch that the proposal guards on.
    package var expectedEpoch: Epoch? {
        switch self {
        case .replicaReady(_, let epoch), .evict(_, _, let epoch), .joinInSync(_, _, _, let epoch),
            .switchPrimary(_, _, _, _, let epoch), .removeReplica(_, _, _, let epoch), .commitSplit(_, _, _, _, _, let epoch),
            .abort(_, _, _, let epoch), .requestSplit(_, _, let epoch):
            epoch
        case .commitMerge(_, let left, _, _): left.expecting
        case .cleaned: nil
        }
    }
}
