// The mirror of the committed topology, and what each change of it makes of this node's replicas.

import Model
import Movement
import Replication

extension AgentCore {
    /// Takes a whole topology, if it is newer (rule T3).
    mutating func adopt(_ newer: Topology, at now: LogicalInstant) {
        guard newer.revision > topology.revision else { return }
        let before = topology
        topology = newer
        let all = Set(before.partitions.keys).union(newer.partitions.keys).union(newer.retired.keys)
        let changed = all.filter {
            before.partitions[$0] != newer.partitions[$0] || before.retired[$0] != newer.retired[$0]
        }
        for id in changed { changedAt[id] = newer.revision }
        learn(Array(changed), at: now)
        actions.append(.topologyChanged)
    }

    mutating func apply(_ delta: TopologyDelta, at now: LogicalInstant) {
        do {
            try topology.apply(delta)
        } catch {
            if case .gap = error { actions.append(.askTopology) }
            return
        }
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
        for id in changed { changedAt[id] = delta.to }
        learn(changed, at: now)
        actions.append(.topologyChanged)
    }

    /// Gives every replica here that is concerned its descriptor; makes those that are new. The retired come first: their
    /// children take their place.
    mutating func learn(_ ids: [PartitionID], at now: LogicalInstant) {
        let sorted = Set(ids).sorted()
        for id in sorted where topology.retired[id] != nil {
            give(id, .retired)
            installChildren(of: id, at: now)
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
        if descriptor.status != .deleting, let own = ownReplica(of: descriptor), !isComingFromParent(descriptor) {
            if let local = locals[id], local.storage != own.storage, !local.isDropping {
                // The copy here belongs to an earlier time; the descriptor names another. It goes before the new one is made.
                drop(id, at: now)
            } else {
                rebuildIfLearner(id, at: now)
            }
            if locals[id] == nil {
                locals[id] = LocalReplica(storage: own.storage, replica: nil, driver: driver)
                actions.append(.create(descriptor, own.storage))
            }
        }
        guard locals[id]?.replica != nil else { return }
        let minimum = topology.tables[descriptor.table]?.minInSync ?? 1
        give(id, .learned(descriptor, minInSync: minimum, grants: grants(continuing: continuing)))
    }

    var driver: Driver { Driver(node: identity.node, settings: settings.movement) }

    /// The descriptor's copy on this node and in this data folder (rule E4).
    private func ownReplica(of descriptor: PartitionDescriptor) -> ReplicaDescriptor? {
        descriptor.replica(on: identity.node).flatMap { $0.store == identity.store ? $0 : nil }
    }

    /// Whether the partition will be installed out of a parent that is still here.
    private func isComingFromParent(_ descriptor: PartitionDescriptor) -> Bool {
        guard locals[descriptor.id] == nil else { return false }
        return topology.retired.values.contains { retired in
            retired.children.contains(descriptor.id)
                && locals[retired.id].map { $0.storage == descriptor.replica(on: identity.node)?.storage && $0.replica != nil }
                    ?? false
        }
    }

    mutating func created(_ id: PartitionID, _ storage: StorageID, at now: LogicalInstant) {
        guard locals[id]?.storage == storage, locals[id]?.replica == nil else { return }
        // Whatever an earlier copy of it left in the log is over.
        append([.dropped(id)], for: id, 0, at: now)
        locals[id]?.replica = Replica(id: id, node: identity.node, settings: settings.replication)
        learn(id, continuing: false, at: now)
    }

    // MARK: - Splits

    /// Puts the children in the place of a parent that a split has ended, once it has applied exactly up to the split (rule M2).
    mutating func installChildren(of id: PartitionID, at now: LogicalInstant) {
        guard let retired = topology.retired[id], !retired.children.isEmpty, var local = locals[id], !local.isInstalling,
            var replica = local.replica
        else { return }
        let children = retired.children.compactMap { topology.partitions[$0] }
        guard children.count == retired.children.count, let origin = children.first?.origin else { return }
        replica.finish(at: origin)
        local.replica = replica
        locals[id] = local
        guard replica.holds(origin) else {
            if replica.needsApply { give(id, .tick) }
            return
        }
        locals[id]?.isInstalling = true
        var records: [PartitionRecord] = children.map {
            .reset($0.id, LogPoint(position: $0.origin, checksum: $0.originChecksum))
        }
        records.append(.dropped(id))
        append(records, for: id, 0, at: now)
        actions.append(.installChildren(parent: id, local.storage, children: children))
    }

    mutating func childrenInstalled(of id: PartitionID, at now: LogicalInstant) {
        guard let parent = locals.removeValue(forKey: id), let retired = topology.retired[id] else { return }
        let parentEpoch = parent.replica?.descriptor?.epoch
        let wasLed = parent.replica?.descriptor?.primary == identity.node
        for child in retired.children.compactMap({ topology.partitions[$0] }) where locals[child.id] == nil {
            let log = ReplicaLog(base: LogPoint(position: child.origin, checksum: child.originChecksum))
            let replica = Replica(id: child.id, node: identity.node, log: log, settings: settings.replication)
            locals[child.id] = LocalReplica(storage: parent.storage, replica: replica, driver: driver)
            learn(child.id, continuing: wasLed && parentEpoch?.next == child.epoch, at: now)
        }
    }

    // MARK: - The end of replicas

    /// A primary that cannot serve says so, and another in-sync member takes its place (rule F6). A damaged copy that does not lead
    /// stays silent, and its primary leaves it out.
    mutating func giveUpDamaged(at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) where local.isDamaged {
            guard let partition = topology.partitions[id], partition.primary == identity.node, partition.inSync.count > 1,
                ownReplica(of: partition)?.role == .inSync
            else { continue }
            let proposal = PartitionProposal.evict(id, node: identity.node, expecting: partition.epoch)
            if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
        }
    }

