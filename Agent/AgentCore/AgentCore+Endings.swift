// The end of replicas: those that fail, those that are built anew, and those that are wanted here no more (rules F6, M3, M8).

import Model
import Movement
import Replication

extension AgentCore {
    /// What the topology has in storages that could not be opened, and what it wants removed from them.
    var placesInUnreadable: [(partition: PartitionID, storage: StorageID)] {
        guard !unreadable.isEmpty else { return [] }
        var places: [(partition: PartitionID, storage: StorageID)] = []
        for descriptor in topology.partitions.values {
            if let own = ownReplica(of: descriptor) { places.append((descriptor.id, own.storage)) }
        }
        for due in CleanupPlan.due(on: identity.node, in: topology) {
            places.append((due.cleanup.partition, due.cleanup.storage))
        }
        places.removeAll { unreadable[$0.storage] == nil }
        return places.sorted { ($0.partition, $0.storage) < ($1.partition, $1.storage) }
    }

    /// The engine cannot go on with a replica: it serves and acknowledges nothing more (rule F6).
    ///
    /// What is said of one that has gone, or has become part of another, is over with it.
    mutating func fail(_ id: PartitionID, _ what: String, at now: LogicalInstant) {
        guard locals[id] != nil else { return }
        // Said once: every read of it finds the same.
        if locals[id]?.damage == nil { actions.append(.damaged(id, what)) }
        locals[id]?.damage = what
        locals[id]?.retryAt = now + settings.enginePause
        if !settings.mutated(.servesDamaged) { give(id, .retired) }
    }

