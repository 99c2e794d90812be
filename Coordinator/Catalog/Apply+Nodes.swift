import Model

extension Transaction {
    // MARK: - Coming

    /// An agent's start: a new session, and what its data folder says of its replicas (rules E4, E6).
    ///
    /// The same store with a higher generation keeps its places: it goes on from its log. Another store is an empty disk, a damaged log
    /// is not to be trusted: the node leaves every in-sync set, and comes back as a learner. Of damaged replicas that it names it leaves
    /// the sets, and of no others: one bad copy is no reason to doubt the rest, which may be the last of their kind. A partition that
    /// waited for this node as its last in-sync member gets it as primary again, if the store is the one that it waited for, and the copy
    /// was not named.
    ///
    /// Where it is a learner and its copy is gone, the epoch rises too: a join that is on its way was proposed for what it had before, and
    /// is refused (rule R4).
    ///
    /// A lower generation changes nothing. It may be the word of a process that has ended, overtaken on its way by that of the next one.
    /// Only one that lives can answer a refusal: a disk that went back registers in a later generation, and vouches for nothing.
    /// - Returns: the new session; for the same start asked for twice, the session that it has.
    /// - Throws: `nodeDecommissioned`, `generationInUse` when two processes use one start, `superseded`, `limitReached`.
    mutating func register(_ registration: NodeRegistration) throws(CatalogRejection) -> CommandPayload {
        let addresses = registration.addresses
        for text in [addresses.gossip, addresses.link, addresses.service] { try check(text, field: "addresses") }
        try check(registration.instanceType, field: "instance_type")
        try check(registration.version, field: "version")

        let known = node(registration.node)
        guard known != nil || base.nodes.count < CatalogLimits.nodes else {
            throw CatalogRejection(.limitReached, "the cluster has \(CatalogLimits.nodes) nodes")
        }
        let damaged = registration.isLogIntact ? [] : replacing(registration.damaged)
        let isDamaged = !registration.isLogIntact && damaged.isEmpty
        if let known, known.session != .none {
            guard known.status != .decommissioned else {
                throw CatalogRejection(.nodeDecommissioned, "node \(known.id) is decommissioned")
            }
            guard registration.generation >= known.generation || mutated(.believesLateRegistrations) else {
                throw CatalogRejection(
                    .superseded,
                    "start \(known.generation) of node \(known.id) is registered, this is start \(registration.generation)"
                )
            }
            if known.store == registration.store, registration.generation == known.generation {
                // Whoever vouches for nothing is not the process that this start was registered for, unless it was damaged as a whole
                // then, too; it comes again in a later generation.
                guard !isDamaged || known.status == .failed else {
                    throw CatalogRejection(.superseded, "start \(known.generation) of node \(known.id) is registered already")
                }
                guard known.addresses == registration.addresses else {
                    throw CatalogRejection(
                        .generationInUse, "start \(known.generation) of node \(known.id) is registered at other addresses")
                }
                if known.status != .failed { return .session(known.session) }
            }
        }

        var node = NodeDescriptor(
            id: registration.node, store: registration.store, session: SessionID(index), generation: registration.generation,
            zone: registration.zone, addresses: registration.addresses, status: .healthy,
            instanceType: registration.instanceType, version: registration.version)
        node.isDrainWanted = known?.wantsDrain ?? false
        node.status = node.statusAlive
        if node.instanceType.isEmpty { node.instanceType = known?.instanceType ?? "" }
        let hasOtherStore = known.map { $0.session != .none && $0.store != registration.store } ?? false
        if isDamaged || hasOtherStore && !mutated(.trustsOtherStores) {
            leaveInSyncSets(node.id, because: "node \(node.id) came back without its data")
        } else if !damaged.isEmpty {
            leaveInSyncSets(node.id, of: damaged, because: "node \(node.id) came back without the partition's data")
        }
        if !registration.isLogIntact { refuseJoins(of: node.id, to: isDamaged ? nil : damaged) }
        put(node)
        failedAt[node.id] = nil
        if hasOtherStore { adoptStore(registration.store, on: node.id) }
        resumeWaiting(for: node) { partition, _ in isDamaged || damaged.contains(partition) }
        return .session(SessionID(index))
    }

