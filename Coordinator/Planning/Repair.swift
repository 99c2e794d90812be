package import Catalog
package import Model

// Which copies to make again after failures: the partitions with the fewest in-sync copies first, a few at a time, never while the
// mass-failure breaker holds, and never before the repair delay, because a node that comes back needs no copy (rules F4, F5).

/// What bounds repair.
package struct RepairLimits: Hashable, Sendable {
    /// How long a node must have been failed.
    package var delay: Span
    /// Moves and repairs in which one node takes part at a time.
    package var operationsPerNode: Int
    /// Repairs proposed in one round.
    package var batch: Int

    package init(delay: Span = .seconds(300), operationsPerNode: Int = 2, batch: Int = 16) {
        self.delay = delay
        self.operationsPerNode = operationsPerNode
        self.batch = batch
    }
}

/// The repairs to propose now, most endangered partition first.
///
/// - Parameters:
///   - absentSince: when the planner first saw each node that is not healthy; nodes missing here count as just gone.
///   - breakerHolds: whether too many nodes fell at once; then nothing is copied (rule F4).
package func planRepairs(
    in topology: Topology, absentSince: [NodeID: LogicalInstant], now: LogicalInstant, breakerHolds: Bool,
    limits: RepairLimits = RepairLimits()
) -> [MovePlan] {
    guard !breakerHolds else { return [] }
    // A node that failed a moment ago may return; until the delay is over, its copies are not missed.
    let mayReturn = topology.nodes.values.contains { node in
        node.status == .failed && (absentSince[node.id].map { now - $0 < limits.delay } ?? true)
    }
    guard !mayReturn else { return [] }
    let eligible = topology.nodes.values.filter { $0.status == .healthy }.sorted { $0.id < $1.id }
    var load = NodeLoad(of: topology)
    var plans: [MovePlan] = []
    let endangered = topology.partitions.values
        .compactMap { partition -> (partition: PartitionDescriptor, missing: Int)? in
            guard partition.status == .active, partition.operation == nil, partition.primary != nil,
                let table = topology.tables[partition.table], table.status == .active
            else { return nil }
            let missing = table.replicationFactor - partition.replicas.count
            return missing > 0 ? (partition, missing) : nil
        }
        .sorted { ($0.partition.inSync.count, $0.partition.id) < ($1.partition.inSync.count, $1.partition.id) }
    for (partition, _) in endangered {
        guard plans.count < limits.batch else { break }
        let beside = partition.replicas.compactMap { topology.nodes[$0.node] }
        let free = eligible.filter { node in
            partition.replica(on: node.id) == nil && load.operations(on: node.id) < limits.operationsPerNode
        }
        guard let target = bestNode(among: free, beside: beside, load: load) else { continue }
        load.addReplica(on: target.id)
        load.addOperation(on: target.id)
        plans.append(
            MovePlan(
                partition: partition.id, source: nil, target: NodeSession(node: target.id, session: target.session),
                epoch: partition.epoch))
    }
    return plans
}