    /// A file that holds one unreadable partition is not to hold the next copy of it: it goes with the last partition in it. So those
    /// beside it are given up too, where others hold what they hold; one that reads, and is in sync alone, stays as it is.
    mutating func storageDamaged(_ storage: StorageID, _ unreadable: [PartitionID], _ what: String, at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) where local.storage == storage {
            guard !local.isDropping, !local.isDamaged else { continue }
            let isNeeded = topology.partitions[id].map { $0.inSync == [identity.node] } ?? true
            if unreadable.isEmpty || unreadable.contains(id) || !isNeeded { fail(id, what, at: now) }
        }
    }

    /// A member that cannot serve says so and leaves the in-sync set; where it led, another takes its place (rule F6). A learner leaves the
    /// epoch in which it has spoken, before its copy is made anew (rule R4).
    mutating func giveUpDamaged(at now: LogicalInstant) {
        var damaged: Set<PartitionID> = []
        for (id, local) in locals where local.isDamaged {
            damaged.insert(id)
            // What the engine is making out of it is no better. That it takes long is no reason to have the others wait.
            damaged.formUnion(local.installation?.children.map(\.id) ?? [])
        }
        for id in damaged.sorted() {
            guard let partition = topology.partitions[id], let own = ownReplica(of: partition) else { continue }
            let isAsked =
                switch own.role {
                case .inSync: partition.inSync.count > 1
                // For its epoch to rise.
                case .learner: isCurrent && locals[id].map { !$0.isDropping && isCountedOn($0, of: partition) } ?? false
                }
            if isAsked { leave(partition, because: .isDamaged, at: now) }
        }
    }

    private mutating func leave(_ partition: PartitionDescriptor, because cause: EvictionCause, at now: LogicalInstant) {
        let proposal = PartitionProposal.evict(partition.id, node: identity.node, expecting: partition.epoch)
        if !proposals.knows(proposal) { actions.append(.evicting(partition.id, identity.node, cause)) }
        if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
    }

    /// A member whose engine has for long not made what a committed split or merge has left here leaves the in-sync set of that (rule F6):
    /// without it nobody's opening is acknowledged, and where this node is to lead nobody serves. It stays as it is, and follows once its
    /// engine goes on. What the others' engines do is not known without a replica; so the set is not brought below its minimum for it.
    mutating func giveUpUninstalled(at now: LogicalInstant) {
        var since: [PartitionID: LogicalInstant] = [:]
        for id in locals.keys.filter({ topology.retired[$0] != nil }).sorted() {
            guard let local = locals[id], let retired = topology.retired[id], let replica = local.replica, !local.isDropping,
                !local.isDamaged
            else { continue }
            let progress = LocalReplica.EndingProgress(
                applied: replica.applied, isOrdered: local.installation?.isOrdered ?? false)
            let standing = local.ending.flatMap { $0.progress == progress ? $0.since : nil } ?? now
            locals[id]?.ending = (progress, standing)
            // Of two halves the one that goes on counts.
            for child in retired.children { since[child] = max(since[child] ?? standing, standing) }
        }
        for (child, standing) in since.sorted(by: { $0.key < $1.key })
        where now >= standing + settings.replication.enginePatience {
            guard locals[child]?.replica == nil, let partition = topology.partitions[child], partition.status == .active,
                ownReplica(of: partition)?.role == .inSync,
                partition.inSync.count > max(1, topology.tables[partition.table]?.minInSync ?? 1)
            else { continue }
            leave(partition, because: .isNotInstalled, at: now)
        }
    }

    /// A damaged copy that no write waits for is given up and made anew, by a snapshot (rules E4, F6), once nothing counts on what it was.
    mutating func rebuildIfLearner(_ id: PartitionID, at now: LogicalInstant) {
        guard let local = locals[id], local.isDamaged, local.retryAt.map({ $0 <= now }) ?? true,
            let descriptor = topology.partitions[id], !isBehind(descriptor, local), let own = ownReplica(of: descriptor)
        else { return }
        let isNew = descriptor.status == .creating && unreadable[local.storage] != nil
        if own.role == .learner && !isCountedOn(local, of: descriptor) || isNew { drop(id, at: now) }
    }

    /// Whether what a copy here has acknowledged may yet have it taken into the in-sync set: in an epoch in which it has spoken, a join may be
    /// on its way. Made anew in that epoch it would be counted for whole, with as much as has come back of it by then (rules R4, E4). A
    /// start does not know all that was said; what it finds damaged its registration names, and the epoch rises for that.
    private func isCountedOn(_ local: LocalReplica, of descriptor: PartitionDescriptor) -> Bool {
        guard !settings.mutated(.rebuildsAtOnce) else { return false }
        return !isCurrent || descriptor.epoch <= max(local.provenEpoch, local.replica?.hard.epoch ?? Epoch(0))
    }

    /// Takes up what the engine failed at a while ago: a removal that it did not do, a copy that it could not keep.
    mutating func tryAgain(at now: LogicalInstant) {
        let due = locals.filter { $0.value.retryAt.map { $0 <= now } ?? false }
        for (id, local) in due.sorted(by: { $0.key < $1.key }) {
            if local.isDropping {
                locals[id]?.retryAt = nil
                if !dropping.contains(id) { dropping.append(id) }
                orderDrops()
            } else if unreadable[local.storage] != nil {
                learn(id, continuing: false, at: now)
            } else {
                rebuildIfLearner(id, at: now)
            }
        }
    }

    /// A damaged copy of a partition that a split or a merge has ended goes once nothing counts on it: no child is in sync here, or they
    /// have come to be in another way. Until then it may be the last copy that there is. So does a good copy of one that was merged with
    /// another whose copy here is no good, and one that waits for nothing that is wanted here: its table was dropped, or what was to take its
    /// place has moved on, while the other half was late.
    mutating func abandonLostParents(at now: LogicalInstant) {
        let ended = locals.filter { id, local in
            topology.retired[id] != nil && !local.isDropping && !(local.installation?.isOrdered ?? false)
        }
        for (id, local) in ended.sorted(by: { $0.key < $1.key }) {
            guard let retired = topology.retired[id] else { continue }
            let isAwaited = retired.children.contains { child in
                guard let descriptor = topology.partitions[child], descriptor.status != .deleting else { return false }
                return ownReplica(of: descriptor)?.storage == local.storage
            }
            // A start must not miss what its mirror counts on.
            let isSaved = savedRevision >= changedAt[id] ?? .none
            if !isAwaited, local.installation == nil {
                if isSaved { drop(id, at: now) }
                continue
            }
            let isBroken = retired.children.contains { child in
                topology.partitions[child].map { parents(of: $0, in: local.storage) == .broken } ?? false
            }
            guard local.isDamaged || isBroken else { continue }
            let isWanted = retired.children.contains { child in
                locals[child]?.replica == nil && topology.partitions[child].map { ownReplica(of: $0)?.role == .inSync } ?? false
            }
            if isWanted {
                // It is missed at once: nothing else may ever tell of it, for the engine has failed since it was learned.
                for child in retired.children where locals[child] == nil { learn(child, continuing: false, at: now) }
            } else if isSaved {
                drop(id, at: now)
            }
        }
    }

    mutating func drop(_ id: PartitionID, at now: LogicalInstant) {
        // Where the engine is putting it in the place of others, or others in its place, whoever wants it gone asks again.
        guard let local = locals[id], !local.isDropping, !isBeingInstalled(id) else { return }
        // Nobody can look what else is in there: an old topology may lack what it would take along.
        guard unreadable[local.storage] == nil || isCurrent else { return }
        locals[id]?.isDropping = true
        locals[id]?.retryAt = nil
        if local.isDamaged {
            mistrusted.insert(id)
            settleTrust()
        }
        // While it is known what is on its way: once the copy is gone nobody would stop it.
        stopCopies(of: id)
        give(id, .retired)
        append([.dropped(id)], for: id, 0, at: now)
        remnants[id] = nil
        locals[id]?.dropTicket = lastTicket
        dropping.append(id)
        if settings.mutated(.dropsBeforeLog) { orderDrops() }
    }

    /// Orders the engine to remove what the log on disk has given up: a start that found entries of a copy that is gone would have to
    /// take it for lost (rule E4).
    mutating func orderDrops() {
        guard !dropping.isEmpty else { return }
        let waiting = outstanding.first?.ticket ?? .max
        // From a storage that could not be opened all goes at once, and some of that may be the last copy that there is.
        let needed = Set(locals.values.filter { unreadable[$0.storage] != nil && !$0.isDropping }.map(\.storage))
        dropping.removeAll { id in
            guard let local = locals[id], let ticket = local.dropTicket else { return true }
            guard ticket < waiting || settings.mutated(.dropsBeforeLog), !needed.contains(local.storage) else { return false }
            actions.append(.drop(id, local.storage))
            return true
        }
    }

    mutating func dropped(_ id: PartitionID, _ storage: StorageID, at now: LogicalInstant) {
        guard locals[id]?.storage == storage else { return }
        locals[id] = nil
        unreadable[storage] = nil
        // An append of the old replica's is none of the next one's.
        outstanding = outstanding.map {
            $0.partition == id ? Outstanding(ticket: $0.ticket, partition: nil, replicaTicket: 0) : $0
        }
        learn(id, continuing: false, at: now)
        for child in topology.retired[id]?.children ?? [] { learn(child, continuing: false, at: now) }
        forgetRemnants(at: now)
        cleanUp(at: now)
    }

    /// Drops what committed records say is over, and reports what is gone (rule M3).
    ///
    /// Only once the mirror on disk says so too: a start that found an older one would miss the copy, or, with no record of the cleanup
    /// left, make it anew for nobody.
    mutating func cleanUp(at now: LogicalInstant) {
        let due = CleanupPlan.due(on: identity.node, in: topology)
        if due.isEmpty { dueAt = [:] }
        let coming = due.isEmpty ? [] : partitionsToCome
        for (operation, cleanup) in due {
            let since = dueAt[cleanup] ?? topology.revision
            dueAt[cleanup] = since
            guard savedRevision >= since || settings.mutated(.dropsBeforeMirror) else { continue }
            // Nor is gone what the engine is about to make; and what it was to be made of goes first, or would be left to nobody's record.
            if coming.contains(Coming(partition: cleanup.partition, storage: nil)) { continue }
            if coming.contains(Coming(partition: cleanup.partition, storage: cleanup.storage)) { continue }
            if unreadable[cleanup.storage] != nil, locals[cleanup.partition] == nil {
                place(cleanup.partition, in: cleanup.storage)
            }
            if locals[cleanup.partition]?.storage == cleanup.storage {
                drop(cleanup.partition, at: now)
            } else {
                let proposal = PartitionProposal.cleaned(operation, cleanup)
                if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
            }
        }
    }

    private struct Coming: Hashable {
        let partition: PartitionID
        /// Nil: wherever it is.
        let storage: StorageID?
    }

    /// What the engine is putting in the place of others, or has still to: of thousands of cleanups each asks for one.
    private var partitionsToCome: Set<Coming> {
        var coming: Set<Coming> = []
        for (id, local) in locals {
            if let installation = local.installation, installation.isOrdered {
                coming.insert(Coming(partition: id, storage: nil))
                for child in installation.children { coming.insert(Coming(partition: child.id, storage: nil)) }
            }
            for child in topology.retired[id]?.children ?? [] {
                coming.insert(Coming(partition: child, storage: local.storage))
            }
        }
        return coming
    }

    /// Drops copies of which this node is told no more, by descriptors at their own epochs or later ones. The records that were to
    /// clean them may be long settled, where a disk came back from a backup; and what has left a descriptor never comes back (M3).
    mutating func dropStrays(at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) {
            guard let descriptor = topology.partitions[id], isElsewhere(descriptor, than: local), descriptor.status == .active,
                !isBehind(descriptor, local), savedRevision >= changedAt[id] ?? .none
            else { continue }
            drop(id, at: now)
        }
    }

    /// Whether the descriptor places no copy here, or another than this one.
    private func isElsewhere(_ descriptor: PartitionDescriptor, than local: LocalReplica) -> Bool {
        guard descriptor.replica(on: identity.node) != nil else { return true }
        return ownReplica(of: descriptor).map { $0.storage != local.storage } ?? false
    }

    /// Has the log give up what it has of partitions of which no copy is placed here, once they can be nowhere, or are over for certain.
    /// Until then it holds up the log (rule R9).
    mutating func forgetRemnants(at now: LogicalInstant) {
        for id in remnants.keys.sorted() where locals[id] == nil {
            guard unreadable.isEmpty || isOver(id) else { continue }
            append([.dropped(id)], for: id, 0, at: now)
            remnants[id] = nil
        }
    }

    private func isOver(_ id: PartitionID) -> Bool {
        guard isCurrent, savedRevision >= changedAt[id] ?? topology.revision else { return false }
        if let descriptor = topology.partitions[id] { return descriptor.replica(on: identity.node) == nil }
        // Of a parent nothing is wanted once none of its children is to come out of what cannot be read.
        return topology.retired[id]?.children.allSatisfy { child in
            locals[child].map { unreadable[$0.storage] == nil || $0.isDropping } ?? true
        } ?? true
    }
}