    /// A damaged copy that no write waits for is given up and made anew, by a snapshot (rules E4, F6).
    mutating func rebuildIfLearner(_ id: PartitionID, at now: LogicalInstant) {
        guard let local = locals[id], local.isDamaged, let descriptor = topology.partitions[id],
            ownReplica(of: descriptor)?.role == .learner
        else { return }
        drop(id, at: now)
    }

    mutating func drop(_ id: PartitionID, at now: LogicalInstant) {
        guard let local = locals[id], !local.isDropping else { return }
        locals[id]?.isDropping = true
        give(id, .retired)
        append([.dropped(id)], for: id, 0, at: now)
        actions.append(.drop(id, local.storage))
    }

    mutating func dropped(_ id: PartitionID, _ storage: StorageID, at now: LogicalInstant) {
        guard locals[id]?.storage == storage else { return }
        locals[id] = nil
        learn(id, continuing: false, at: now)
        cleanUp(at: now)
    }

    /// Drops what committed records say is over, and reports what is gone (rule M3).
    mutating func cleanUp(at now: LogicalInstant) {
        for (operation, cleanup) in CleanupPlan.due(on: identity.node, in: topology) {
            if locals[cleanup.partition]?.storage == cleanup.storage {
                drop(cleanup.partition, at: now)
            } else {
                let proposal = PartitionProposal.cleaned(operation, cleanup)
                if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
            }
        }
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
        var local = LocalReplica(storage: found.storage, replica: nil, driver: driver)
        let descriptor = topology.partitions[found.partition]
        let isOver = topology.retired[found.partition] != nil
        let applied = found.applied.sequence
        if found.isImporting {
            local.replica = Replica(
                id: found.partition, node: identity.node, hard: recovered?.hard ?? HardState(), isImporting: true,
                settings: settings.replication)
            return local
        }
        do throws(RecoveredPartition.Damage) {
            var log: ReplicaLog
            if isOver, recovered?.isDropped ?? true {
                // Its children were about to take its place; nothing but its applied position matters any more.
                log = ReplicaLog(base: LogPoint(position: found.applied, checksum: 0))
            } else {
                // A child of a split whose first records never reached the disk starts where the descriptor says.
                let origin = descriptor.map { LogPoint(position: $0.origin, checksum: $0.originChecksum) }
                let start = origin.flatMap { $0.sequence == applied ? $0 : nil } ?? .start
                log = try (recovered ?? RecoveredPartition()).log(origin: start, applied: applied)
            }
            local.replica = Replica(
                id: found.partition, node: identity.node, log: log, hard: recovered?.hard ?? HardState(), applied: applied,
                settings: settings.replication)
        } catch {
            local.damage = "\(error)"
        }
        return local
    }
}
