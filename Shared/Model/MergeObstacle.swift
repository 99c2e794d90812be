/// Why two partitions cannot become one as they stand. Asked by who plans a merge, and again when it begins and when it is committed.
///
/// A merge moves no rows: each node that has a copy of the one has a copy of the other in the same storage, and all of them are in sync.
/// So they are what came out of splits of one partition, and no copy of either has been moved since.
package enum MergeObstacle: Hashable, Sendable {
    /// The upper end of the left one is not the lower end of the right one, or they belong to two tables.
    case notNeighbours(left: PartitionID, right: PartitionID)
    case learners(PartitionID, [NodeID])
    /// Two nodes lead them, or nobody leads one.
    case primariesDiffer(left: NodeID?, right: PartitionID, NodeID?)
    /// Nodes that have a copy in sync of one of them only.
    case replicasDiffer([NodeID])
    /// Nodes that have the two in two storages.
    case storagesDiffer([NodeID])

    package init?(left: PartitionDescriptor, right: PartitionDescriptor) {
        guard left.table == right.table, left.id != right.id, left.range.high == right.range.low else {
            self = .notNeighbours(left: left.id, right: right.id)
            return
        }
        if let one = [left, right].first(where: { !$0.learners.isEmpty }) {
            self = .learners(one.id, one.learners)
            return
        }
        let differing = Set(left.inSync).symmetricDifference(right.inSync)
        guard differing.isEmpty else {
            self = .replicasDiffer(differing.sorted())
            return
        }
        let apart = zip(left.replicas, right.replicas).filter { $0 != $1 }.map(\.0.node)
        guard apart.isEmpty else {
            self = .storagesDiffer(apart)
            return
        }
        guard left.primary != nil, left.primary == right.primary else {
            self = .primariesDiffer(left: left.primary, right: right.id, right.primary)
            return
        }
        return nil
    }

    package var detail: String {
        switch self {
        case .notNeighbours(let left, let right): "partition \(right) does not begin where partition \(left) ends"
        case .learners(let id, let nodes): "partition \(id) has learners: \(Self.names(nodes))"
        case .primariesDiffer(let left, let id, let right):
            "the primaries are \(left?.name ?? "nobody") and, of partition \(id), \(right?.name ?? "nobody")"
        case .replicasDiffer(let nodes): "only one of the two has a copy on \(Self.names(nodes))"
        case .storagesDiffer(let nodes): "the two have storages of their own on \(Self.names(nodes))"
        }
    }

    package var hint: String {
        switch self {
        case .notNeighbours: "name two partitions of one table that meet"
        case .learners: "wait until the partition's learners have caught up"
        case .primariesDiffer(let left, let id, _):
            left.map { "transfer the primary role of partition \(id) to \($0) first" } ?? "bring the partition's node back"
        case .replicasDiffer, .storagesDiffer:
            "a merge joins what splits of one partition have left, as long as no copy has been moved; rows are not brought together yet"
        }
    }

    private static func names(_ nodes: [NodeID]) -> String { nodes.map(\.name).joined(separator: ", ") }
}
