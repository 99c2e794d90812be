/// One column of a table.
package struct Column: Hashable, Sendable {
    package let name: RelationName
    package let type: ColumnType

    package init(name: RelationName, type: ColumnType) {
        self.name = name
        self.type = type
    }
}

package enum TableStatus: String, Hashable, Sendable, CaseIterable {
    case creating, active, deleting
}

/// How a table's capacity is given; carried for its owner, not enforced yet.
package struct Capacity: Hashable, Sendable {
    package enum Mode: String, Hashable, Sendable, CaseIterable { case provisioned, onDemand }
    package var mode: Mode
    package var readUnits: UInt64?
    package var writeUnits: UInt64?

    package init(mode: Mode, readUnits: UInt64? = nil, writeUnits: UInt64? = nil) {
        self.mode = mode
        self.readUnits = readUnits
        self.writeUnits = writeUnits
    }
}

/// A logical relation, cut into partitions by ranges of `(partition key, sort key)`.
package struct TableDescriptor: Hashable, Sendable {
    package let id: TableID
    package let name: RelationName
    package var columns: [Column]
    package let partitionKey: RelationName
    package let sortKey: RelationName?
    /// Copies of each partition, 1 to `Limits.replicationFactor`.
    package var replicationFactor: Int
    /// The in-sync set below which a partition refuses writes (rule R3).
    package var minInSync: Int
    package var status: TableStatus
    package var capacity: Capacity
    package let createdAt: WallTime

    package init(
        id: TableID, name: RelationName, columns: [Column], partitionKey: RelationName, sortKey: RelationName?,
        replicationFactor: Int, minInSync: Int, status: TableStatus, capacity: Capacity, createdAt: WallTime
    ) {
        self.id = id
        self.name = name
        self.columns = columns
        self.partitionKey = partitionKey
        self.sortKey = sortKey
        self.replicationFactor = replicationFactor
        self.minInSync = minInSync
        self.status = status
        self.capacity = capacity
        self.createdAt = createdAt
    }

    /// The key's columns in key order: partition key, then sort key.
    package var keyColumns: [Column] {
        ([partitionKey] + (sortKey.map { [$0] } ?? [])).compactMap { name in columns.first { $0.name == name } }
    }
}