    /// Raises the epoch of these partitions, or of all, in which the node is a learner: what was proposed of its copies there was proposed
    /// of others than it has now.
    private mutating func refuseJoins(of id: NodeID, to some: Set<PartitionID>?) {
        guard !mutated(.joinsLostCopies) else { return }
        for partition in partitions(where: { $0.status != .deleting && some?.contains($0.id) ?? true })
        where partition.replica(on: id)?.role == .learner {
            putRaised(partition)
        }
    }

    /// The partitions with those that splits have put in their place: a node that was away knows of no split.
    private func replacing(_ ids: [PartitionID]) -> Set<PartitionID> {
        var all: Set<PartitionID> = []
        var next = ids
        while let id = next.popLast() {
            if all.insert(id).inserted, let retired = base.retired[id] { next += retired.children }
        }
        return all
    }

    /// Makes a node known before it has started. It holds nothing until its agent registers.
    mutating func declare(
        _ id: NodeID, zone: ZoneName, host: String, instanceType: String
    ) throws(CatalogRejection) -> CommandPayload {
        try check(host, field: "host")
        try check(instanceType, field: "instance_type")
        guard base.nodes[id] != nil || base.nodes.count < CatalogLimits.nodes else {
            throw CatalogRejection(.limitReached, "the cluster has \(CatalogLimits.nodes) nodes")
        }
        var declared =
            node(id)
            ?? NodeDescriptor(
                id: id, store: StoreID(0), session: .none, generation: Generation(0), zone: zone,
                addresses: NodeAddresses(gossip: "", link: "", service: host), status: .healthy)
        guard declared.status != .decommissioned else {
            throw CatalogRejection(.nodeDecommissioned, "node \(id) is decommissioned", field: "node_id")
        }
        // A started agent speaks for itself.
        if declared.session == .none {
            declared.zone = zone
            declared.addresses.service = host
        }
        if !instanceType.isEmpty { declared.instanceType = instanceType }
        put(declared)
        return .version(index)
    }

    /// The node answers again, and never stopped: its session is as it was.
    /// - Throws: `nodeNotFound`, `staleSession`.
    mutating func welcomeBack(_ id: NodeID, session: SessionID) throws(CatalogRejection) -> CommandPayload {
        var node = try require(id)
        guard node.session == session, session != .none else {
            throw CatalogRejection(.staleSession, "node \(id) is in session \(node.session), not \(session)")
        }
        guard node.status == .failed || node.status == .suspected else { return .nothing }
        node.status = node.statusAlive
        put(node)
        failedAt[id] = nil
        // What it said when it registered holds: it has not started since.
        resumeWaiting(for: node) { _, replica in replica.isDamaged }
        return .nothing
    }

    /// Promotes a returned node where it is the last in-sync member, but for copies that it does not have (rule F2); of those it is written
    /// down, for the same process may return once more.
    private mutating func resumeWaiting(
        for node: NodeDescriptor, except isLost: (PartitionID, ReplicaDescriptor) -> Bool
    ) {
        for var partition in partitions(where: { $0.primary == nil && $0.status != .deleting }) {
            guard let replica = partition.replica(on: node.id), replica.role == .inSync, replica.store == node.store else {
                continue
            }
            if !isLost(partition.id, replica) {
                resume(partition, on: node.id)
            } else if !replica.isDamaged, !mutated(.forgetsDamage) {
                partition.mark(damaged: true, on: node.id)
                putRaised(partition)
            }
        }
    }

    /// Has the last in-sync member lead what waited for it.
    mutating func resume(_ partition: PartitionDescriptor, on node: NodeID) {
        var resumed = partition
        resumed.mark(damaged: false, on: node)
        resumed.primary = node
        putRaised(resumed)
    }

    /// Learners of a node whose disk was replaced are made anew on the new one. A replica that is still the last in-sync one keeps
    /// the old store's name: only that disk holds the data. What was to be cleaned is gone with the old disk.
    private mutating func adoptStore(_ store: StoreID, on id: NodeID) {
        for var partition in partitions(where: { $0.replica(on: id).map { $0.role == .learner && $0.store != store } ?? false })
        {
            for place in partition.replicas.indices where partition.replicas[place].node == id {
                partition.replicas[place].store = store
            }
            putRaised(partition)
        }
        forgetCleanups(on: id)
    }

    private mutating func forgetCleanups(on id: NodeID) {
        for operation in operations(where: { $0.cleanups.contains { $0.node == id } }) {
            for cleanup in operation.cleanups where cleanup.node == id { cleaned(operation.id, cleanup) }
        }
    }

    // MARK: - Failing

