import Model

extension Transaction {
    /// What an agent asks for one of its partitions.
    ///
    /// Compare-and-set on the partition's epoch and on the agent's session: what was decided from old state, or by a process that has
    /// been replaced, changes nothing.
    /// - Throws: `staleSession`, `staleEpoch`, and what the single proposals name. The catalog is unchanged after any of them.
    /// - Source: PROTOCOLS E1, E6, R3 to R5, M1 to M6.
    mutating func consider(
        _ proposal: PartitionProposal, from node: NodeID, session: SessionID
    ) throws(CatalogRejection) -> CommandPayload {
        let proposer = try require(node)
        guard proposer.session == session && session != .none || mutated(.ignoresSessions) else {
            throw CatalogRejection(.staleSession, "node \(node) is in session \(proposer.session), not \(session)")
        }
        switch proposal {
        case .replicaReady(let id, let epoch): return try replicaReady(id, on: node, expecting: epoch)
        case .evict(let id, let member, let epoch): return try evict(member, from: id, by: node, expecting: epoch)
        case .joinInSync(let id, let member, let store, let epoch):
            return try join(member, store: store, to: id, by: node, expecting: epoch)
        case .switchPrimary(let id, let target, let store, let operation, let epoch):
            return try switchPrimary(of: id, to: target, store: store, in: operation, by: node, expecting: epoch)
        case .removeReplica(let id, let member, let operation, let epoch):
            return try removeReplica(on: member, of: id, in: operation, by: node, expecting: epoch)
        case .commitSplit(let id, let operation, let position, let checksum, let inSync, let epoch):
            return try commitSplit(
                of: id, in: operation, at: position, checksum: checksum, inSync: inSync, by: node, expecting: epoch)
        case .commitMerge(let operation, let left, let right, let inSync):
            return try commitMerge(in: operation, left, right, inSync: inSync, by: node)
        case .abort(let operation, let id, let reason, let epoch):
            return try abort(operation, on: id, because: reason, by: node, expecting: epoch)
        case .cleaned(let operation, let cleanup):
            guard cleanup.node == node else {
                throw CatalogRejection(.notAReplica, "node \(node) speaks for \(cleanup.node)")
            }
            cleaned(operation, cleanup)
            return .nothing
        case .requestSplit(let id, let key, let epoch):
            _ = try requireOwn(id, primary: node, expecting: epoch)
            return try beginSplit(id, at: key, expecting: epoch)
        }
    }

    /// The partition at the epoch seen, if the proposer is its primary.
    private func requireOwn(_ id: PartitionID, primary node: NodeID, expecting epoch: Epoch) throws(CatalogRejection)
        -> PartitionDescriptor
    {
        let partition = try require(id, expecting: epoch)
        guard partition.primary == node else {
            throw CatalogRejection(
                .notPrimary, "the primary of partition \(id) is \(partition.primary?.name ?? "nobody"), not \(node)")
        }
        guard partition.status != .deleting else {
            throw CatalogRejection(.tableNotActive, "partition \(id) is being dropped")
        }
        return partition
    }

    /// Makes a member that does not answer a learner, so that writes go on without it (rule R3).
    ///
    /// It keeps its place in the descriptor and catches up from the log. Splits, merges and transfers that counted on it end. A member whose
    /// copy is damaged, or whose engine is stuck, leaves the set itself, and where it led another is promoted (rule F6). Leaving out a learner changes nothing
    /// but the epoch: what settles a join that its primary has proposed and cannot wait for, or that counts on a copy that the learner itself
    /// has found damaged (rule R4).
    /// - Throws: `notPrimary`, `notInSync`, `lastReplica`.
    private mutating func evict(
        _ member: NodeID, from id: PartitionID, by node: NodeID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        let partition = try require(id, expecting: epoch)
        if member != node { _ = try requireOwn(id, primary: node, expecting: epoch) }
        guard partition.inSync.contains(member) else {
            guard partition.learners.contains(member) else {
                throw CatalogRejection(.notInSync, "node \(member) is not in sync for partition \(id)")
            }
            putRaised(partition)
            return .nothing
        }
        guard member != node else {
            guard partition.status != .deleting else {
                throw CatalogRejection(.tableNotActive, "partition \(id) is being dropped")
            }
            guard partition.inSync.count > 1 else {
                throw CatalogRejection(.lastReplica, "node \(member) has the last copy of partition \(id)")
            }
            var promotion = Promotion(self)
            leave(
                id, node: member, isGone: false, promotion: &promotion,
                because: "the engine of node \(member) does not serve it")
            activateIfComplete(partition.table)
            return .nothing
        }
        demote(member, in: partition)
        endOperation(on: id, harmedBy: member, because: "node \(member) left the in-sync set")
        if partition.status == .creating {
            noLongerAwait(member, of: id)
            activateIfComplete(partition.table)
        }
        return .nothing
    }

