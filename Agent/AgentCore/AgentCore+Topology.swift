// The mirror of the committed topology, and what each change of it makes of this node's replicas.

import Model
import Movement
import Replication

extension AgentCore {
    /// Takes a whole topology, if it is newer. A cluster never loses all its nodes: a topology without any is somebody's empty disk
    /// (rule T3).
    mutating func adopt(_ newer: Topology, at now: LogicalInstant) {
        guard newer.revision > topology.revision, !newer.nodes.isEmpty || topology.nodes.isEmpty else { return }
        let before = topology
        topology = newer
        leases.knows(newer.revision)
        let all = Set(before.partitions.keys).union(newer.partitions.keys).union(newer.retired.keys)
        let changed = all.filter {
            before.partitions[$0] != newer.partitions[$0] || before.retired[$0] != newer.retired[$0]
        }
        changedAt.note(changed, at: newer.revision)
        learn(Array(changed), at: now)
        if !isCurrent { findOutgrown() }
        actions.append(.topologyChanged(by: nil))
    }

    mutating func apply(_ delta: TopologyDelta, at now: LogicalInstant) {
        do {
            let from = settings.mutated(.takesGaps) ? topology.revision : delta.from
            try topology.apply(TopologyDelta(from: from, to: delta.to, changes: delta.changes))
        } catch {
            if case .gap = error {
                noteOvertaken(by: delta)
                actions.append(.askTopology)
            }
            return
        }
        leases.knows(topology.revision)
        var changed: [PartitionID] = []
        for change in delta.changes {
            switch change {
            case .partition(let partition): changed.append(partition.id)
            case .partitionRetired(let id, _, _): changed.append(id)
            // Its partitions judge writes by the table's minimum.
            case .table(let table): changed += topology.partitions(of: table.id).map(\.id)
            default: break
            }
        }
        changedAt.note(changed, at: delta.to)
        learn(changed, at: now)
        if !isCurrent { findOutgrown() }
        actions.append(.topologyChanged(by: delta))
    }

    /// What a coordinator has said holds, though what it follows on is not here yet. It is no topology to act by: a partition
    /// that is known at an earlier epoch is only not served any more, for another may lead it, or none (rule E2).
    private mutating func noteOvertaken(by delta: TopologyDelta) {
        func note(_ id: PartitionID, _ epoch: Epoch, _ descriptor: PartitionDescriptor?) {
            guard let known = topology.partitions[id], known.epoch < epoch, overtaken[id].map({ $0.epoch < epoch }) ?? true
            else { return }
            overtaken[id] = Overtaking(epoch: epoch, revision: delta.to, descriptor: descriptor)
        }
        for change in delta.changes {
            switch change {
            case .partition(let partition): note(partition.id, partition.epoch, partition)
            case .partitionRetired(let id, let epoch, _): note(id, epoch, nil)
            case .node, .nodeRemoved, .table, .tableRemoved, .operation, .operationRemoved, .signingKey, .signingKeyRemoved,
                .tokenRevoked, .tokenForgotten, .policy, .policyRemoved, .configuration, .configurationRemoved, .gossipKeys:
                break
            }
        }
    }

    /// Gives every replica here that is concerned its descriptor; makes those that are new. The retired come first: their
    /// children take their place.
    mutating func learn(_ ids: [PartitionID], at now: LogicalInstant) {
        let sorted = Set(ids).sorted()
        settleTrust()
        for id in sorted where topology.retired[id] != nil {
            give(id, .retired)
            installChildren(of: id, at: now)
        }
        forgetSettledProposals()
        outgrown = outgrown.filter { id, epoch in topology.partitions[id].map { $0.epoch < epoch } ?? false }
        overtaken = overtaken.filter { id, newer in
            newer.revision > topology.revision && topology.partitions[id].map { $0.epoch < newer.epoch } ?? false
        }
        for id in sorted { learn(id, continuing: false, at: now) }
        let mine = topology.partitions.values.filter { $0.primary == identity.node }
        leasePeers = Set(mine.flatMap { $0.replicas.map(\.node) }).subtracting([identity.node]).sorted()
    }

    /// - Parameter continuing: the partition was led here a moment ago, under its parent's name: no lease is to be waited out.
    func grants(continuing: Bool) -> [NodeID: LogicalInstant] {
        guard !continuing else { return [:] }
        var grants: [NodeID: LogicalInstant] = [:]
        for node in topology.nodes.keys { grants[node] = leases.lastGrantEnds(for: node) }
        return grants
    }