    /// Declares a node failed, once, and in the same entry gives its partitions new primaries (rule F2).
    ///
    /// Each primary that it held goes to another in-sync member, chosen from the state at apply; it leaves every in-sync set; the
    /// operations that need it end. The last member never leaves: its partition waits, without a primary, at a new epoch.
    /// - Throws: `nodeNotFound`, `staleSession` (it has started again since), `operationEnded` when it is failed already,
    ///   `notEnoughWitnesses`.
    mutating func fail(
        _ id: NodeID, session: SessionID, witnesses: [Witness], silentZones: [ZoneName]
    ) throws(CatalogRejection) -> CommandPayload {
        var node = try require(id)
        guard node.session == session && session != .none || mutated(.failsLaterLives) else {
            throw CatalogRejection(.staleSession, "node \(id) is in session \(node.session), not \(session)")
        }
        guard node.status != .failed, node.status != .decommissioned else {
            throw CatalogRejection(.nodeUnavailable, "node \(id) is \(node.status.rawValue) already")
        }
        try require(witnesses, of: id, silentZones: silentZones)
        node.isDrainWanted = node.wantsDrain
        node.status = .failed
        put(node)
        failedAt[id] = now
        leaveInSyncSets(id, because: "node \(id) failed")
        for operation in operations(where: { operation in
            guard case .dropTable = operation.kind else { return false }
            return operation.phase == .running
        }) { finishDropIfClean(operation.id) }
        return .nothing
    }

    /// Two witnesses, in two zones if live members in two can speak.
    ///
    /// When a whole zone is gone, all that were lost with a node still count as healthy, and none of them will ever be its witness. So
    /// the entry says which zones the leader found silent (see `Coordinator.silentZones`), and no witness is demanded of them: like the
    /// witnesses themselves a fact that no state can tell. A zone in which a witness stands is not silent, whatever the entry says.
    private func require(_ witnesses: [Witness], of id: NodeID, silentZones: [ZoneName]) throws(CatalogRejection) {
        let independent = Set(witnesses.map(\.id)).subtracting([id])
        guard independent.count >= (mutated(.believesOneWitness) ? 1 : 2) else {
            throw CatalogRejection(.notEnoughWitnesses, "\(independent.count) of 2 witnesses found node \(id) dead")
        }
        let zones = Set(witnesses.filter { $0.id != id }.map(\.zone))
        let liveZones = Set(allNodes.filter { $0.id != id && $0.status == .healthy && $0.session != .none }.map(\.zone))
            .subtracting(Set(silentZones).subtracting(zones))
        guard zones.count >= 2 || liveZones.count < 2 else {
            throw CatalogRejection(.notEnoughWitnesses, "all witnesses of node \(id)'s death stand in one zone")
        }
    }

    /// Takes a node out of the in-sync sets, of these partitions or of all, and of every operation on them that needs it; promotes
    /// others in its place.
    private mutating func leaveInSyncSets(_ id: NodeID, of some: Set<PartitionID>? = nil, because cause: String) {
        var promotion = Promotion(self)
        for partition in partitions(where: { $0.replica(on: id) != nil && some?.contains($0.id) ?? true }) {
            leave(partition.id, node: id, isGone: true, promotion: &promotion, because: cause)
        }
        for table in Set(base.tables.values.filter { $0.status == .creating }.map(\.id)).sorted() { activateIfComplete(table) }
    }

    /// Takes a node out of a partition's in-sync set, and of the operation on it if that needs the node; promotes another if it led.
    ///
    /// - Parameter isGone: the node is dead or came back without its data; otherwise it stays a learner, which a move away from it
    ///   goes on without.
    mutating func leave(
        _ id: PartitionID, node: NodeID, isGone: Bool, promotion: inout Promotion, because cause: String
    ) {
        guard let found = partition(id), found.replica(on: node) != nil, found.status != .deleting else { return }
        let others = found.inSync.filter { $0 != node }
        if found.inSync.contains(node), others.isEmpty, !mutated(.losesLastMember) {
            waitForLast(node, of: found, because: cause)
            return
        }
        if found.inSync.contains(node) {
            demote(node, in: found)
            noLongerAwait(node, of: id)
        }
        if isGone {
            endOperation(on: id, lostNode: node, because: cause)
        } else {
            endOperation(on: id, harmedBy: node, because: cause)
        }
        // Asked after the operation has ended: the target of an ended move is no candidate.
        if var changed = partition(id), changed.primary == nil,
            let heir = promotion.choose(among: mutated(.promotesAnybody) ? changed.replicas.map(\.node) : heirs(of: changed))
        {
            changed.primary = heir
            putRaised(changed)
        }
    }

