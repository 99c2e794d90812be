// The halves of a split, and the whole of a merge, in the place of what they came out of (rule M2).

import Model
import Replication

extension AgentCore {
    /// Puts the children in the place of a parent that a split has ended, once it has applied the split (rule M2).
    ///
    /// Children of which no copy is placed here any more, because they have moved on, or were split or merged in their turn,
    /// while this node was behind, are made beside the others and then removed: nothing else would ever know of the rows that the
    /// parent left of them.
    mutating func installChildren(of id: PartitionID, at now: LogicalInstant) {
        guard let retired = topology.retired[id], let local = locals[id], !local.isDamaged, local.installation == nil,
            !local.isDropping, var replica = local.replica
        else { return }
        let known = retired.children.sorted().compactMap { topology.partitions[$0] }.filter { $0.status != .deleting }
        let children = known.filter { ownReplica(of: $0)?.storage == local.storage }
        if let merged = children.first, !merged.parents.isEmpty { return install(merged, at: now) }
        // None is to be here: it goes as what nothing waits for (`abandonLostParents`).
        guard let origin = children.first?.origin else { return }
        guard !replica.lacks(origin) else {
            // Every in-sync member had the record on disk when the split was committed: this disk has lost it (rule E4).
            locals[id]?.damage = "its log ends before its split at \(origin)"
            actions.append(.damaged(id, "its log ends before its split at \(origin)"))
            for child in children { learn(child.id, continuing: false, at: now) }
            return
        }
        replica.finish(at: origin)
        locals[id]?.replica = replica
        guard replica.holds(origin) else {
            if replica.needsApply { give(id, .tick) }
            return
        }
        // Before the engine has them the log has, and the parent stays in the log until the engine has them: whatever topology the
        // next start finds, either the parent is whole there or the children are.
        let gone = known.filter { child in
            child.replica(on: identity.node) == nil && locals[child.id] == nil && remnants[child.id] == nil
        }
        let ended = endedHalf(of: local, among: retired.children, beside: children)
        let all = children + gone + (ended.map { [$0] } ?? [])
        prepareInstallation(of: all.sorted { $0.id < $1.id }, inPlaceOf: [id], at: now)
    }

    /// The half of a split that was split or merged itself by now, without this node. The topology tells no more what it covered; but
    /// that is what the parent covered and the other half does not.
    ///
    /// None of what came of it is to be installed here: each end needs the whole in-sync set, to which this node, without that half,
    /// cannot have belonged.
    private func endedHalf(
        of parent: LocalReplica, among halves: [PartitionID], beside others: [PartitionDescriptor]
    ) -> PartitionDescriptor? {
        guard let id = halves.first(where: { topology.retired[$0] != nil }), let epoch = topology.retired[id]?.epoch,
            locals[id] == nil, remnants[id] == nil, let other = others.first,
            let range = parent.range?.remainder(beside: other.range)
        else { return nil }
        return PartitionDescriptor(
            id: id, table: other.table, range: range, epoch: epoch, primary: nil, replicas: [], status: .deleting,
            origin: other.origin, originChecksum: other.originChecksum)
    }

    /// Puts a partition in the place of those that were merged into it, once each has applied the entry at which it ended (rule M2).
    ///
    /// Where one of them is lost, nothing is made of the other: what the topology wants here comes from a peer.
    private mutating func install(_ merged: PartitionDescriptor, at now: LogicalInstant) {
        guard let storage = ownReplica(of: merged)?.storage, parents(of: merged, in: storage) == .whole else { return }
        for parent in merged.parents {
            guard let local = locals[parent.partition], !local.isDropping, local.installation == nil,
                var replica = local.replica
            else { return }
            guard !replica.lacks(parent.end) else {
                // As with a split: it was on every in-sync disk when the merge was committed (rule E4).
                locals[parent.partition]?.damage = "its log ends before its merge at \(parent.end)"
                actions.append(.damaged(parent.partition, "its log ends before its merge at \(parent.end)"))
                learn(merged.id, continuing: false, at: now)
                return
            }
            replica.finish(at: parent.end)
            locals[parent.partition]?.replica = replica
        }
        let late = merged.parents.filter { !(locals[$0.partition]?.replica?.holds($0.end) ?? false) }
        for parent in late where locals[parent.partition]?.replica?.needsApply ?? false { give(parent.partition, .tick) }
        guard late.isEmpty else { return }
        prepareInstallation(of: [merged], inPlaceOf: merged.parents.map(\.partition), at: now)
    }