    mutating func learn(_ id: PartitionID, continuing: Bool, at now: LogicalInstant) {
        guard let descriptor = topology.partitions[id] else { return }
        // What is being deleted stays in the topology until the last copy is gone: a copy that is gone is not made again.
        if descriptor.status != .deleting, let own = ownReplica(of: descriptor) {
            if let local = locals[id], local.storage != own.storage, !local.isDropping, !isBehind(descriptor, local) {
                // The copy here belongs to an earlier time; the descriptor names another. It goes before the new one is made; but a start
                // may find a mirror in which it still counts, until this one is on disk.
                if savedRevision >= changedAt[id] ?? .none { drop(id, at: now) } else { give(id, .retired) }
            } else {
                rebuildIfLearner(id, at: now)
            }
            if locals[id] == nil { make(own, of: descriptor, at: now) }
        }
        guard let replica = locals[id]?.replica else { return }
        if let lack = lack(of: replica, countedBy: descriptor) {
            if locals[id]?.damage == nil { fail(id, lack, at: now) }
            return
        }
        let minimum = topology.tables[descriptor.table]?.minInSync ?? 1
        give(id, .learned(descriptor, minInSync: minimum, grants: grants(continuing: continuing)))
    }

    /// Why a copy here that is counted in sync is none: it holds nothing, or half of a snapshot. Nobody but this node knows that; it would
    /// lead, and answer that rows are not there which were never brought. An operator may count on it (rule R6), or a primary that has it
    /// join for the log that it had before it was made anew (rules R4, E4): whoever is up to date has the entry that opened the term.
    private func lack(of replica: Replica, countedBy descriptor: PartitionDescriptor) -> String? {
        guard ownReplica(of: descriptor)?.role == .inSync, replica.isImporting || replica.isEmpty,
            !settings.mutated(.servesHalfCopies)
        else { return nil }
        if descriptor.forcedAt != nil { return "an operator made it the only copy, and it is not whole" }
        // A topology from before it began to be copied says nothing of it.
        guard descriptor.status == .active, descriptor.epoch >= replica.hard.epoch else { return nil }
        let wasLearner = replica.descriptor?.replica(on: identity.node)?.role == .learner
        return wasLearner || replica.isImporting ? "it was taken into the in-sync set, and is not whole" : nil
    }

    var driver: Driver { Driver(node: identity.node, settings: settings.movement) }

    /// The descriptor's copy on this node and in this data folder (rule E4).
    func ownReplica(of descriptor: PartitionDescriptor) -> ReplicaDescriptor? {
        descriptor.replica(on: identity.node).flatMap { $0.store == identity.store ? $0 : nil }
    }

    /// Whether the disk proves that the topology at hand is older than what was done under it: it gives no reason to drop anything.
    func isBehind(_ descriptor: PartitionDescriptor, _ local: LocalReplica) -> Bool {
        descriptor.epoch < max(local.provenEpoch, local.replica?.hard.epoch ?? Epoch(0))
    }

    /// Makes a place for a copy that is not here, empty where it may be.
    ///
    /// A member of an in-sync set is never made out of nothing: what it acknowledged is gone, and it must leave the set first (E4).
    private mutating func make(_ own: ReplicaDescriptor, of descriptor: PartitionDescriptor, at now: LogicalInstant) {
        if isBeingInstalled(descriptor.id) { return }
        let parents = parents(of: descriptor, in: own.storage)
        if parents == .whole { return }
        if let what = unreadable[own.storage] {
            place(descriptor.id, in: own.storage)
            actions.append(.damaged(descriptor.id, what))
            return
        }
        if let remnant = remnants[descriptor.id], descriptor.epoch < remnant.hard.epoch {
            actions.append(.askTopology)
            return
        }
        // Beside a partition that the topology does not know, it is behind: this one may have been split or merged.
        let isKnown = locals.allSatisfy { id, local in
            local.storage != own.storage || topology.partitions[id] != nil || topology.retired[id] != nil
        }
        guard isKnown else {
            actions.append(.askTopology)
            return
        }
        var local = LocalReplica(storage: own.storage, range: descriptor.range, replica: nil, driver: driver)
        if own.role == .inSync, descriptor.status != .creating {
            local.damage = "nothing of it is here"
            locals[descriptor.id] = local
            actions.append(.damaged(descriptor.id, "nothing of it is here"))
        } else if parents == .none {
            locals[descriptor.id] = local
            actions.append(.create(descriptor, own.storage))
        }
    }

    /// Takes down that a copy is in a storage that cannot be read, with what the log has of it.
    mutating func place(_ id: PartitionID, in storage: StorageID) {
        var local = LocalReplica(
            storage: storage, range: topology.partitions[id]?.range, replica: nil, driver: driver)
        local.provenEpoch = remnants[id]?.hard.epoch ?? Epoch(0)
        local.damage = unreadable[storage]
        // It is looked at until it goes, or is known to stay.
        local.retryAt = .origin
        locals[id] = local
    }

    /// Whether the topology has all that was decided before this start: this start's registration comes behind it.
    var isCurrent: Bool {
        topology.nodes[identity.node].map { $0.store == identity.store && $0.generation >= identity.generation } ?? false
    }

    /// What is here of those out of which a partition is installed.
    enum Parents {
        case none
        /// All that it takes.
        case whole
        /// One is damaged, or is gone: it will not be installed out of the others.
        case broken
    }

