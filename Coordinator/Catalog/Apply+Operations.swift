package import Model

extension Transaction {
    // MARK: - Beginnings

    /// Adds a learner on the target and records the move (rules M1, M2).
    ///
    /// The cleanup of the target stands in the same entry, before there is anything to clean.
    /// - Throws: `staleEpoch`, `stalePlan`, `partitionBusy`, `alreadyReplica`, `notAReplica`, `nodeUnavailable`, `nodeBusy`,
    ///   `cleanupPending`.
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
        try requireRoom(on: target, field: "target")
        if let source = plan.source.flatMap({ node($0) }) { try requireRoom(on: source, field: "source") }
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

    /// Planners look at the limit too; but plans that are made at the same time, by several members, do not know of each other.
    private func requireRoom(on node: NodeDescriptor, field: String) throws(CatalogRejection) {
        let limit =
            base.configured(ConfigurationRules.operationsPerNode, at: node) ?? ConfigurationRules.operationsPerNode.standard
        let occupying = operations { $0.occupiedNodes.contains(node.id) }
        guard occupying.count < limit else {
            let names = occupying.map(\.id.description).joined(separator: ", ")
            throw CatalogRejection(.nodeBusy, "node \(node.id) takes part in operations \(names) already", field: field)
        }
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

    /// Records a merge of two neighbours, whose primary then fences both (rule M2). The epochs stay: nothing has changed hands yet.
    /// - Throws: `staleEpoch`, `partitionBusy`, `notNeighbours`, `learnersPresent`, `replicasDiffer`, `storagesDiffer`,
    ///   `primariesDiffer`.
    mutating func beginMerge(
        _ leftID: PartitionID, expecting leftEpoch: Epoch, with rightID: PartitionID, expecting rightEpoch: Epoch
    ) throws(CatalogRejection) -> CommandPayload {
        var left = try requireIdle(leftID, expecting: leftEpoch)
        var right = try requireIdle(rightID, expecting: rightEpoch)
        if let obstacle = MergeObstacle(left: left, right: right) { throw CatalogRejection(obstacle) }
        left.operation = operationID
        right.operation = operationID
        put(left)
        put(right)
        put(
            OperationDescriptor(
                id: operationID,
                kind: .merge(left: leftID, right: rightID, into: PartitionID(madeAt: index, ordinal: 0)), step: .fence,
                epoch: max(left.epoch, right.epoch), createdBy: actor, reason: reason, createdAt: now))
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

    // MARK: - Pauses

    /// Lets an operation stand still at its step. The epoch stays: nothing changes hands.
    ///
    /// What its primary had proposed before it learned of this is still taken, and a fence that stands ends with the switch or the
    /// abort, at once as ever: a pause that held writers up would be no pause. So it counts from the next step on. Paused twice is
    /// paused.
    /// - Throws: `operationNotFound`, `operationEnded`, `pastSwitch` when only its data is still to be removed, `wrongOperation` for
    ///   creations and drops.
    mutating func pauseOperation(_ id: OperationID) throws(CatalogRejection) -> CommandPayload {
        var operation = try requireSteerable(id, to: "paused")
        guard operation.pause == nil else { return .operation(id) }
        operation.pause = OperationPause(by: actor, at: now)
        put(operation)
        return .operation(id)
    }

    /// Lets an operation go on from the step at which it was paused. One that is not paused goes on as it does.
    /// - Throws: as `pauseOperation`.
    mutating func resumeOperation(_ id: OperationID) throws(CatalogRejection) -> CommandPayload {
        var operation = try requireSteerable(id, to: "resumed")
        operation.pause = nil
        put(operation)
        return .operation(id)
    }

    private func requireSteerable(_ id: OperationID, to participle: String) throws(CatalogRejection) -> OperationDescriptor {
        let operation = try require(id)
        guard operation.phase == .running else {
            throw CatalogRejection(.operationEnded, "operation \(id) has \(operation.phase.rawValue)")
        }
        guard let partition = operation.kind.partition else {
            throw CatalogRejection(
                .wrongOperation,
                "operation \(id) is a \(operation.kind.name): moves, repairs, splits, merges and transfers can be \(participle)"
            )
        }
        guard self.partition(partition)?.operation == id else {
            throw CatalogRejection(
                .pastSwitch,
                "operation \(id) has changed partition \(partition) already, and stands at \(operation.step.rawValue)")
        }
        return operation
    }

    // MARK: - Ends

    /// Ends an operation before its switch (rules M3, M4). One that was ended so before is left as it is: the wish has come true.
    /// - Throws: `operationNotFound`, `operationEnded` when it has succeeded, `pastSwitch`, `wrongOperation` for creations and drops.
    mutating func abortOperation(_ id: OperationID, reason: String) throws(CatalogRejection) -> CommandPayload {
        try check(reason, field: "reason")
        let operation = try require(id)
        if operation.phase != .aborted { try abortBeforeSwitch(operation, because: reason) }
        return .operation(id)
    }

    mutating func abortBeforeSwitch(_ operation: OperationDescriptor, because cause: String) throws(CatalogRejection) {
        guard operation.phase == .running else {
            throw CatalogRejection(.operationEnded, "operation \(operation.id) has \(operation.phase.rawValue)")
        }
        guard let id = operation.kind.partition else {
            throw CatalogRejection(
                .wrongOperation,
                "operation \(operation.id) is a \(operation.kind.name): moves, repairs, splits, merges and transfers can be cancelled"
            )
        }
        guard let partition = partition(id), partition.operation == operation.id else {
            throw CatalogRejection(
                .pastSwitch,
                "operation \(operation.id) has changed partition \(id) already, and stands at \(operation.step.rawValue)")
        }
        if case .move(_, _, let target) = operation.kind, partition.primary == target {
            throw CatalogRejection(
                .pastSwitch,
                "operation \(operation.id) has made node \(target) the primary of partition \(id) already, and stands at "
                    + operation.step.rawValue + (operation.pause == nil ? "" : ", paused: resume it"))
        }
        abort(operation, because: cause)
    }

    /// Undoes an operation on a partition, or on two: a move's target leaves the descriptor, the epoch rises, the cleanups stay until they
    /// are done. The caller has made sure that undoing is possible.
    mutating func abort(_ operation: OperationDescriptor, because cause: String) {
        guard operation.phase == .running else { return }
        var ended = operation
        for id in operation.kind.partitions.prefix(mutated(.undoesLeftHalf) ? 1 : .max) {
            guard var partition = partition(id), partition.operation == operation.id else { continue }
            if case .move(_, _, let target) = operation.kind, let replica = partition.replica(on: target),
                partition.primary != target, partition.inSync != [target]
            {
                partition.replicas.removeAll { $0.node == target }
                let cleanup = Cleanup(node: target, storage: replica.storage, partition: id)
                if !ended.cleanups.contains(cleanup) { ended.cleanups.append(cleanup) }
            }
            partition.operation = nil
            ended.epoch = max(ended.epoch, putRaised(partition))
        }
        end(ended, as: .aborted, because: cause)
    }

    mutating func end(_ operation: OperationDescriptor, as phase: OperationPhase, because failure: String? = nil) {
        var ended = operation
        ended.phase = phase
        ended.step = .done
        ended.pause = nil
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
        case .removeOrphan where operation.cleanups.isEmpty: end(operation, as: .succeeded)
        case .createTable, .move, .split, .merge, .transferPrimary, .removeOrphan: break
        }
    }

    // MARK: - Orphans

    /// Records a copy for removal that no descriptor places where it is; the node then removes it as it does any other cleanup.
    ///
    /// Judged by the state at apply, whatever was seen in the reports: a partition may have come to the node meanwhile.
    /// - Throws: `nodeNotFound`, `stalePlan`, `alreadyReplica` when it is in its place, `staleEpoch` when the disk proves more than is
    ///   known here, `cleanupPending` when it is recorded already.
    mutating func removeOrphan(_ orphan: OrphanRemoval) throws(CatalogRejection) -> CommandPayload {
        let node = try require(orphan.node.node, field: "node")
        guard node.session == orphan.node.session, node.session != .none else {
            throw CatalogRejection(.stalePlan, "node \(node.id) has started again since", field: "node")
        }
        let held = orphan.held
        switch base.standing(of: held, on: node.id) {
        case .wanted:
            throw CatalogRejection(.alreadyReplica, "partition \(held.partition) is placed on \(node.id)", field: "partition")
        case .recorded:
            throw CatalogRejection(
                .cleanupPending, "the copy of partition \(held.partition) on \(node.id) is being removed", field: "partition")
        case .ahead:
            throw CatalogRejection(
                .staleEpoch,
                "the disk of \(node.id) proves \(held.epoch) of partition \(held.partition), which is not known here",
                field: "partition")
        case .unknown where held.partition.number >> 16 > index:
            throw CatalogRejection(
                .staleEpoch, "partition \(held.partition) has a number that this log has not come to", field: "partition")
        case .over, .unknown: break
        }
        put(
            OperationDescriptor(
                id: operationID, kind: .removeOrphan(partition: held.partition, node: node.id), step: .dropSource,
                epoch: held.epoch, cleanups: [Cleanup(node: node.id, storage: held.storage, partition: held.partition)],
                createdBy: actor, reason: reason, createdAt: now))
        return .operation(operationID)
    }
}

extension StorageID {
    /// The storage that a move makes at its target. The last ordinal of the operation's index: no partition has it.
    package init(madeBy operation: OperationID) {
        self.init(PartitionID(madeAt: operation.number, ordinal: 65_535).number)
    }
}
