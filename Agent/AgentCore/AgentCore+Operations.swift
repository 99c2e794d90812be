// How operations go on at the primary: the driver's acts become orders to the replica, proposals, and copies.

package import Model
package import Movement
package import Replication

extension AgentCore {
    /// Looks at one partition and does what its operation needs next.
    mutating func drive(_ id: PartitionID, at now: LogicalInstant) {
        guard let local = locals[id], let replica = local.replica, replica.isServing, !replica.isRetired,
            let descriptor = replica.descriptor, descriptor.operation != nil || !descriptor.learners.isEmpty
        else { return }
        let operation = descriptor.operation.flatMap { topology.operations[$0] }
        // An operation that this node has not learned yet is not "none".
        guard descriptor.operation == nil || operation != nil else { return }
        if let operation, case .merge = operation.kind { return driveMerge(operation, at: now) }
        // What a paused operation compared is compared again; meanwhile others may be.
        let compared = operation?.pause == nil ? operation : nil
        let view = view(of: replica, descriptor, operation, comparedFor: compared, copying: local.copying, at: now)
        let acts = locals[id]?.driver.next(for: descriptor, operation: operation, view: view, at: now) ?? []
        for act in acts { carryOut(act, of: id, replica, at: now) }
    }

    /// Looks at both partitions of a merge together, whichever of them something happened to.
    private mutating func driveMerge(_ operation: OperationDescriptor, at now: LogicalInstant) {
        guard case .merge(let left, let right, _) = operation.kind, let one = side(left, of: operation, at: now),
            let other = side(right, of: operation, at: now)
        else { return }
        let acts = locals[left]?.driver.merge(
            left: (one.partition, one.view), right: (other.partition, other.view), in: operation, at: now)
        for act in acts?.left ?? [] { carryOut(act, of: left, one.replica, at: now) }
        for act in acts?.right ?? [] { carryOut(act, of: right, other.replica, at: now) }
    }

    /// One partition of a merge, if this node serves it as its primary.
    private func side(
        _ id: PartitionID, of operation: OperationDescriptor, at now: LogicalInstant
    ) -> (replica: Replica, partition: PartitionDescriptor, view: LeaderView)? {
        guard let local = locals[id], let replica = local.replica, replica.isServing, !replica.isRetired,
            let descriptor = replica.descriptor, descriptor.operation == operation.id
        else { return nil }
        let view = view(of: replica, descriptor, operation, comparedFor: nil, copying: local.copying, at: now)
        return (replica, descriptor, view)
    }

    private mutating func carryOut(_ act: Act, of id: PartitionID, _ replica: Replica, at now: LogicalInstant) {
        switch act {
        case .copy(let target):
            guard let local = locals[id], local.mayCopy(to: target, at: now), replica.hard.pendingJoin?.node != target,
                let storage = replica.descriptor?.replica(on: target)?.storage, let term = replica.term
            else { return }
            locals[id]?.copying.insert(target)
            give(id, .snapshotSending(to: target, at: replica.applied))
            actions.append(.copy(id, local.storage, to: target, targetStorage: storage, term: term))
        case .verify(let operation): order(.verify(operation), to: id, replica, at: now)
        case .join(let node, let store): order(.join(node, store), to: id, replica, at: now)
        case .confirmQuorum: askForQuorum(every: settings.movement.quorumFreshness, at: now)
        case .fence(let operation): order(.fence(operation), to: id, replica, at: now)
        case .split(let operation): order(.split(operation), to: id, replica, at: now)
        case .propose(let proposal):
            if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
        }
    }

    /// Stops snapshots for learners that are none any more, or that wait for a paused operation, and those of a copy that another node
    /// leads now or that is no good: the learner's disk may take long to refuse what it is sent, and a link that is silent even longer.
    mutating func stopCopies() {
        for id in locals.filter({ $0.value.copying.count > $0.value.stopping.count }).keys.sorted() { stopCopies(of: id) }
    }

    mutating func stopCopies(of id: PartitionID) {
        guard let local = locals[id] else { return }
        let descriptor = topology.partitions[id]
        let paused = descriptor?.operation.flatMap { topology.operations[$0] }.flatMap { $0.pause == nil ? nil : $0 }
        let leads = descriptor?.primary == identity.node && !local.isDropping && !local.isDamaged
        for peer in local.copying.subtracting(local.stopping).sorted() {
            let isLearner = descriptor?.replica(on: peer)?.role == .learner
            guard !leads || !isLearner || paused?.brings(peer) ?? false else { continue }
            locals[id]?.stopping.insert(peer)
            actions.append(.stopCopy(id, to: peer))
        }
    }

    /// One question serves every partition whose gate is open but for this, and every one that is led alone. An answer to a gate that
    /// takes longer than the freshness would be worth nothing, so that is when it is asked again.
    mutating func askForQuorum(every pause: Span, at now: LogicalInstant) {
        if let asked = quorumAskedAt, now < asked + pause { return }
        quorumAskedAt = now
        actions.append(.confirmQuorum)
    }

