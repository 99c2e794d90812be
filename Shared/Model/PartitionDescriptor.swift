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
    /// The last of an in-sync set, and its node has registered without it: it leads nobody until a later start has it, or an operator gives
    /// it up (rules E4, F2).
    package var isDamaged: Bool

    package init(node: NodeID, store: StoreID, storage: StorageID, role: ReplicaRole, isDamaged: Bool = false) {
        self.node = node
        self.store = store
        self.storage = storage
        self.role = role
        self.isDamaged = isDamaged
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
///
/// A value, of which all copies share what it says: topologies of several revisions, routes and deltas hold a million of them for eight
/// bytes each.
package struct PartitionDescriptor: Hashable, Sendable, CustomStringConvertible {
    private struct Fields: Hashable, Sendable {
        let id: PartitionID
        let table: TableID
        let range: KeyRange
        var epoch: Epoch
        var primary: NodeID?
        var replicas: [ReplicaDescriptor]
        var status: PartitionStatus
        let origin: Position
        let originChecksum: UInt32
        let parents: [MergedPartition]
        var operation: OperationID?
        var forcedAt: Epoch?
    }

    private final class Shared: Sendable {
        let fields: Fields
        init(_ fields: Fields) { self.fields = fields }
    }

    private var shared: Shared

    private var fields: Fields {
        get { shared.fields }
        set { shared = Shared(newValue) }
    }

    package var id: PartitionID { fields.id }
    package var table: TableID { fields.table }
    package var range: KeyRange { fields.range }
    package var epoch: Epoch {
        get { fields.epoch }
        set { fields.epoch = newValue }
    }
    /// Nil when the last in-sync member has failed: the partition waits for it (rule F2).
    package var primary: NodeID? {
        get { fields.primary }
        set { fields.primary = newValue }
    }
    /// Sorted by node.
    package var replicas: [ReplicaDescriptor] {
        get { fields.replicas }
        set { fields.replicas = newValue.sorted { $0.node < $1.node } }
    }
    package var status: PartitionStatus {
        get { fields.status }
        set { fields.status = newValue }
    }
    /// The position at which this partition starts: `.zero`, the split record's for a child of a split, or for what came out of a merge
    /// one behind the ends of both (rule M2).
    package var origin: Position { fields.origin }
    /// The checksum chain's value at `origin` (zero at `.zero`).
    package var originChecksum: UInt32 { fields.originChecksum }
    /// What was merged into it, in key order; empty for what came to be in another way.
    package var parents: [MergedPartition] { fields.parents }
    /// The operation under way on it; at most one.
    package var operation: OperationID? {
        get { fields.operation }
        set { fields.operation = newValue }
    }
    /// The last epoch that an operator began by making a primary of a copy outside of the in-sync set (rule R6): what was acknowledged
    /// before it may be lost. An agent that does not know of it takes the promotion for an ordinary one.
    package var forcedAt: Epoch? {
        get { fields.forcedAt }
        set { fields.forcedAt = newValue }
    }

    package init(
        id: PartitionID, table: TableID, range: KeyRange, epoch: Epoch, primary: NodeID?, replicas: [ReplicaDescriptor],
        status: PartitionStatus, origin: Position = .zero, originChecksum: UInt32 = 0,
        parents: [MergedPartition] = [], operation: OperationID? = nil, forcedAt: Epoch? = nil
    ) {
        shared = Shared(
            Fields(
                id: id, table: table, range: range, epoch: epoch, primary: primary,
                replicas: replicas.sorted { $0.node < $1.node }, status: status, origin: origin,
                originChecksum: originChecksum, parents: parents, operation: operation, forcedAt: forcedAt))
    }

    package static func == (a: Self, b: Self) -> Bool { a.shared === b.shared || a.fields == b.fields }
    package func hash(into hasher: inout Hasher) { hasher.combine(fields) }
    package var description: String { "\(fields)" }

    /// The in-sync set, sorted.
    package var inSync: [NodeID] { replicas.filter { $0.role == .inSync }.map(\.node) }
    package var learners: [NodeID] { replicas.filter { $0.role == .learner }.map(\.node) }
    package func replica(on node: NodeID) -> ReplicaDescriptor? { replicas.first { $0.node == node } }
}