    /// In-sync members of which is known that they have what they acknowledged. A last one is there, and yet awaited, while its node has
    /// another disk, or has said that the copy is damaged.
    private func heirs(of partition: PartitionDescriptor) -> [NodeID] {
        partition.replicas.filter { $0.role == .inSync && !$0.isDamaged && node($0.node)?.store == $0.store }.map(\.node)
    }

    /// The last in-sync member stays one, but serves nobody until it returns.
    private mutating func waitForLast(_ node: NodeID, of partition: PartitionDescriptor, because cause: String) {
        if let operation = partition.operation.flatMap({ operation($0) }) { abort(operation, because: cause) }
        guard var waiting = self.partition(partition.id) else { return }
        waiting.primary = nil
        putRaised(waiting)
    }

    /// An operation that names a lost node ends, with one exception: a move whose target is in sync does without its source.
    private mutating func endOperation(on id: PartitionID, lostNode node: NodeID, because cause: String) {
        guard let partition = partition(id), let operation = partition.operation.flatMap({ operation($0) }) else { return }
        switch operation.kind {
        case .move(_, _, let target) where target == node: abort(operation, because: cause)
        case .move(_, let source, let target) where source == node:
            if operation.step == .handOver, partition.inSync.contains(target) {
                dropSource(node, of: partition, in: operation)
            } else {
                abort(operation, because: cause)
            }
        case .split, .merge, .transferPrimary: abort(operation, because: cause)
        case .move, .createTable, .dropTable, .removeOrphan: break
        }
    }

    // MARK: - Leaving

    /// No new replica goes to the node; planners move away what it has. It is the same for a node that is failed: what it has is made
    /// anew elsewhere without delay, and should it return, it is drained.
    mutating func drain(_ id: NodeID) throws(CatalogRejection) -> CommandPayload {
        var node = try require(id, field: "node_id")
        guard node.status != .decommissioned else {
            throw CatalogRejection(.nodeDecommissioned, "node \(id) is decommissioned", field: "node_id")
        }
        node.isDrainWanted = true
        if node.status != .failed { node.status = .draining }
        put(node)
        return .version(index)
    }

    /// The node is as any other again, whether it was drained for a while or to be taken out. What has left it does not come back by this, and
    /// what is under way goes on to its end. One that is failed returns healthy.
    ///
    /// Twice is once: a node that nobody drains stays as it is.
    /// - Throws: `nodeNotFound`, `nodeDecommissioned`.
    mutating func undrain(_ id: NodeID) throws(CatalogRejection) -> CommandPayload {
        var node = try require(id, field: "node_id")
        guard node.status != .decommissioned else {
            throw CatalogRejection(.nodeDecommissioned, "node \(id) is decommissioned", field: "node_id")
        }
        node.isDrainWanted = false
        if node.status == .draining { node.status = .healthy }
        put(node)
        return .version(index)
    }

    /// The node is gone for good: its learners and what it had to clean are forgotten.
    /// - Throws: `nodeHoldsReplicas` while any of its replicas counts, or an operation names it.
    mutating func decommission(_ id: NodeID) throws(CatalogRejection) -> CommandPayload {
        var node = try require(id, field: "node_id")
        let holds = partitions { $0.replica(on: id) != nil && $0.status != .deleting }
        if let first = holds.first(where: { $0.inSync.contains(id) || $0.operation != nil }) {
            throw CatalogRejection(
                .nodeHoldsReplicas, "node \(id) holds \(holds.count) replicas, partition \(first.id)'s among them",
                field: "node_id")
        }
        for var partition in holds {
            partition.replicas.removeAll { $0.node == id }
            putRaised(partition)
        }
        node.status = .decommissioned
        node.isDrainWanted = false
        put(node)
        failedAt[id] = nil
        forgetCleanups(on: id)
        return .version(index)
    }
}

extension PartitionDescriptor {
    fileprivate mutating func mark(damaged isDamaged: Bool, on node: NodeID) {
        for place in replicas.indices where replicas[place].node == node { replicas[place].isDamaged = isDamaged }
    }
}

extension NodeDescriptor {
    /// What it is when it answers.
    fileprivate var statusAlive: NodeStatus { isDrainWanted ? .draining : .healthy }
}