    private mutating func prepareInstallation(
        of children: [PartitionDescriptor], inPlaceOf parents: [PartitionID], at now: LogicalInstant
    ) {
        append(children.map(Self.firstRecord), for: parents[0], 0, at: now)
        for child in children { remnants[child.id] = nil }
        let installation = LocalReplica.Installation(children: children, parents: parents, ticket: lastTicket)
        for parent in parents { locals[parent]?.installation = installation }
        installing.append(parents[0])
        if settings.mutated(.installsBeforeLog) { orderInstallations() }
    }

    /// Whether the engine was told to put children in the place of their parents, and this is one of either.
    func isBeingInstalled(_ id: PartitionID) -> Bool {
        locals.contains { parent, local in
            guard let installation = local.installation, installation.isOrdered else { return false }
            return parent == id || installation.children.contains { $0.id == id }
        }
    }

    private static func firstRecord(of child: PartitionDescriptor) -> PartitionRecord {
        .reset(child.id, LogPoint(position: child.origin, checksum: child.originChecksum))
    }

    /// Orders the engine to install the children whose first records are on disk.
    mutating func orderInstallations() {
        guard !installing.isEmpty else { return }
        let waiting = outstanding.first?.ticket ?? .max
        installing.removeAll { id in
            guard let local = locals[id], let installation = local.installation else { return true }
            guard installation.parents.allSatisfy({ locals[$0].map { !$0.isDropping && !$0.isDamaged } ?? false }) else {
                for parent in installation.parents { locals[parent]?.installation = nil }
                return true
            }
            guard installation.ticket < waiting || settings.mutated(.installsBeforeLog) else { return false }
            for parent in installation.parents { locals[parent]?.installation?.isOrdered = true }
            actions.append(.installChildren(parent: id, local.storage, children: installation.children))
            return true
        }
    }

    /// What stands in the log's checkpoints for children that are not replicas here yet.
    var installationRecords: [PartitionRecord] {
        locals.sorted { $0.key < $1.key }.flatMap { id, local in
            local.installation.flatMap { $0.parents.first == id ? $0.children : nil } ?? []
        }.map(Self.firstRecord)
    }

    mutating func childrenInstalled(of id: PartitionID, at now: LogicalInstant) {
        guard let storage = locals[id]?.storage, let installation = locals[id]?.installation else { return }
        // In the last epoch of each, whichever of them had the later one.
        var wasLed = true
        var last = Epoch(0)
        // What befell one of them after the engine was told has befallen what came of it.
        var damage: String?
        var isGoing = false
        for parent in installation.parents {
            stopCopies(of: parent)
            let local = locals.removeValue(forKey: parent)
            let descriptor = local?.replica?.descriptor
            damage = damage ?? local?.damage ?? local?.replica?.haltReason.map { "\($0)" }
            if local?.isDropping ?? true { isGoing = true }
            append([.dropped(parent)], for: parent, 0, at: now)
            let isLast = descriptor.map { $0.epoch.next == topology.retired[parent]?.epoch } ?? false
            if !isLast || descriptor?.primary != identity.node { wasLed = false }
            last = max(last, descriptor?.epoch ?? last)
        }
        for child in installation.children {
            let old = locals[child.id]
            // A removal that is under way comes behind, and takes along what the engine has just made.
            guard old?.replica == nil, !(old?.isDropping ?? false) else { continue }
            births += 1
            let log = ReplicaLog(base: LogPoint(position: child.origin, checksum: child.originChecksum))
            let replica = Replica(
                id: child.id, node: identity.node, incarnation: incarnation(), log: log, settings: settings.replication)
            locals[child.id] = LocalReplica(storage: storage, range: child.range, replica: replica, driver: driver)
            if let what = damage ?? old?.damage {
                // What was given up of it meanwhile stands in the log behind its first record.
                append([Self.firstRecord(of: child)], for: child.id, 0, at: now)
                fail(child.id, what, at: now)
            } else {
                learn(child.id, continuing: wasLed && last.next == topology.partitions[child.id]?.epoch, at: now)
                if let early = earlySurveys.take(child.id) { give(child.id, .received(early.message, from: early.peer)) }
            }
            // It has been moved away, split, merged or dropped meanwhile, by those who did not need this node for it.
            let isPlaced = topology.partitions[child.id].flatMap(ownReplica)?.storage == storage
            if !isPlaced || isGoing { drop(child.id, at: now) }
        }
    }

    /// The parents are what they were, and count as damaged: of two that were to be merged it is not known which of them is.
    mutating func installationFailed(of id: PartitionID, _ what: String, at now: LogicalInstant) {
        for parent in locals[id]?.installation?.parents ?? [] { locals[parent]?.installation = nil }
        fail(id, what, at: now)
    }
}
