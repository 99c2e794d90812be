package import Catalog
package import Model

// Where the copies of a new table go: as many zones as there are, then the nodes with the fewest copies; primaries to the node with
// the fewest primaries. Greedy and exact enough: with equal nodes the counts differ by one at most.

/// A placement with what it was based on (rule M7): it holds while these sessions stand.
package struct PlacementPlan: Hashable, Sendable {
    package let placements: [Placement]
    /// Sorted by node.
    package let sessions: [NodeSession]

    package init(placements: [Placement], sessions: [NodeSession]) {
        self.placements = placements
        self.sessions = sessions
    }
}

/// Places `partitions` new partitions of `replicationFactor` copies each.
///
/// - Throws: `notEnoughNodes` when fewer healthy nodes exist than copies are asked for.
/// - Complexity: O(partitions · factor · nodes).
package func planPlacement(
    partitions: Int, replicationFactor: Int, in topology: Topology
) throws(PlanRefusal) -> PlacementPlan {
    let eligible = eligibleNodes(in: topology)
    guard replicationFactor >= 1, eligible.count >= replicationFactor else {
        throw .notEnoughNodes(eligible: eligible.count, needed: replicationFactor)
    }
    var load = NodeLoad(of: topology)
    var placements: [Placement] = []
    placements.reserveCapacity(partitions)
    for _ in 0..<partitions {
        var chosen: [NodeDescriptor] = []
        while chosen.count < replicationFactor, let next = bestNode(among: eligible, beside: chosen, load: load) {
            chosen.append(next)
            load.addReplica(on: next.id)
        }
        guard let primary = chosen.min(by: { (load.primaries(on: $0.id), $0.id) < (load.primaries(on: $1.id), $1.id) }) else {
            throw .notEnoughNodes(eligible: eligible.count, needed: replicationFactor)
        }
        load.addPrimary(on: primary.id)
        placements.append(Placement(primary: primary.id, nodes: chosen.map(\.id)))
    }
    return PlacementPlan(
        placements: placements, sessions: eligible.map { NodeSession(node: $0.id, session: $0.session) })
}

/// The nodes that may get new replicas, by name: healthy, and started at least once.
func eligibleNodes(in topology: Topology) -> [NodeDescriptor] {
    topology.nodes.values.filter { $0.status == .healthy && $0.session != .none }.sorted { $0.id < $1.id }
}

/// The best home for one more copy: a zone with the fewest copies of this partition, then the fewest copies and running copies.
func bestNode(among eligible: [NodeDescriptor], beside chosen: [NodeDescriptor], load: NodeLoad) -> NodeDescriptor? {
    eligible
        .filter { candidate in !chosen.contains { $0.id == candidate.id } }
        .min { a, b in
            let inZone = { (node: NodeDescriptor) in chosen.count { $0.zone == node.zone } }
            return (inZone(a), load.replicas(on: a.id), load.operations(on: a.id), a.id)
                < (inZone(b), load.replicas(on: b.id), load.operations(on: b.id), b.id)
        }
}
