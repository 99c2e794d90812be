package enum ReplicaRole: String, Hashable, Sendable, CaseIterable {
    /// Holds every acknowledged write.
    case inSync
    /// Catching up; counted for nothing.
    case learner
}

/// One copy of a partition.
package struct ReplicaDescriptor: Hashable, Sendable {
    package let node: NodeID
    /// The data folder that holds the copy; another one under the same node is an empty disk (rule E4).
    package var store: StoreID
    package var storage: StorageID
    package var role: ReplicaRole

    package init(node: NodeID, store: StoreID, storage: StorageID, role: ReplicaRole) {
        self.node = node
        self.store = store
        self.storage = storage
        self.role = role
    }
}

package enum PartitionStatus: String, Hashable, Sendable, CaseIterable {
    /// Its first replicas are being made.
    case creating
    case active
    /// Its table is being dropped.
    case deleting
}

/// A partition that was merged into another, and the entry of its own log at which it ended (rule M2).
package struct MergedPartition: Hashable, Sendable {
    package let partition: PartitionID
    package let end: Position

    package init(partition: PartitionID, end: Position) {
        self.partition = partition
        self.end = end
    }
}

/// Who holds a key range, at one epoch (rule E1).
package struct PartitionDescriptor: Hashable, Sendable {
    package let id: PartitionID
    package let table: TableID
    package let range: KeyRange
    package var epoch: Epoch
    /// Nil when the last in-sync member has failed: the partition waits for it (rule F2).
    package var primary: NodeID?
    /// Sorted by node.
    package var replicas: [ReplicaDescriptor] {
        didSet { replicas.sort { $0.node < $1.node } }
    }
    package var status: PartitionStatus
    /// The position at which this partition starts: `.zero`, the split record's for a child of a split, or for what came out of a merge
    /// one behind the ends of both (rule M2).
    package let origin: Position
    /// The checksum chain's value at `origin` (zero at `.zero`).
    package let originChecksum: UInt32
    /// What was merged into it, in key order; empty for what came to be in another way.
    package let parents: [MergedPartition]
    /// The operation under way on it; at most one.
    package var operation: OperationID?
    /// The last epoch that an operator began by making a primary of a copy outside of the in-sync set (rule R6): what was acknowledged
    /// before it may be lost. An agent that does not know of it takes the promotion for an ordinary one.
    package var forcedAt: Epoch?

    package init(
        id: PartitionID, table: TableID, range: KeyRange, epoch: Epoch, primary: NodeID?, replicas: [ReplicaDescriptor],
        status: PartitionStatus, origin: Position = .zero, originChecksum: UInt32 = 0,
        parents: [MergedPartition] = [], operation: OperationID? = nil, forcedAt: Epoch? = nil
    ) {
        self.id = id
        self.table = table
        self.range = range
        self.epoch = epoch
        self.primary = primary
        self.replicas = replicas.sorted { $0.node < $1.node }
        self.status = status
        self.origin = origin
        self.originChecksum = originChecksum
        self.parents = parents
        self.operation = operation
        self.forcedAt = forcedAt
    }

    /// The in-sync set, sorted.
    package var inSync: [NodeID] { replicas.filter { $0.role == .inSync }.map(\.node) }
    package var learners: [NodeID] { replicas.filter { $0.role == .learner }.map(\.node) }
    package func replica(on node: NodeID) -> ReplicaDescriptor? { replicas.first { $0.node == node } }
}
