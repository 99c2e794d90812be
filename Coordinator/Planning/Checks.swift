package import Model

// What is refused before an operation is proposed. The catalog's compare-and-set decides; these tell the operator why, first.

/// Checks that a copy of `partition` can move from `source` (any holder but the target when nil) to `target`.
///
/// - Returns: the descriptor whose epoch the proposal must expect.
package func checkMove(
    of partition: PartitionID, from source: NodeID?, to target: NodeID, in topology: Topology,
    limits: RepairLimits = RepairLimits()
) throws(PlanRefusal) -> PartitionDescriptor {
    let descriptor = try quietPartition(partition, in: topology)
    let node = try healthyNode(target, in: topology)
    guard descriptor.replica(on: node.id) == nil else { throw .targetHoldsReplica(target) }
    let load = NodeLoad(of: topology)
    if let source {
        guard descriptor.replica(on: source) != nil else { throw .sourceHoldsNoReplica(source) }
        if let giver = topology.nodes[source] { try requireRoom(on: giver, load, limits, in: topology) }
    }
    try requireRoom(on: node, load, limits, in: topology)
    return descriptor
}

/// Checks that `partition` can be split at `key`: quiet, without learners, the key strictly inside (rule M2).
package func checkSplit(
    of partition: PartitionID, at key: Key, in topology: Topology
) throws(PlanRefusal) -> PartitionDescriptor {
    let descriptor = try quietPartition(partition, in: topology)
    guard descriptor.range.split(at: key) != nil else { throw .splitKeyOutsideRange(partition, descriptor.range) }
    return descriptor
}

/// Checks that `partition` and `other` can become one: quiet both, neighbours, in the same storages (rule M2). Of the two it does not
/// matter which is named first.
///
/// - Returns: the descriptors in key order, whose epochs the proposal must expect.
package func checkMerge(
    of partition: PartitionID, with other: PartitionID, in topology: Topology
) throws(PlanRefusal) -> (left: PartitionDescriptor, right: PartitionDescriptor) {
    var left = try quietPartition(partition, in: topology)
    var right = try quietPartition(other, in: topology)
    if right.range.low < left.range.low { swap(&left, &right) }
    if let obstacle = MergeObstacle(left: left, right: right) { throw .cannotMerge(obstacle) }
    return (left, right)
}

/// Checks that `target` can take the primary role of `partition`.
package func checkTransfer(
    of partition: PartitionID, to target: NodeID, in topology: Topology
) throws(PlanRefusal) -> PartitionDescriptor {
    let descriptor = try quietPartition(partition, in: topology)
    let node = try healthyNode(target, in: topology)
    guard descriptor.replica(on: node.id)?.role == .inSync else { throw .targetNotInSync(target) }
    guard descriptor.primary != target else { throw .alreadyPrimary(target) }
    return descriptor
}

/// An active partition with a primary on which nothing is under way.
private func quietPartition(_ id: PartitionID, in topology: Topology) throws(PlanRefusal) -> PartitionDescriptor {
    guard let descriptor = topology.partitions[id] else { throw .unknownPartition(id) }
    guard descriptor.status == .active else { throw .partitionNotActive(id) }
    if let operation = descriptor.operation { throw .partitionBusy(id, operation) }
    guard descriptor.primary != nil else { throw .noPrimary(id) }
    return descriptor
}

private func requireRoom(
    on node: NodeDescriptor, _ load: NodeLoad, _ limits: RepairLimits, in topology: Topology
) throws(PlanRefusal) {
    let running = load.operations(on: node.id)
    guard running < limits.operations(on: node, in: topology) else { throw .nodeBusy(node.id, operations: running) }
}

private func healthyNode(_ id: NodeID, in topology: Topology) throws(PlanRefusal) -> NodeDescriptor {
    guard let node = topology.nodes[id] else { throw .unknownNode(id) }
    guard node.status == .healthy, node.session != .none else { throw .nodeNotHealthy(id, node.status) }
    return node
}