    /// Turns an in-sync replica into a learner.
    mutating func demote(_ member: NodeID, in partition: PartitionDescriptor) {
        var changed = partition
        for place in changed.replicas.indices where changed.replicas[place].node == member {
            changed.replicas[place].role = .learner
        }
        if changed.primary == member, !mutated(.leavesPrimary) { changed.primary = nil }
        if mutated(.keepsEpoch) { put(changed) } else { putRaised(changed) }
    }

    /// Ends the operation on a partition when it cannot go on without `member`, which has just left the in-sync set.
    ///
    /// A move does not need its source's data: without it, it goes on. A split, a merge and a transfer were fenced with one in-sync set and
    /// may not be switched with another.
    mutating func endOperation(on id: PartitionID, harmedBy member: NodeID, because cause: String) {
        guard let partition = partition(id), let operation = partition.operation.flatMap({ operation($0) }) else { return }
        switch operation.kind {
        case .move(_, _, let target) where target == member: abort(operation, because: cause)
        case .split, .merge, .transferPrimary: abort(operation, because: cause)
        case .move, .createTable, .dropTable, .removeOrphan: break
        }
    }

    /// Takes a learner that holds everything into the in-sync set (rule R4), and its move one step on.
    ///
    /// A repair's copy comes in only while a member is missed. Whoever makes the set whole before it ends the repair, in the same entry: of two
    /// copies that are in sync nobody would ever take the one too many away. So the leader's own look at repairs that nobody needs may come
    /// late, or not at all.
    /// - Throws: `notPrimary`, `notAReplica`, `storeMismatch`, `nodeUnavailable`.
    private mutating func join(
        _ member: NodeID, store: StoreID, to id: PartitionID, by node: NodeID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        var partition = try requireOwn(id, primary: node, expecting: epoch)
        guard let place = partition.replicas.firstIndex(where: { $0.node == member && $0.role == .learner }) else {
            throw CatalogRejection(.notAReplica, "node \(member) is no learner of partition \(id)")
        }
        guard partition.replicas[place].store == store, self.node(member)?.store == store else {
            throw CatalogRejection(.storeMismatch, "node \(member) joins with store \(store), which is not its own")
        }
        switch self.node(member)?.status {
        case .healthy, .suspected, .draining: break
        case .failed, .decommissioned, nil:
            throw CatalogRejection(.nodeUnavailable, "node \(member) is failed")
        }
        let underWay = partition.operation.flatMap { operation($0) }
        if let repair = underWay, repair.brings(member), isNeedless(repair, for: partition) {
            abort(repair, because: "the partition has all its copies without the one on node \(member)")
            return .nothing
        }
        partition.replicas[place].role = .inSync
        let joined = putRaised(partition)
        guard var operation = underWay, case .move(_, let source, member) = operation.kind, operation.step == .copy else {
            if let repair = underWay, isNeedless(repair, for: partition) {
                abort(repair, because: "node \(member) is in sync again, and the partition has all its copies")
            }
            return .nothing
        }
        // The copy is wanted now: what was recorded for its removal is settled.
        operation.cleanups.removeAll { $0.node == member && $0.partition == id }
        operation.epoch = joined
        if source == nil {
            partition.operation = nil
            operation.cleanups += dropSurplus(of: &partition)
            putRaised(partition)
            end(operation, as: .succeeded)
        } else {
            operation.step = .handOver
            put(operation)
        }
        return .nothing
    }

    /// Whether the members beside the copy that a repair makes are as many as the table asks for.
    private func isNeedless(_ operation: OperationDescriptor, for partition: PartitionDescriptor) -> Bool {
        guard case .move(_, nil, let target) = operation.kind, operation.step == .copy,
            let wanted = table(partition.table)?.replicationFactor
        else { return false }
        return partition.replicas.count { $0.role == .inSync && $0.node != target } >= wanted
    }

    /// After a repair: learners leave while there are more replicas than the table asks for, those on failed nodes first. One on a node
    /// that has just come back goes too: its place is taken, and nobody would ever take the copy too many away. Their data is recorded
    /// for removal.
    private func dropSurplus(of partition: inout PartitionDescriptor) -> [Cleanup] {
        guard let wanted = table(partition.table)?.replicationFactor else { return [] }
        let learners = partition.replicas.filter { $0.role == .learner }
        var cleanups: [Cleanup] = []
        for replica in learners.filter({ isGone($0.node) }) + learners.filter({ !isGone($0.node) }) {
            guard partition.replicas.count > wanted else { break }
            partition.replicas.removeAll { $0.node == replica.node }
            cleanups.append(Cleanup(node: replica.node, storage: replica.storage, partition: partition.id))
        }
        return cleanups
    }