    /// Orders only what would change something, or the step would never end.
    private mutating func order(
        _ order: Replica.Order, to id: PartitionID, _ replica: Replica, at now: LogicalInstant
    ) {
        if replica.stands(order, at: now) { return }
        give(id, .ordered(order))
    }

    private func view(
        of replica: Replica, _ descriptor: PartitionDescriptor, _ operation: OperationDescriptor?,
        comparedFor compared: OperationDescriptor?, copying: Set<NodeID>, at now: LogicalInstant
    ) -> LeaderView {
        var peers: [NodeID: LeaderView.Peer] = [:]
        let comparison = replica.verification.flatMap { $0.operation == compared?.id ?? OperationID(0) ? $0 : nil }
        for member in descriptor.replicas where member.node != identity.node {
            guard let progress = replica.progress(of: member.node, at: now) else { continue }
            peers[member.node] = LeaderView.Peer(
                store: member.store, needsSnapshot: progress.needsSnapshot, isFollowing: progress.isFollowing,
                isCopying: copying.contains(member.node),
                cameBySnapshot: progress.cameBySnapshot, lagBytes: progress.lagBytes,
                isEqual: comparison?.agree(identity.node, member.node), isStuck: progress.isStuck,
                unappliedBytes: progress.unappliedBytes)
        }
        let record = operation.flatMap { replica.committedSplit(of: $0.id) }
        return LeaderView(
            fence: replica.hard.fence?.operation, isFenceOnDisk: replica.isFenceOnDisk, isDrained: replica.isDrained,
            splitRecord: record.map { LeaderView.SplitRecord(position: $0.position, checksum: $0.checksum) }, peers: peers,
            uncommittedBytes: replica.uncommittedBytes, hasLease: replica.refusalOfReads(at: now, leases: leases) == nil,
            quorumConfirmedAt: quorumConfirmedAt, isStuck: replica.isEngineStuck(at: now),
            unappliedBytes: replica.unappliedBytes)
    }

    // MARK: - For the shell

    /// The partitions whose replica here does not hold what it acknowledged, sorted: those whose log does not fit the engine, and the
    /// children that would have been installed out of such a one. They serve nothing and are built anew; but the node must leave their
    /// in-sync sets first, so its registration names them (rule E4, `unvouched`). Of a split that this node has not learned of yet the coordinators
    /// know.
    package var damagedPartitions: [PartitionID] {
        let lost = remnants.filter { id, remnant in
            guard locals[id] == nil, remnant.hard.epoch > Epoch(0) else { return false }
            let place = topology.partitions[id].flatMap(ownReplica)?.storage
            return !locals.values.contains { $0.storage == place }
        }.map(\.key)
        var found: Set<PartitionID> = []
        // Where partitions were split and merged in turn, many ways lead to the same one.
        var seen: Set<PartitionID> = []
        // What the log shows to have been here is nowhere, though the mirror of the topology does not know of it.
        for id in locals.filter({ $0.value.isDamaged }).map(\.key) + lost {
            var next = [id]
            while let id = next.popLast() {
                guard seen.insert(id).inserted else { continue }
                if let retired = topology.retired[id] {
                    next += retired.children.filter { locals[$0] == nil }
                } else {
                    found.insert(id)
                }
            }
        }
        return found.sorted()
    }

    /// Position and chain value at a sequence, while the log still reaches back to it: what a snapshot is stamped with.
    package func point(of id: PartitionID, at sequence: UInt64) -> LogPoint? {
        locals[id]?.replica?.log.point(at: sequence)
    }

    /// What brings a copy of a partition that is led here from one point to another (`Replica.changes`).
    package func changes(of id: PartitionID, after point: LogPoint, through end: LogPoint, in term: Term) -> [Entry]? {
        locals[id]?.replica?.changes(after: point, through: end, in: term)
    }

    /// Whether half of what may be kept of a partition's log for a learner (rule R9) is there.
    package func isLogLong(of partition: PartitionID) -> Bool {
        guard let replica = locals[partition]?.replica else { return false }
        return replica.log.byteCount > replica.settings.learnerBytes / 2
    }

    /// Replicas whose log is longer in memory than their settings let it be, sorted: none, whatever happens (rule R9).
    package var overlongLogs: [PartitionID] {
        locals.compactMap { $0.value.replica?.isLogWithinBudget ?? true ? nil : $0.key }.sorted()
    }

    /// Gives up what a start does not need of these partitions' entries in the node's log; `checkpoints` says so from now on.
    package mutating func forgetOnDisk(_ partitions: [PartitionID]) {
        for id in partitions { locals[id]?.replica?.forgetOnDisk() }
    }

