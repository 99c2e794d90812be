package import Model

extension Transaction {
    // MARK: - Beginnings

    /// Adds a learner on the target and records the move (rules M1, M2).
    ///
    /// The cleanup of the target stands in the same entry, before there is anything to clean.
    /// - Throws: `staleEpoch`, `stalePlan`, `partitionBusy`, `alreadyReplica`, `notAReplica`, `nodeUnavailable`, `cleanupPending`.
    mutating func beginMove(_ plan: MovePlan) throws(CatalogRejection) -> CommandPayload {
        var partition = try requireIdle(plan.partition, expecting: plan.epoch)
        let target = try requireEligible(plan.target, field: "target")
        guard partition.replica(on: target.id) == nil else {
            throw CatalogRejection(.alreadyReplica, "node \(target.id) holds a replica of it", field: "target")
        }
        if let source = plan.source, partition.replica(on: source) == nil {
            throw CatalogRejection(.notAReplica, "node \(source) holds no replica of it", field: "source")
        }
        guard partition.replicas.count < Limits.replicationFactor + 1 else {
            throw CatalogRejection(.limitReached, "partition \(partition.id) has \(partition.replicas.count) replicas")
        }
        let leftovers = operations { operation in
            operation.cleanups.contains { $0.node == target.id && $0.partition == partition.id }
        }
        if let leftover = leftovers.first {
            throw CatalogRejection(
                .cleanupPending, "operation \(leftover.id) still removes an earlier copy from \(target.id)", field: "target")
        }
        let storage = StorageID(madeBy: operationID)
        partition.replicas.append(
            ReplicaDescriptor(node: target.id, store: target.store, storage: storage, role: .learner))
        partition.operation = operationID
        let epoch = putRaised(partition)
        put(
            OperationDescriptor(
                id: operationID, kind: .move(partition: partition.id, source: plan.source, target: target.id), step: .copy,
                epoch: epoch, cleanups: [Cleanup(node: target.id, storage: storage, partition: partition.id)],
                createdBy: actor, reason: reason, createdAt: now))
        return .operation(operationID)
    }

    /// Records a split, which its primary then fences (rule M2). The epoch stays: nothing has changed hands yet.
    /// - Throws: `staleEpoch`, `partitionBusy`, `learnersPresent`, `notEnoughInSync`, `splitKeyOutside`.
    mutating func beginSplit(_ id: PartitionID, at key: Key, expecting epoch: Epoch) throws(CatalogRejection) -> CommandPayload
    {
        var partition = try requireIdle(id, expecting: epoch)
        guard key.bytes.count <= Limits.keyBytes, partition.range.split(at: key) != nil else {
            throw CatalogRejection(.splitKeyOutside, "the key is not strictly inside \(partition.range)", field: "split_key")
        }
        guard partition.primary != nil else {
            throw CatalogRejection(.notEnoughInSync, "partition \(id) has no primary")
        }
        guard partition.learners.isEmpty else {
            let learners = partition.learners.map(\.name).joined(separator: ", ")
            throw CatalogRejection(.learnersPresent, "partition \(id) has learners: \(learners)")
        }
        guard base.partitions.count < CatalogLimits.partitions else {
            throw CatalogRejection(.limitReached, "the cluster holds \(CatalogLimits.partitions) partitions")
        }
        partition.operation = operationID
        put(partition)
        put(
            OperationDescriptor(
                id: operationID,
                kind: .split(
                    partition: id, at: key, lower: PartitionID(madeAt: index, ordinal: 0),
                    upper: PartitionID(madeAt: index, ordinal: 1)), step: .fence, epoch: partition.epoch, createdBy: actor,
                reason: reason, createdAt: now))
        return .operation(operationID)
    }

