package import Model

/// Why a plan cannot be made. Nothing has changed; each case tells the operator what to do instead.
package enum PlanRefusal: Error, Hashable, Sendable {
    /// Fewer nodes can take a copy than copies are asked for.
    case notEnoughNodes(eligible: Int, needed: Int)
    case unknownPartition(PartitionID)
    case unknownNode(NodeID)
    /// Failed, draining or gone nodes take no copies.
    case nodeNotHealthy(NodeID, NodeStatus)
    case targetHoldsReplica(NodeID)
    case sourceHoldsNoReplica(NodeID)
    case targetNotInSync(NodeID)
    case alreadyPrimary(NodeID)
    case partitionBusy(PartitionID, OperationID)
    case partitionNotActive(PartitionID)
    case noPrimary(PartitionID)
    /// The key does not lie strictly inside the partition's range.
    case splitKeyOutsideRange(PartitionID, KeyRange)
    case nodeBusy(NodeID, operations: Int)
    case cannotMerge(MergeObstacle)

    /// Stable, for programs.
    package var code: String {
        switch self {
        case .notEnoughNodes: "NOT_ENOUGH_NODES"
        case .unknownPartition: "PARTITION_UNKNOWN"
        case .unknownNode: "NODE_UNKNOWN"
        case .nodeNotHealthy: "NODE_NOT_HEALTHY"
        case .targetHoldsReplica: "TARGET_HOLDS_REPLICA"
        case .sourceHoldsNoReplica: "SOURCE_HOLDS_NO_REPLICA"
        case .targetNotInSync: "TARGET_NOT_IN_SYNC"
        case .alreadyPrimary: "ALREADY_PRIMARY"
        case .partitionBusy: "PARTITION_BUSY"
        case .partitionNotActive: "PARTITION_NOT_ACTIVE"
        case .noPrimary: "PARTITION_WITHOUT_PRIMARY"
        case .splitKeyOutsideRange: "SPLIT_KEY_OUTSIDE_RANGE"
        case .nodeBusy: "NODE_BUSY"
        case .cannotMerge(.notNeighbours): "NOT_NEIGHBOURS"
        case .cannotMerge(.learners): "LEARNERS_PRESENT"
        case .cannotMerge(.primariesDiffer): "PRIMARIES_DIFFER"
        case .cannotMerge(.replicasDiffer): "REPLICAS_DIFFER"
        case .cannotMerge(.storagesDiffer): "STORAGES_DIFFER"
        }
    }

    /// The request's field at fault, where there is one.
    package var field: String? {
        switch self {
        case .notEnoughNodes: "replication_factor"
        case .unknownPartition, .partitionBusy, .partitionNotActive, .noPrimary: "partition"
        case .unknownNode, .nodeNotHealthy, .targetHoldsReplica, .targetNotInSync, .alreadyPrimary, .nodeBusy: "target"
        case .sourceHoldsNoReplica: "source"
        case .splitKeyOutsideRange: "key"
        case .cannotMerge: "with"
        }
    }

    package var detail: String {
        switch self {
        case .notEnoughNodes(let eligible, let needed): "\(needed) copies are asked for and \(eligible) nodes can hold one"
        case .unknownPartition(let id): "there is no partition \(id)"
        case .unknownNode(let node): "there is no node \(node)"
        case .nodeNotHealthy(let node, let status): "node \(node) is \(status.rawValue)"
        case .targetHoldsReplica(let node): "node \(node) holds a copy of this partition already"
        case .sourceHoldsNoReplica(let node): "node \(node) holds no copy of this partition"
        case .targetNotInSync(let node): "node \(node) is not in the partition's in-sync set"
        case .alreadyPrimary(let node): "node \(node) is the primary already"
        case .partitionBusy(let id, let operation): "operation \(operation) is under way on partition \(id)"
        case .partitionNotActive(let id): "partition \(id) is being made or dropped"
        case .noPrimary(let id): "partition \(id) waits for its last in-sync node to return"
        case .splitKeyOutsideRange(let id, let range): "partition \(id) covers \(range); the key must lie strictly inside"
        case .nodeBusy(let node, let operations): "node \(node) takes part in \(operations) operations already"
        case .cannotMerge(let obstacle): obstacle.detail
        }
    }

    package var hint: String {
        switch self {
        case .notEnoughNodes: "add nodes, or ask for a lower replication_factor"
        case .unknownPartition: "list the table's partitions; one that was split or merged lives on in others"
        case .unknownNode: "list the nodes"
        case .nodeNotHealthy: "choose a healthy node, or bring this one back"
        case .targetHoldsReplica: "choose a node without a copy, or transfer the primary role instead"
        case .sourceHoldsNoReplica: "name a node that holds a copy"
        case .targetNotInSync: "choose a member of the in-sync set, or move a copy there first"
        case .alreadyPrimary: "nothing needs to be done"
        case .partitionBusy, .nodeBusy: "wait for it to end, or cancel it"
        case .partitionNotActive: "wait until its table is ACTIVE"
        case .noPrimary: "bring the node back"
        case .splitKeyOutsideRange: "choose a key inside the range"
        case .cannotMerge(let obstacle): obstacle.hint
        }
    }
}
