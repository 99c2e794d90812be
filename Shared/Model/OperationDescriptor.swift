/// A durable long-running change and what it was asked to do (rule M1).
package enum OperationKind: Hashable, Sendable {
    case createTable(TableID)
    case dropTable(TableID)
    /// Brings a copy of `partition` to `target`, then drops the one at `source`. No source: a repair.
    case move(partition: PartitionID, source: NodeID?, target: NodeID)
    /// Cuts `partition` at `key` into `lower` and `upper`.
    case split(partition: PartitionID, at: Key, lower: PartitionID, upper: PartitionID)
    case transferPrimary(partition: PartitionID, target: NodeID)

    package var name: String {
        switch self {
        case .createTable: "create-table"
        case .dropTable: "drop-table"
        case .move(_, let source, _): source == nil ? "repair" : "move"
        case .split: "split"
        case .transferPrimary: "transfer-primary"
        }
    }

    package var partition: PartitionID? {
        switch self {
        case .createTable, .dropTable: nil
        case .move(let id, _, _), .split(let id, _, _, _), .transferPrimary(let id, _): id
        }
    }
}

package enum OperationPhase: String, Hashable, Sendable, CaseIterable {
    case running, succeeded, aborted
}

/// The committed step at which an operation stands. Each step's entry names the epoch that it produced.
package enum OperationStep: String, Hashable, Sendable, CaseIterable {
    /// A create waits for its replicas, a drop for its cleanups.
    case replicas
    /// A move's learner copies and follows.
    case copy
    /// The target is in sync; the primary role is still to be handed over, or the source to be dropped.
    case handOver
    /// The source is out of the descriptor; its data is being removed.
    case dropSource
    /// A split or transfer waits for its gate and fence.
    case fence
    case done
}

/// Data that must be gone when the operation that named it is over (rules M1, M3): recorded before the data exists.
package struct Cleanup: Hashable, Sendable {
    package let node: NodeID
    package let storage: StorageID
    package let partition: PartitionID

    package init(node: NodeID, storage: StorageID, partition: PartitionID) {
        self.node = node
        self.storage = storage
        self.partition = partition
    }
}

package struct OperationDescriptor: Hashable, Sendable {
    package let id: OperationID
    package let kind: OperationKind
    package var step: OperationStep
    package var phase: OperationPhase
    /// The epoch that the last step produced, on which the next one guards.
    package var epoch: Epoch
    /// What is still to be removed somewhere.
    package var cleanups: [Cleanup]
    package let createdBy: Principal
    package let reason: String
    package let createdAt: WallTime
    package var endedAt: WallTime?
    /// Why it was aborted.
    package var failure: String?

    package init(
        id: OperationID, kind: OperationKind, step: OperationStep, phase: OperationPhase = .running, epoch: Epoch,
        cleanups: [Cleanup] = [], createdBy: Principal, reason: String, createdAt: WallTime, endedAt: WallTime? = nil,
        failure: String? = nil
    ) {
        self.id = id
        self.kind = kind
        self.step = step
        self.phase = phase
        self.epoch = epoch
        self.cleanups = cleanups
        self.createdBy = createdBy
        self.reason = reason
        self.createdAt = createdAt
        self.endedAt = endedAt
        self.failure = failure
    }
}
