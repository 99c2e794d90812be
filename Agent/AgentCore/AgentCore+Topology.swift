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
        for id in changed { changedAt[id] = newer.revision }
        learn(Array(changed), at: now)
        if !isCurrent { findOutgrown() }
        actions.append(.topologyChanged)
    }

    mutating func apply(_ delta: TopologyDelta, at now: LogicalInstant) {
        do {
            try topology.apply(delta)
        } catch {
            if case .gap = error { actions.append(.askTopology) }
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
        for id in changed { changedAt[id] = delta.to }
        learn(changed, at: now)
        if !isCurrent { findOutgrown() }
        actions.append(.topologyChanged)
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
                // The copy here belongs to an earlier time; the descriptor names another. It goes before the new one is made.
                drop(id, at: now)
            } else {
                rebuildIfLearner(id, at: now)
            }
            if locals[id] == nil { make(own, of: descriptor, at: now) }
        }
        guard let replica = locals[id]?.replica else { return }
        if isForced(descriptor, onto: replica) {
            if locals[id]?.damage == nil { fail(id, "an operator made it the only copy, and it is not whole", at: now) }
            return
        }
        let minimum = topology.tables[descriptor.table]?.minInSync ?? 1
        give(id, .learned(descriptor, minInSync: minimum, grants: grants(continuing: continuing)))
    }

    /// Whether an operator counts on a copy here that holds nothing, or half of a snapshot (rule R6). Nobody but this node knows that; it
    /// would lead, and answer that rows are not there which were never brought.
    private func isForced(_ descriptor: PartitionDescriptor, onto replica: Replica) -> Bool {
        guard descriptor.forcedAt != nil, ownReplica(of: descriptor)?.role == .inSync,
            !settings.mutated(.servesHalfCopies)
        else { return false }
        return replica.isImporting || replica.isEmpty
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
        var local = LocalReplica(storage: own.storage, replica: nil, driver: driver)
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
        var local = LocalReplica(storage: storage, replica: nil, driver: driver)
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
        let known = topology
        proposals.forget { proposal in
            if case .cleaned(let operation, _) = proposal { return known.operations[operation] == nil }
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
        learn(id, continuing: false, at: now)
    }

    // MARK: - Splits and merges

    /// Puts the children in the place of a parent that a split has ended, once it has applied the split (rule M2).
    ///
    /// Only children that are still placed here: others have moved on while this node was away.
    mutating func installChildren(of id: PartitionID, at now: LogicalInstant) {
        guard let retired = topology.retired[id], let local = locals[id], !local.isDamaged, local.installation == nil,
            !local.isDropping, var replica = local.replica
        else { return }
        let children = retired.children.sorted().compactMap { topology.partitions[$0] }
            .filter { ownReplica(of: $0)?.storage == local.storage && $0.status != .deleting }
        if let merged = children.first, !merged.parents.isEmpty { return install(merged, at: now) }
        guard let origin = children.first?.origin else {
            drop(id, at: now)
            return
        }
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
        prepareInstallation(of: children, inPlaceOf: [id], at: now)
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
            locals[child.id] = LocalReplica(storage: storage, replica: replica, driver: driver)
            if let what = damage ?? old?.damage {
                // What was given up of it meanwhile stands in the log behind its first record.
                append([Self.firstRecord(of: child)], for: child.id, 0, at: now)
                fail(child.id, what, at: now)
            } else {
                learn(child.id, continuing: wasLed && last.next == topology.partitions[child.id]?.epoch, at: now)
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

    // MARK: - The end of replicas

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
        give(id, .retired)
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

    /// A member that cannot serve says so and leaves the in-sync set; where it led, another takes its place (rule F6).
    mutating func giveUpDamaged(at now: LogicalInstant) {
        var damaged: Set<PartitionID> = []
        for (id, local) in locals where local.isDamaged {
            damaged.insert(id)
            // What the engine is making out of it is no better. That it takes long is no reason to have the others wait.
            damaged.formUnion(local.installation?.children.map(\.id) ?? [])
        }
        for id in damaged.sorted() {
            guard let partition = topology.partitions[id], partition.inSync.count > 1,
                ownReplica(of: partition)?.role == .inSync
            else { continue }
            let proposal = PartitionProposal.evict(id, node: identity.node, expecting: partition.epoch)
            if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
        }
    }

    /// A damaged copy that no write waits for is given up and made anew, by a snapshot (rules E4, F6).
    mutating func rebuildIfLearner(_ id: PartitionID, at now: LogicalInstant) {
        guard let local = locals[id], local.isDamaged, local.retryAt.map({ $0 <= now }) ?? true,
            let descriptor = topology.partitions[id], !isBehind(descriptor, local), let own = ownReplica(of: descriptor)
        else { return }
        let isNew = descriptor.status == .creating && unreadable[local.storage] != nil
        if own.role == .learner || isNew { drop(id, at: now) }
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
    /// another whose copy here is no good.
    mutating func abandonLostParents(at now: LogicalInstant) {
        let ended = locals.filter { id, local in
            topology.retired[id] != nil && !local.isDropping && !(local.installation?.isOrdered ?? false)
        }
        for (id, local) in ended.sorted(by: { $0.key < $1.key }) {
            guard let retired = topology.retired[id] else { continue }
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
            } else {
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
        for (operation, cleanup) in due {
            let since = dueAt[cleanup] ?? topology.revision
            dueAt[cleanup] = since
            guard savedRevision >= since || settings.mutated(.dropsBeforeMirror) else { continue }
            // Nor is gone what the engine is about to make.
            if isBeingInstalled(cleanup.partition) { continue }
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

    /// Drops copies of which this node is told no more, by descriptors at their own epochs or later ones. The records that were to
    /// clean them may be long settled, where a disk came back from a backup; and what has left a descriptor never comes back (M3).
    mutating func dropStrays(at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) {
            guard let descriptor = topology.partitions[id], descriptor.replica(on: identity.node) == nil,
                descriptor.status == .active, !isBehind(descriptor, local), savedRevision >= changedAt[id] ?? .none
            else { continue }
            drop(id, at: now)
        }
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
        local.provenEpoch = recovered?.hard.epoch ?? Epoch(0)
        if found.isImporting {
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
            let isLearner = descriptor.map { ownReplica(of: $0)?.role == .learner } ?? false
            let isUnsaid = isLearner && recovered?.isEmpty ?? false
            if recovered?.isDropped ?? false || isUnsaid { local.isLeftOver = true } else { local.damage = "\(error)" }
        }
        return local
    }
}
