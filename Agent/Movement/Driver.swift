// What is to be done next for a partition, by its primary. Level-triggered: the answer is a function of what is committed
// (descriptor, operation) and of what the replica says now, so that a restart of anybody, at any step, needs no memory: the next
// look goes on from the committed step (rules M1 to M3). The one thing remembered is how steady the gate has been.

package import Model

/// The next act of a partition's primary. Each may be carried out twice without harm.
package enum Act: Hashable, Sendable {
    /// Stream a snapshot to the learner, unless one is on its way.
    case copy(to: NodeID)
    /// Order the entry at which all replicas checksum their rows (rule M6).
    case verify(OperationID)
    /// Take the learner into the acknowledging set, then propose it for the in-sync set (rule R4).
    case join(NodeID, StoreID)
    /// Ask whether the coordinators' leader is sure of its quorum (rule M4).
    case confirmQuorum
    case fence(OperationID)
    /// Order the record at which the partition ends, if its split or merge is committed (rule M2).
    case split(OperationID)
    case propose(PartitionProposal)
}

package struct Driver: Hashable, Sendable {
    private let node: NodeID
    private let settings: MovementSettings
    private var gate: Gate
    private var gatedFor: OperationID?
    /// Since when a split stands before its gate.
    private var gatedSince: LogicalInstant?
    /// What kept the partition's operation from going on at the last look.
    package private(set) var obstacle: Obstacle?

    package init(node: NodeID, settings: MovementSettings = MovementSettings()) {
        self.node = node
        self.settings = settings
        self.gate = Gate(settings: settings)
    }

    /// - Precondition: this node's replica is serving as primary of `partition`; `operation` is the running one on it, if any.
    package mutating func next(
        for partition: PartitionDescriptor, operation: OperationDescriptor?, view: LeaderView, at now: LogicalInstant
    ) -> [Act] {
        if gatedFor != operation?.id {
            gate = Gate(settings: settings)
            gatedFor = operation?.id
            gatedSince = nil
        }
        obstacle = nil
        guard partition.status == .active else { return [] }
        guard let operation, operation.phase == .running else {
            var acts: [Act] = []
            for learner in partition.learners { acts += admit(learner, to: partition, for: nil, view: view) }
            return acts
        }
        // A fence is not held for a pause: once it stands, going on is the shortest way out.
        if operation.pause != nil, view.fence != operation.id { return paused(partition, operation, view: view) }
        switch operation.kind {
        case .createTable, .dropTable, .removeOrphan: return []
        case .move(_, let source, let target):
            return move(partition, operation, from: source, to: target, view: view, at: now)
        case .transferPrimary(_, let target):
            return handOver(partition, operation, to: target, view: view, at: now)
        case .split:
            return split(partition, operation, view: view, at: now)
        case .merge:
            // Two partitions, two views: see `merge`.
            return []
        }
    }

    /// Nothing for the operation, for as long as that lasts; other learners come back into the in-sync set meanwhile.
    private mutating func paused(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, view: LeaderView
    ) -> [Act] {
        gate = Gate(settings: settings)
        gatedSince = nil
        var acts: [Act] = []
        for learner in partition.learners where !operation.brings(learner) {
            acts += admit(learner, to: partition, for: nil, view: view)
        }
        obstacle = .paused
        return acts
    }

    /// Members that only fell behind come back whatever the partition is busy with: a move may take hours, and each hour with a member less
    /// is one in which the next failure stops its writers. Not behind a fence, which is short: a join would raise the epoch under it.
    private mutating func readmit(
        _ partition: PartitionDescriptor, besides operation: OperationDescriptor, view: LeaderView
    ) -> [Act] {
        guard view.fence == nil else { return [] }
        var acts: [Act] = []
        for learner in partition.learners where !operation.brings(learner) {
            guard let peer = view.peers[learner], !peer.needsSnapshot, !peer.cameBySnapshot else { continue }
            acts += admit(learner, to: partition, for: nil, view: view)
        }
        obstacle = nil
        return acts
    }

    /// copy → verify → join; then hand over the role, if the source has it; then drop the source.
    private mutating func move(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, from source: NodeID?, to target: NodeID,
        view: LeaderView, at now: LogicalInstant
    ) -> [Act] {
        switch operation.step {
        case .copy:
            return readmit(partition, besides: operation, view: view)
                + admit(target, to: partition, for: operation.id, view: view)
        case .handOver:
            guard let source else { return [] }
            if source == node {
                let joins = readmit(partition, besides: operation, view: view)
                guard joins.isEmpty else {
                    // One that falters again would hold the fence up, and what the move has built would go with it.
                    gate = Gate(settings: settings)
                    return joins
                }
                return handOver(partition, operation, to: target, view: view, at: now)
            }
            return [
                .propose(
                    .removeReplica(partition.id, node: source, operation: operation.id, expecting: partition.epoch))
            ]
        case .replicas, .fence, .dropSource, .done:
            return []
        }
    }

    /// Brings a learner into the in-sync set: a snapshot if the log does not reach back, a comparison if it was built from one
    /// or an operation asks for it, then the join.
    private mutating func admit(
        _ learner: NodeID, to partition: PartitionDescriptor, for operation: OperationID?, view: LeaderView
    ) -> [Act] {
        guard let replica = partition.replica(on: learner), replica.role == .learner, let peer = view.peers[learner] else {
            return []
        }
        obstacle = .copying(learner, bytes: peer.lagBytes)
        // A copy that is under way ends first, or it would begin on a member that has joined meanwhile.
        if peer.isCopying { return [] }
        if peer.needsSnapshot { return [.copy(to: learner)] }
        guard peer.isFollowing, peer.lagBytes <= settings.smallLag else { return [] }
        obstacle = .comparing(learner)
        // A member that only fell behind has the primary's own log, chained entry by entry: that is comparison enough.
        if operation != nil || peer.cameBySnapshot, !settings.mutated(.skipsComparison) {
            let comparison = operation ?? OperationID(0)
            switch peer.isEqual {
            case nil: return [.verify(comparison)]
            case false?:
                guard let operation else { return [.copy(to: learner)] }
                return [
                    .propose(
                        .abort(
                            operation, partition: partition.id, reason: "the copy on \(learner) differs from the primary",
                            expecting: partition.epoch))
                ]
            case true?: break
            }
        }
        obstacle = .draining
        return [.join(learner, replica.store)]
    }

    /// gate → fence → drain → switch (rules M2, M4, M5).
    private mutating func handOver(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, to target: NodeID, view: LeaderView,
        at now: LogicalInstant
    ) -> [Act] {
        guard target != node, let replica = partition.replica(on: target), replica.role == .inSync else { return [] }
        if view.fence == nil, view.peers[target]?.isStuck ?? false {
            obstacle = .engine(target)
            // A move waits for its target. A mere transfer, which may be asked for again at any time, would only be in the way of others.
            guard case .transferPrimary = operation.kind else { return [] }
            return [
                .propose(
                    .abort(
                        operation.id, partition: partition.id, reason: "the engine of \(target) takes in nothing",
                        expecting: partition.epoch))
            ]
        }
        // The others follow at their leisure; a node whose own disk is full must be able to give its roles away.
        if let waiting = gated(partition, operation, engines: [target], view: view, at: now) { return waiting }
        guard view.isDrained else { return [] }
        return [
            .propose(
                .switchPrimary(
                    partition.id, to: target, store: replica.store, operation: operation.id, expecting: partition.epoch))
        ]
    }

    /// gate → fence → split record → both descriptors in one entry (rule M2).
    ///
    /// The record goes the way of the writes that were ordered before the fence, behind them: once it is committed, so are they. To wait for them
    /// first would only keep the fence up.
    ///
    /// The record is in this node's engine before the entry is proposed: the children are made by the engine, and where it takes in nothing,
    /// as on a full disk, they would serve nobody until it does. Until then the watchdog ends it, and nothing has changed.
    private mutating func split(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, view: LeaderView, at now: LogicalInstant
    ) -> [Act] {
        let end = givingUp(partition, operation, view: view, at: now)
        guard partition.learners.isEmpty else {
            obstacle = .learners(partition.learners)
            return end ?? []
        }
        if let waiting = gated(partition, operation, engines: partition.inSync, view: view, at: now) { return end ?? waiting }
        guard let record = view.splitRecord else { return view.isFenceOnDisk ? [.split(operation.id)] : [] }
        guard view.unappliedBytes == 0 else { return [] }
        return [
            .propose(
                .commitSplit(
                    partition.id, operation: operation.id, at: record.position, checksum: record.checksum,
                    inSync: partition.inSync, expecting: partition.epoch))
        ]
    }

    /// The end of a split that an agent asked for and whose gate has not opened for long; nil: it may stand there still, or is
    /// fenced, and its watchdog judges it. An operator's stands until the operator cancels it.
    private mutating func givingUp(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, view: LeaderView, at now: LogicalInstant
    ) -> [Act]? {
        guard view.fence == nil, operation.createdBy.isNode else { return nil }
        let since = gatedSince ?? now
        gatedSince = since
        guard now - since >= settings.gatePatience else { return nil }
        let reason = "its gate did not open for \(settings.gatePatience.milliseconds / 1_000) s"
        return [.propose(.abort(operation.id, partition: partition.id, reason: reason, expecting: partition.epoch))]
    }

    /// What the primary of both partitions of a merge does next for each: one gate → both fences → a record in each log → one entry for
    /// both (rule M2).
    ///
    /// A fence that stands alone, as after a start in between, is joined by the other once the quorum is sure: going on is the shortest
    /// way out. Without it one fence that nobody ends is enough, and its watchdog asks for its end.
    /// - Precondition: this node's replicas are serving as primaries of both, and `operation` is the running one on each.
    package mutating func merge(
        left: (partition: PartitionDescriptor, view: LeaderView), right: (partition: PartitionDescriptor, view: LeaderView),
        in operation: OperationDescriptor, at now: LogicalInstant
    ) -> (left: [Act], right: [Act]) {
        if gatedFor != operation.id {
            gate = Gate(settings: settings)
            gatedFor = operation.id
        }
        obstacle = nil
        guard left.partition.status == .active, right.partition.status == .active, operation.phase == .running else {
            return ([], [])
        }
        if left.view.fence != operation.id, right.view.fence != operation.id {
            return begin(left: left, right: right, operation, at: now)
        }
        obstacle = .draining
        func acts(_ view: LeaderView) -> [Act] {
            guard view.fence == operation.id else {
                guard view.fence == nil else { return [] }
                if view.isQuorumConfirmed(at: now, by: settings) { return [.fence(operation.id)] }
                obstacle = .quorumUnconfirmed
                return [.confirmQuorum]
            }
            return view.splitRecord == nil && view.isFenceOnDisk ? [.split(operation.id)] : []
        }
        guard let leftEnd = left.view.end(of: left.partition, for: operation.id),
            let rightEnd = right.view.end(of: right.partition, for: operation.id)
        else { return (acts(left.view), acts(right.view)) }
        return (
            [.propose(.commitMerge(operation.id, left: leftEnd, right: rightEnd, inSync: left.partition.inSync))], []
        )
    }

    /// Both fences, once the gate is open for both.
    private mutating func begin(
        left: (partition: PartitionDescriptor, view: LeaderView), right: (partition: PartitionDescriptor, view: LeaderView),
        _ operation: OperationDescriptor, at now: LogicalInstant
    ) -> (left: [Act], right: [Act]) {
        guard operation.pause == nil else {
            gate = Gate(settings: settings)
            obstacle = .paused
            return ([], [])
        }
        let learners = Set(left.partition.learners + right.partition.learners).sorted()
        guard learners.isEmpty else {
            obstacle = .learners(learners)
            return ([], [])
        }
        obstacle = .draining
        guard left.view.fence == nil, right.view.fence == nil else { return ([], []) }
        let inSync = left.partition.inSync
        obstacle = gate.look(left.view.joined(with: right.view), inSync: inSync, engines: inSync, at: now)
        switch obstacle {
        case nil: return ([.fence(operation.id)], [.fence(operation.id)])
        case .quorumUnconfirmed?: return ([.confirmQuorum], [])
        default: return ([], [])
        }
    }

    /// The gate, then the fence. The gate stands before the fence only: once fenced, going on is the shortest way out.
    ///
    /// - Parameter engines: the nodes whose engines must have all before what comes of the operation may serve.
    /// - Returns: what there is to do before the fence stands; nil: it stands.
    private mutating func gated(
        _ partition: PartitionDescriptor, _ operation: OperationDescriptor, engines: [NodeID], view: LeaderView,
        at now: LogicalInstant
    ) -> [Act]? {
        obstacle = .draining
        if view.fence == operation.id { return nil }
        guard view.fence == nil else { return [] }
        obstacle = gate.look(view, inSync: partition.inSync, engines: engines, at: now)
        switch obstacle {
        case nil: return [.fence(operation.id)]
        case .quorumUnconfirmed?: return [.confirmQuorum]
        default: return []
        }
    }
}

extension LeaderView {
    /// Where the partition would end: the record of its operation is committed, and in this node's engine (see `split`), and the fence
    /// keeps writes from coming behind it.
    fileprivate func end(of partition: PartitionDescriptor, for operation: OperationID) -> PartitionEnd? {
        guard fence == operation, unappliedBytes == 0 else { return nil }
        return splitRecord.map {
            PartitionEnd(partition: partition.id, at: $0.position, checksum: $0.checksum, expecting: partition.epoch)
        }
    }
}