    /// Records a hand-over of the primary role to another member of the in-sync set.
    /// - Throws: `staleEpoch`, `stalePlan`, `partitionBusy`, `notInSync`, `alreadyPrimary`, `nodeUnavailable`.
    mutating func beginTransfer(
        _ id: PartitionID, to target: NodeID, session: SessionID, expecting epoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        var partition = try requireIdle(id, expecting: epoch)
        try requireEligible(NodeSession(node: target, session: session), field: "target")
        guard partition.primary != target else {
            throw CatalogRejection(.alreadyPrimary, "node \(target) is the primary already", field: "target")
        }
        guard partition.primary != nil, partition.inSync.contains(target) else {
            throw CatalogRejection(.notInSync, "node \(target) is not in sync for partition \(id)", field: "target")
        }
        partition.operation = operationID
        put(partition)
        put(
            OperationDescriptor(
                id: operationID, kind: .transferPrimary(partition: id, target: target), step: .fence, epoch: partition.epoch,
                createdBy: actor, reason: reason, createdAt: now))
        return .operation(operationID)
    }

    // MARK: - Ends

    /// Ends an operation before its switch (rules M3, M4).
    /// - Throws: `operationNotFound`, `operationEnded`, `pastSwitch`, `wrongOperation` for creations and drops.
    mutating func abortOperation(_ id: OperationID, reason: String) throws(CatalogRejection) -> CommandPayload {
        try check(reason, field: "reason")
        try abortBeforeSwitch(try require(id), because: reason)
        return .operation(id)
    }

    mutating func abortBeforeSwitch(_ operation: OperationDescriptor, because cause: String) throws(CatalogRejection) {
        guard operation.phase == .running else {
            throw CatalogRejection(.operationEnded, "operation \(operation.id) has \(operation.phase.rawValue)")
        }
        guard let id = operation.kind.partition else {
            throw CatalogRejection(.wrongOperation, "a \(operation.kind.name) cannot be cancelled")
        }
        guard let partition = partition(id), partition.operation == operation.id else {
            throw CatalogRejection(.pastSwitch, "operation \(operation.id) has changed partition \(id) already")
        }
        if case .move(_, _, let target) = operation.kind, partition.primary == target {
            throw CatalogRejection(.pastSwitch, "node \(target) is the primary of partition \(id) already")
        }
        abort(operation, because: cause)
    }

    /// Undoes an operation on a partition: a move's target leaves the descriptor, the epoch rises, the cleanups stay until they are
    /// done. The caller has made sure that undoing is possible.
    mutating func abort(_ operation: OperationDescriptor, because cause: String) {
        guard operation.phase == .running else { return }
        var ended = operation
        if let id = operation.kind.partition, var partition = partition(id), partition.operation == operation.id {
            if case .move(_, _, let target) = operation.kind, let replica = partition.replica(on: target),
                partition.primary != target, partition.inSync != [target]
            {
                partition.replicas.removeAll { $0.node == target }
                let cleanup = Cleanup(node: target, storage: replica.storage, partition: id)
                if !ended.cleanups.contains(cleanup) { ended.cleanups.append(cleanup) }
            }
            partition.operation = nil
            ended.epoch = putRaised(partition)
        }
        end(ended, as: .aborted, because: cause)
    }

    mutating func end(_ operation: OperationDescriptor, as phase: OperationPhase, because failure: String? = nil) {
        var ended = operation
        ended.phase = phase
        ended.step = .done
        ended.endedAt = now
        ended.failure = failure.map { String($0.prefix(CatalogLimits.textBytes)) }
        put(ended)
    }

    /// Takes a cleanup off its operation's list; the last one ends what waited for it.
    mutating func cleaned(_ id: OperationID, _ cleanup: Cleanup) {
        guard var operation = operation(id), operation.cleanups.contains(cleanup) else { return }
        operation.cleanups.removeAll { $0 == cleanup }
        put(operation)
        guard operation.phase == .running else { return }
        switch operation.kind {
        case .dropTable: finishDropIfClean(id)
        case .move where operation.step == .dropSource && operation.cleanups.isEmpty: end(operation, as: .succeeded)
        case .createTable, .move, .split, .transferPrimary: break
        }
    }
}

extension StorageID {
    /// The storage that a move makes at its target. The last ordinal of the operation's index: no partition has it.
    package init(madeBy operation: OperationID) {
        self.init(PartitionID(madeAt: operation.number, ordinal: 65_535).number)
    }
}
