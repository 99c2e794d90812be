package import Catalog
package import Model

// Which copies to make again after failures: the partitions with the fewest in-sync copies first, a few at a time, never while the
// mass-failure breaker holds, and never before the repair delay, because a node that comes back needs no copy (rules F4, F5).

/// What bounds repair where no configuration entry says otherwise.
package struct RepairLimits: Hashable, Sendable {
    /// How long a node must have been failed.
    package var delay: Span
    /// Moves and repairs in which one node takes part at a time.
    package var operationsPerNode: Int
    /// Repairs proposed in one round.
    package var batch: Int

    package init(
        delay: Span = .seconds(Int64(ConfigurationRules.repairDelay.standard)),
        operationsPerNode: Int = ConfigurationRules.operationsPerNode.standard, batch: Int = 16
    ) {
        self.delay = delay
        self.operationsPerNode = operationsPerNode
        self.batch = batch
    }

    /// How long this node must have been failed.
    package func delay(of node: NodeDescriptor, in topology: Topology) -> Span {
        topology.configured(ConfigurationRules.repairDelay, at: node).map { .seconds(Int64($0)) } ?? delay
    }

    /// Moves and repairs in which this node may take part at a time.
    package func operations(on node: NodeDescriptor, in topology: Topology) -> Int {
        topology.configured(ConfigurationRules.operationsPerNode, at: node) ?? operationsPerNode
    }

    /// The nodes that may take part in one more.
    func free(_ nodes: [NodeDescriptor], _ load: NodeLoad, in topology: Topology) -> [NodeDescriptor] {
        nodes.filter { load.operations(on: $0.id) < operations(on: $0, in: topology) }
    }

    /// The best home that is free, if no node that is busy would spread the copies over more zones: a copy in the wrong zone stays
    /// there, and the right one is busy for a moment only.
    func freeHome(
        _ candidates: [NodeDescriptor], beside chosen: [NodeDescriptor], _ load: NodeLoad, in topology: Topology
    ) -> NodeDescriptor? {
        guard let best = bestNode(among: candidates, beside: chosen, load: load),
            let home = bestNode(among: free(candidates, load, in: topology), beside: chosen, load: load)
        else { return nil }
        func copies(in zone: ZoneName) -> Int { chosen.count { $0.zone == zone } }
        return copies(in: home.zone) == copies(in: best.zone) ? home : nil
    }
}

/// The nodes whose copies are missed. One that failed a moment ago may return; until its delay is over, they are not. But where a drain
/// is wanted of it they are to be elsewhere in any case.
///
/// - Parameter absentSince: when the planner first saw each node that is not healthy; nodes missing here count as just gone.
package func nodesGone(
    in topology: Topology, absentSince: [NodeID: LogicalInstant], now: LogicalInstant, limits: RepairLimits = RepairLimits()
) -> Set<NodeID> {
    let gone = topology.nodes.values.filter { node in
        node.status == .decommissioned
            || node.status == .failed
                && (node.isDrainWanted
                    || absentSince[node.id].map { now - $0 >= limits.delay(of: node, in: topology) } ?? false)
    }
    return Set(gone.map(\.id))
}

/// The repairs to propose now, most endangered partition first.
///
/// - Parameters:
///   - gone: the nodes whose copies are missed.
///   - breakerHolds: whether too many nodes fell at once; then nothing is copied (rule F4).
/// - Complexity: O(nodes + unsettled · log unsettled).
package func planRepairs(
    in topology: Topology, gone: Set<NodeID>, breakerHolds: Bool, limits: RepairLimits = RepairLimits()
) -> [MovePlan] {
    guard !breakerHolds else { return [] }
    let eligible = eligibleNodes(in: topology)
    var load = NodeLoad(of: topology)
    var plans: [MovePlan] = []
    guard !limits.free(eligible, load, in: topology).isEmpty else { return [] }
    let endangered = topology.tally.unsettled
        .compactMap { id -> (partition: PartitionDescriptor, inSync: Int)? in
            guard let partition = topology.partitions[id], partition.status == .active, partition.operation == nil,
                partition.primary != nil, let table = topology.tables[partition.table], table.status == .active
            else { return nil }
            // A failed node's replica stays a learner in the descriptor, so that the node can resume from its log (rule F5).
            let present = partition.replicas.count { !gone.contains($0.node) }
            return present < table.replicationFactor ? (partition, partition.replicas.count { $0.role == .inSync }) : nil
        }
        .sorted { ($0.inSync, $0.partition.id) < ($1.inSync, $1.partition.id) }
    for (partition, inSync) in endangered {
        guard plans.count < limits.batch else { break }
        let beside = partition.replicas.filter { !gone.contains($0.node) }.compactMap { topology.nodes[$0.node] }
        let candidates = eligible.filter { partition.replica(on: $0.id) == nil }
        // With one copy left, another anywhere is worth more than one in the right zone later.
        let home =
            inSync > 1
            ? limits.freeHome(candidates, beside: beside, load, in: topology)
            : bestNode(among: limits.free(candidates, load, in: topology), beside: beside, load: load)
        guard let target = home else { continue }
        let plan = MovePlan(
            partition: partition.id, source: nil, target: NodeSession(node: target.id, session: target.session),
            epoch: partition.epoch)
        load.add(plan)
        plans.append(plan)
    }
    return plans
}

