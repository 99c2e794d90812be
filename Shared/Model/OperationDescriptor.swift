/// A durable long-running change and what it was asked to do (rule M1).
package enum OperationKind: Hashable, Sendable {
    case createTable(TableID)
    case dropTable(TableID)
    /// Brings a copy of `partition` to `target`, then drops the one at `source`. No source: a repair.
    case move(partition: PartitionID, source: NodeID?, target: NodeID)
    /// Cuts `partition` at `key` into `lower` and `upper`.
    case split(partition: PartitionID, at: Key, lower: PartitionID, upper: PartitionID)
    /// Joins two neighbours that share their storages into one. Who does not know of it cannot read an entry with it.
    case merge(left: PartitionID, right: PartitionID, into: PartitionID)
    case transferPrimary(partition: PartitionID, target: NodeID)
    /// Has `node` remove a copy of `partition` that no descriptor places there. Who does not know of it cannot read an entry with it.
    case removeOrphan(partition: PartitionID, node: NodeID)

    package var name: String {
        switch self {
        case .createTable: "create-table"
        case .dropTable: "drop-table"
        case .move(_, let source, _): source == nil ? "repair" : "move"
        case .split: "split"
        case .merge: "merge"
        case .transferPrimary: "transfer-primary"
        case .removeOrphan: "remove-orphan"
        }
    }

    /// The partition that it changes, and of which it is the only one under way; of two, the left one, whose primary drives it.
    package var partition: PartitionID? { partitions.first }

    /// The partitions that it changes, in key order. It is the only one under way on each of them.
    package var partitions: [PartitionID] {
        switch self {
        case .createTable, .dropTable, .removeOrphan: []
        case .move(let id, _, _), .split(let id, _, _, _), .transferPrimary(let id, _): [id]
        case .merge(let left, let right, _): [left, right]
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
    /// A split, merge or transfer waits for its gate and fence.
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

/// An operator's wish that an operation stand still.
package struct OperationPause: Hashable, Sendable {
    package let by: Principal
    package let at: WallTime

    package init(by: Principal, at: WallTime) {
        self.by = by
        self.at = at
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
    /// It keeps its place (its partition, its learner, its step) and takes no further one: no copy is sent for it, no learner of it
    /// joins, no fence starts. A fence that stands already is not held for it: the switch or the abort comes first. Nil once it is over.
    /// An agent that does not know of pauses goes on with it.
    package var pause: OperationPause?

    package init(
        id: OperationID, kind: OperationKind, step: OperationStep, phase: OperationPhase = .running, epoch: Epoch,
        cleanups: [Cleanup] = [], createdBy: Principal, reason: String, createdAt: WallTime, endedAt: WallTime? = nil,
        failure: String? = nil, pause: OperationPause? = nil
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
        self.pause = pause
    }
}

extension OperationDescriptor {
    /// Whether it is for this operation that the node has a copy.
    package func brings(_ node: NodeID) -> Bool {
        if case .move(_, _, node) = kind { true } else { false }
    }
}