    private func isGone(_ node: NodeID) -> Bool {
        switch self.node(node)?.status {
        case .failed, .decommissioned, nil: true
        case .healthy, .suspected, .draining: false
        }
    }

    /// The fenced primary gives its role away: the point of no return of a move or transfer (rules M2, M5). It stays in sync.
    /// - Throws: `notPrimary`, `wrongOperation`, `notInSync`, `storeMismatch`.
    private mutating func switchPrimary(
        of id: PartitionID, to target: NodeID, store: StoreID, in operationID: OperationID, by node: NodeID,
        expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        var partition = try requireOwn(id, primary: node, expecting: epoch)
        var operation = try requireRunning(operationID, on: partition)
        guard let replica = partition.replica(on: target), replica.role == .inSync else {
            throw CatalogRejection(.notInSync, "node \(target) is not in sync for partition \(id)")
        }
        guard replica.store == store, self.node(target)?.store == store else {
            throw CatalogRejection(.storeMismatch, "node \(target) was ready with store \(store), which is not its own")
        }
        switch operation.kind {
        case .transferPrimary(_, target):
            partition.primary = target
            partition.operation = nil
            operation.epoch = putRaised(partition)
            end(operation, as: .succeeded)
        case .move(_, _, target) where operation.step == .handOver:
            partition.primary = target
            operation.epoch = putRaised(partition)
            put(operation)
        case .createTable, .dropTable, .move, .split, .merge, .transferPrimary, .removeOrphan:
            throw CatalogRejection(.wrongOperation, "operation \(operationID) does not make \(target) the primary")
        }
        return .nothing
    }

    /// A move's source leaves the descriptor; its data is recorded for removal.
    /// - Throws: `notPrimary`, `wrongOperation`, `notInSync` when the target has left the in-sync set.
    private mutating func removeReplica(
        on member: NodeID, of id: PartitionID, in operationID: OperationID, by node: NodeID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        let partition = try requireOwn(id, primary: node, expecting: epoch)
        let operation = try requireRunning(operationID, on: partition)
        guard case .move(_, .some(member), let target) = operation.kind, operation.step == .handOver,
            member != node || mutated(.dropsBeforeSwitch)
        else {
            throw CatalogRejection(.wrongOperation, "operation \(operationID) does not take the replica from \(member)")
        }
        guard partition.inSync.contains(target) else {
            throw CatalogRejection(.notInSync, "node \(target) is not in sync for partition \(id)")
        }
        dropSource(member, of: partition, in: operation)
        return .nothing
    }

    /// - Precondition: `source` is not the primary, and another member is in sync.
    mutating func dropSource(_ source: NodeID, of partition: PartitionDescriptor, in operation: OperationDescriptor) {
        var changed = partition
        var next = operation
        if let replica = changed.replica(on: source), !mutated(.recordsNoCleanup) {
            next.cleanups.append(Cleanup(node: source, storage: replica.storage, partition: partition.id))
        }
        changed.replicas.removeAll { $0.node == source }
        changed.operation = nil
        next.epoch = putRaised(changed)
        next.step = .dropSource
        next.pause = nil
        put(next)
        if next.cleanups.isEmpty { end(next, as: .succeeded) }
    }

    /// Replaces a partition by its two halves, in one entry (rules M2, M8).
    ///
    /// Guards on the epoch and on the in-sync set that reported the split record: only where all of it holds the record may the
    /// children start there.
    /// - Throws: `notPrimary`, `wrongOperation`, `notInSync`, `learnersPresent`.
    private mutating func commitSplit(
        of id: PartitionID, in operationID: OperationID, at position: Position, checksum: UInt32, inSync: [NodeID],
        by node: NodeID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        let partition = try requireOwn(id, primary: node, expecting: epoch)
        var operation = try requireRunning(operationID, on: partition)
        guard case .split(_, let key, let lower, let upper) = operation.kind else {
            throw CatalogRejection(.wrongOperation, "operation \(operationID) is no split")
        }
        guard inSync.sorted() == partition.inSync || mutated(.splitsWithoutRecord) else {
            throw CatalogRejection(.notInSync, "the split record was held by another in-sync set")
        }
        guard partition.learners.isEmpty else {
            throw CatalogRejection(.learnersPresent, "partition \(id) has learners")
        }
        guard let halves = partition.range.split(at: key) else {
            throw CatalogRejection(.splitKeyOutside, "the key is not strictly inside \(partition.range)")
        }
        let next = partition.epoch.next
        let upperRange = mutated(.losesKeys) ? KeyRange(low: Key(key.bytes + [0]), high: halves.upper.high) : halves.upper
        for (child, range) in [(lower, halves.lower), (upper, upperRange)] {
            put(
                PartitionDescriptor(
                    id: child, table: partition.table, range: range, epoch: next, primary: partition.primary,
                    replicas: partition.replicas, status: .active, origin: position, originChecksum: checksum))
        }
        retire(partition, epoch: next, children: [lower, upper])
        operation.epoch = next
        end(operation, as: .succeeded)
        return .nothing
    }