/// The repairs that nobody needs any more, because the nodes that were missed are back (rule F5): to be aborted.
package func planCancellations(in topology: Topology) -> [OperationID] {
    topology.operations.values.filter { operation in
        guard operation.phase == .running, operation.step == .copy,
            case .move(let id, nil, let target) = operation.kind, let partition = topology.partitions[id],
            let table = topology.tables[partition.table]
        else { return false }
        // What is to be drained is moved, and not made a second time.
        let present = partition.replicas.count { replica in
            let status = topology.nodes[replica.node]?.status
            return replica.node != target && (status == .healthy || status == .draining)
        }
        return present >= table.replicationFactor
    }.map(\.id).sorted()
}

/// What moves away from nodes that are being drained: one replica at a time per partition, to where a repair would put it.
///
/// - Parameters:
///   - repairs: those that are proposed at the same time. They come first, and take up the room that they need.
///   - settling: partitions that are left where they are for now.
///   - givers: nodes that have yet to give away what they lead (`planHandOvers`): nothing else leaves them before.
///   - breakerHolds: nothing is copied then (rule F4); what somebody leads can be handed over all the same.
/// - Complexity: O(nodes) when nothing is to be moved, or there is no room for it; else O(partitions · log partitions).
package func planDrains(
    in topology: Topology, beside repairs: [MovePlan] = [], except settling: Set<PartitionID> = [],
    after givers: Set<NodeID> = [], breakerHolds: Bool = false, limits: RepairLimits = RepairLimits()
) -> [MovePlan] {
    guard !breakerHolds else { return [] }
    var load = NodeLoad(of: topology)
    for repair in repairs { load.add(repair) }
    let repaired = Set(repairs.map(\.partition))
    let leavers = topology.nodes.values.filter {
        $0.status == .draining && !givers.contains($0.id) && load.replicas(on: $0.id) > 0
    }
    // A handful at most: to compare names is cheaper than to hash them.
    let draining = limits.free(leavers, load, in: topology).map(\.id)
    let eligible = eligibleNodes(in: topology)
    guard !draining.isEmpty, !limits.free(eligible, load, in: topology).isEmpty else { return [] }
    let affected = topology.partitions.values.lazy.filter { partition in
        partition.status == .active && partition.operation == nil && partition.primary != nil
            && !repaired.contains(partition.id) && !settling.contains(partition.id)
            && partition.replicas.contains { draining.contains($0.node) }
    }.map(\.id).sorted()
    var plans: [MovePlan] = []
    for id in affected {
        guard plans.count < limits.batch else { break }
        guard let partition = topology.partitions[id],
            let leaving = partition.replicas.first(where: { draining.contains($0.node) }).flatMap({ topology.nodes[$0.node] }),
            load.operations(on: leaving.id) < limits.operations(on: leaving, in: topology)
        else { continue }
        let source = leaving.id
        let beside = partition.replicas.filter { $0.node != source }.compactMap { topology.nodes[$0.node] }
        let candidates = eligible.filter { partition.replica(on: $0.id) == nil }
        guard let target = limits.freeHome(candidates, beside: beside, load, in: topology) else { continue }
        let plan = MovePlan(
            partition: partition.id, source: source, target: NodeSession(node: target.id, session: target.session),
            epoch: partition.epoch)
        load.add(plan)
        plans.append(plan)
        if limits.free(leavers, load, in: topology).isEmpty { break }
    }
    return plans
}