    func parents(of descriptor: PartitionDescriptor, in storage: StorageID) -> Parents {
        let here = locals.filter { id, local in
            local.storage == storage && topology.retired[id]?.children.contains(descriptor.id) ?? false
        }
        if here.isEmpty { return .none }
        let isWhole = here.values.allSatisfy { !$0.isDamaged } && here.count >= descriptor.parents.count
        return isWhole ? .whole : .broken
    }

    /// For a replica that is made now: above that of any made before, by this process or by one before it.
    func incarnation() -> UInt64 { identity.generation.number << 40 | births << 16 }

    private mutating func forgetSettledProposals() {
        guard !settings.mutated(.keepsEndedProposals) else { return }
        let known = topology
        proposals.forget { proposal in
            // The record goes when the proposal is taken; its operation is shown for much longer.
            if case .cleaned(let operation, let cleanup) = proposal {
                return !(known.operations[operation]?.cleanups.contains(cleanup) ?? false)
            }
            guard let id = proposal.partition, let expected = proposal.expectedEpoch else { return false }
            return known.partitions[id].map { expected < $0.epoch } ?? true
        }
    }

    mutating func created(_ id: PartitionID, _ storage: StorageID, at now: LogicalInstant) {
        guard locals[id]?.storage == storage, locals[id]?.replica == nil else { return }
        // Whatever an earlier copy of it left in the log is over.
        append([.dropped(id)], for: id, 0, at: now)
        remnants[id] = nil
        births += 1
        let replica = Replica(id: id, node: identity.node, incarnation: incarnation(), settings: settings.replication)
        locals[id]?.replica = replica
        if let descriptor = topology.partitions[id], descriptor.status == .active, ownReplica(of: descriptor)?.role == .inSync {
            return fail(id, "it was taken into the in-sync set before it was made", at: now)
        }
        learn(id, continuing: false, at: now)
    }

    /// Reports the empty replicas of tables that are being made.
    mutating func proposeReadiness(at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) {
            guard local.replica?.descriptor?.epoch == topology.partitions[id]?.epoch, let partition = topology.partitions[id],
                partition.status == .creating, ownReplica(of: partition) != nil
            else { continue }
            let proposal = PartitionProposal.replicaReady(id, expecting: partition.epoch)
            if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
        }
    }

    // MARK: - Recovery

    /// Puts together one replica out of the engine and the node's log.
    func recover(_ found: EngineReplica, _ recovered: RecoveredPartition?) -> LocalReplica {
        var local = LocalReplica(storage: found.storage, range: found.range, replica: nil, driver: driver)
        let descriptor = topology.partitions[found.partition]
        let isOver = topology.retired[found.partition] != nil
        let applied = found.applied.sequence
        local.provenEpoch = recovered?.hard.epoch ?? Epoch(0)
        // The log gave the copy up for a snapshot, and this process ended before the engine had begun with that: the rows count for nothing,
        // whatever a mirror from before says of them.
        let isGivenUpForSnapshot = recovered.map { $0.isEmpty && $0.hard.isCopied } ?? false
        let isLearner = descriptor.map { ownReplica(of: $0)?.role == .learner } ?? false
        if found.isImporting || isGivenUpForSnapshot && !isLearner && !isOver {
            local.replica = Replica(
                id: found.partition, node: identity.node, incarnation: incarnation(), hard: recovered?.hard ?? HardState(),
                isImporting: true, settings: settings.replication)
            return local
        }
        if isOver, recovered?.isDropped ?? true {
            // Given up, as what a split or merge ends is once it is not needed: its removal may have begun, and nothing is installed out of
            // the rows that are left.
            local.isLeftOver = true
            return local
        }
        do throws(RecoveredPartition.Damage) {
            // A child of a split whose first records never reached the disk starts where the descriptor says; one that the log has
            // given up does not, for its removal may have begun.
            let isGivenUp = recovered?.isDropped ?? false
            let origin = isGivenUp ? nil : descriptor.map { LogPoint(position: $0.origin, checksum: $0.originChecksum) }
            let start = origin.flatMap { $0.sequence == applied ? $0 : nil } ?? .start
            let log = try (recovered ?? RecoveredPartition()).log(origin: start, applied: found.applied)
            local.lacksFirstRecord = start != .start && !(recovered?.hasBase ?? false)
            local.replica = Replica(
                id: found.partition, node: identity.node, incarnation: incarnation(), log: log,
                hard: recovered?.hard ?? HardState(), applied: applied, settings: settings.replication)
        } catch {
            // A snapshot that was whole in the engine before the log said so is no damage: the log had given up all that it held.
            let isUnsaid = isLearner && recovered?.isEmpty ?? false
            if recovered?.isDropped ?? false || isUnsaid { local.isLeftOver = true } else { local.damage = "\(error)" }
        }
        return local
    }
}