    /// The records that stand for all replicas when older ones are dropped from the node's log (rule R9).
    package var checkpoints: [PartitionRecord] {
        // What is being removed has said its last word.
        let replicas = locals.sorted { $0.key < $1.key }.compactMap { id, local in
            local.isDropping ? .dropped(id) : local.replica?.checkpoint
        }
        let lost = remnants.sorted { $0.key < $1.key }.map { id, remnant in remnant.checkpoint(of: id) }
        return replicas + installationRecords + lost
    }

    /// The sequence up to which each partition's entries are no longer needed in the node's log.
    package var forgotten: [PartitionID: UInt64] {
        let replicas = locals.compactMapValues { $0.isDropping ? nil : $0.replica?.baseOnDisk.sequence }
        return replicas.merging(remnants.mapValues(\.forgotten)) { $1 }
    }

    package struct ReplicaStatus: Hashable, Sendable {
        package let partition: PartitionID
        package let storage: StorageID
        package let descriptor: PartitionDescriptor?
        package let isPrimary: Bool
        package let isServing: Bool
        /// Since when it is.
        package let servingSince: LogicalInstant?
        package let isFenced: Bool
        /// For longer than a fence stands while the coordinators have a quorum (rule M4).
        package let isFencedWithoutQuorum: Bool
        package let hasLease: Bool
        package let last: Position
        package let commit: UInt64
        package let applied: UInt64
        package let damage: String?
        /// What the partition's operation waits for, as its primary sees it.
        package let obstacle: Obstacle?
    }

    /// Every replica here, by partition.
    package func replicas(at now: LogicalInstant) -> [ReplicaStatus] {
        locals.sorted { $0.key < $1.key }.map { id, local in
            let replica = local.replica
            return ReplicaStatus(
                partition: id, storage: local.storage, descriptor: replica?.descriptor, isPrimary: replica?.isPrimary ?? false,
                isServing: replica?.isServing ?? false, servingSince: replica?.servingSince,
                isFenced: replica?.hard.fence != nil,
                isFencedWithoutQuorum: replica?.isFencedWithoutQuorum(at: now) ?? false,
                hasLease: replica?.refusalOfReads(at: now, leases: leases) != .noLease,
                last: replica?.log.last.position ?? .zero, commit: replica?.commit ?? 0, applied: replica?.applied ?? 0,
                damage: local.damage ?? replica?.haltReason.map { "\($0)" },
                obstacle: replica?.isServing ?? false ? local.driver.obstacle : nil)
        }
    }

    /// The descriptor of a learner here that waits for a snapshot into `storage`, from this primary, in this term, ordered at this epoch
    /// or, as other members come and go during a long copy, at an earlier one.
    ///
    /// A copy that a primary sent before it started again is refused: meanwhile the learner may have acknowledged entries to the new
    /// run, which must not be given up (rule M5).
    package func learner(
        of id: PartitionID, in storage: StorageID, at epoch: Epoch, from primary: NodeID, term: Term
    ) -> PartitionDescriptor? {
        guard let local = locals[id], local.storage == storage, !local.isDropping, let replica = local.replica,
            !replica.isRetired, let descriptor = replica.descriptor,
            descriptor.replica(on: identity.node)?.role == .learner
        else { return nil }
        let isOfThisTerm = replica.heardTerm == term && descriptor.epoch >= epoch && descriptor.primary == primary
        guard isOfThisTerm || settings.mutated(.takesAnySnapshot) else { return nil }
        return descriptor
    }

    /// Whether writes to a partition are refused here only until a change of hands is over in which this node has a part: its fence, its
    /// taking up of the role, or the installation of what a split or merge has made.
    package func isChangingHands(_ id: PartitionID, at now: LogicalInstant) -> Bool {
        guard let local = locals[id], let replica = local.replica else {
            guard let coming = topology.partitions[id], coming.primary == identity.node, coming.status == .active,
                let own = ownReplica(of: coming)
            else { return false }
            return parents(of: coming, in: own.storage) == .whole
        }
        guard !local.isDropping, !local.isDamaged else { return false }
        switch replica.refusalOfWrites(at: now, leases: leases) {
        case .fenced?, .recovering?: return true
        case .notPrimary?, .noLease?, .overloaded?, .keyReused?, .notEnoughInSync?, .outcomeUnknown?, nil: return false
        }
    }

    /// The replica's storage, if this node holds one that may be read without a promise of freshness.
    package func localStorage(of id: PartitionID) -> (storage: StorageID, descriptor: PartitionDescriptor)? {
        guard let local = locals[id], let replica = local.replica, !replica.isRetired, !local.isDropping, !local.isDamaged,
            let descriptor = replica.descriptor, descriptor.replica(on: identity.node)?.role == .inSync
        else { return nil }
        return (local.storage, descriptor)
    }

    /// How old the rows of the follower here may be at most; nil: nobody has vouched for them yet.
    package func age(of id: PartitionID, now: LogicalInstant) -> Span? { locals[id]?.replica?.asOf.map { now - $0 } }
}
