package import Catalog
package import Model

// Who should lead what: after failovers all primaries of a cluster may stand on few nodes, and nothing that happens later would
// spread them again. A transfer is cheap (no data moves), but it stops a partition's writers for a moment; so one at a time, only
// where it helps, and only while nothing else goes on.

/// A transfer of one primary role, with what it was planned on (rule M7).
package struct TransferPlan: Hashable, Sendable {
    package let partition: PartitionID
    package let target: NodeSession
    package let epoch: Epoch

    package init(partition: PartitionID, target: NodeSession, epoch: Epoch) {
        self.partition = partition
        self.target = target
        self.epoch = epoch
    }

    /// Among transfers that help equally, the lower partition goes first, to the lower node: a plan is a function of its input.
    static func < (a: Self, b: Self) -> Bool { (a.partition, a.target.node) < (b.partition, b.target.node) }
}

/// Whether the cluster has nothing better to do than to be tidied: every node is there, every copy is in sync, nothing is under way.
/// A node that is drained and holds nothing any more may stay so for as long as people like: nobody waits for it.
package func isCalm(_ topology: Topology) -> Bool {
    topology.nodes.values.allSatisfy { node in
        switch node.status {
        case .healthy, .decommissioned: true
        case .draining: topology.tally.replicas[node.id] == nil
        case .suspected, .failed: false
        }
    }
        && topology.operations.values.allSatisfy { $0.phase != .running }
        && topology.tally.unsettled.isEmpty
}

/// The transfer that makes the spread of primaries more even, from the node that leads most: nil when the cluster is not calm, or
/// when no transfer would bring two nodes closer to each other.
///
/// - Parameter left: partitions that are left where they are led for now.
/// - Complexity: O(nodes) when the spread is even, O(partitions · replicas) when it is not.
package func planLeadership(in topology: Topology, except left: Set<PartitionID> = []) -> TransferPlan? {
    guard isCalm(topology) else { return nil }
    let load = NodeLoad(of: topology)
    // One apart is as even as it gets; then no partition need be looked at.
    let led = eligibleNodes(in: topology).map { load.primaries(on: $0.id) }
    guard let most = led.max(), let least = led.min(), most - least >= 2 else { return nil }
    var best: (gain: Int, plan: TransferPlan)?
    for partition in topology.partitions.values where partition.status == .active {
        guard let primary = partition.primary, !left.contains(partition.id) else { continue }
        for replica in partition.replicas where replica.node != primary {
            guard let node = topology.nodes[replica.node], node.status == .healthy, node.session != .none else { continue }
            let gain = load.primaries(on: primary) - load.primaries(on: node.id)
            guard gain >= 2 else { continue }
            let target = NodeSession(node: node.id, session: node.session)
            let plan = TransferPlan(partition: partition.id, target: target, epoch: partition.epoch)
            if best.map({ gain > $0.gain || gain == $0.gain && plan < $0.plan }) ?? true { best = (gain, plan) }
        }
    }
    return best?.plan
}