    /// Replaces two neighbours by one partition that holds the keys of both, in one entry (rules M2, M8).
    ///
    /// Guards on both epochs and on the one in-sync set that holds both merge records. Of epoch, run and sequence the new partition's
    /// origin has the greater of the two ends: so whatever is ordered in it stands behind all that either of them acknowledged.
    /// - Throws: `notPrimary`, `wrongOperation`, `notInSync`, and as `beginMerge`.
    private mutating func commitMerge(
        in operationID: OperationID, _ leftEnd: PartitionEnd, _ rightEnd: PartitionEnd, inSync: [NodeID], by node: NodeID
    ) throws(CatalogRejection) -> CommandPayload {
        let left = try requireOwn(leftEnd.partition, primary: node, expecting: leftEnd.expecting)
        let right = try requireOwn(rightEnd.partition, primary: node, expecting: rightEnd.expecting)
        var operation = try requireRunning(operationID, on: left)
        guard case .merge(left.id, right.id, let merged) = operation.kind, right.operation == operationID else {
            throw CatalogRejection(.wrongOperation, "operation \(operationID) does not merge \(left.id) and \(right.id)")
        }
        if let obstacle = MergeObstacle(left: left, right: right) { throw CatalogRejection(obstacle) }
        guard inSync.sorted() == left.inSync || mutated(.mergesWithoutRecords) else {
            throw CatalogRejection(.notInSync, "the merge records were held by another in-sync set")
        }
        let (one, other) = (leftEnd.at, rightEnd.at)
        let last = mutated(.startsAtLeftEnd) ? one : other
        let origin = Position(
            epoch: max(one.epoch, last.epoch), run: max(one.run, last.run), sequence: max(one.sequence, last.sequence))
        guard origin.epoch <= max(left.epoch, right.epoch) else {
            throw CatalogRejection(.staleEpoch, "the merge records stand at \(one) and \(other), in epochs to come")
        }
        let next = max(left.epoch, right.epoch).next
        put(
            PartitionDescriptor(
                id: merged, table: left.table, range: KeyRange(low: left.range.low, high: right.range.high), epoch: next,
                primary: left.primary, replicas: left.replicas, status: .active, origin: origin,
                originChecksum: leftEnd.checksum ^ (rightEnd.checksum << 1 | rightEnd.checksum >> 31),
                parents: [
                    MergedPartition(partition: left.id, end: one), MergedPartition(partition: right.id, end: other),
                ]))
        retire(left, epoch: left.epoch.next, children: [merged])
        retire(right, epoch: right.epoch.next, children: [merged])
        operation.epoch = next
        end(operation, as: .succeeded)
        return .nothing
    }

    /// The primary, whose fence it may be, or a move's target ends an operation before its switch (rule M4).
    private mutating func abort(
        _ operationID: OperationID, on id: PartitionID, because reason: String, by node: NodeID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        try check(reason, field: "reason")
        let operation = try require(operationID)
        guard operation.phase == .running else {
            throw CatalogRejection(.operationEnded, "operation \(operationID) has \(operation.phase.rawValue)")
        }
        let partition = try require(id, expecting: epoch)
        guard operation.kind.partitions.contains(id) else {
            throw CatalogRejection(.wrongOperation, "operation \(operationID) is not on partition \(id)")
        }
        var isTarget = false
        if case .move(_, _, node) = operation.kind { isTarget = true }
        guard partition.primary == node || isTarget else {
            throw CatalogRejection(.notPrimary, "node \(node) does not drive operation \(operationID)")
        }
        try abortBeforeSwitch(operation, because: reason)
        return .nothing
    }

    private func requireRunning(_ id: OperationID, on partition: PartitionDescriptor) throws(CatalogRejection)
        -> OperationDescriptor
    {
        let operation = try require(id)
        guard operation.phase == .running else {
            throw CatalogRejection(.operationEnded, "operation \(id) has \(operation.phase.rawValue)")
        }
        guard partition.operation == id else {
            throw CatalogRejection(.wrongOperation, "operation \(id) is not under way on partition \(partition.id)")
        }
        return operation
    }
}
