package import Model

/// How far a node is from holding nothing, and what is in the way of that.
package struct DrainStanding: Hashable, Sendable {
    /// Partitions that it leads.
    package let primaries: Int
    /// Copies that it holds, whatever they are worth.
    package let replicas: Int
    /// Those of them that can go nowhere, as the nodes are: each healthy node has a copy of its own.
    package let homeless: Int
    /// Those whose partitions wait for their last in-sync node to return. Nothing is copied without a primary.
    package let waiting: Int

    package var isDrained: Bool { replicas == 0 }

    /// Why it stands still, where it does, and what to do about that.
    package var obstacle: String? {
        var reasons: [String] = []
        if homeless > 0 {
            reasons.append("\(homeless) copies can go nowhere, for each healthy node has one of the same partition: add a node")
        }
        if waiting > 0 {
            reasons.append("\(waiting) copies are of partitions without a primary: start the nodes that are failed")
        }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    /// - Complexity: O(1) for a node that holds nothing, else O(partitions · nodes).
    package init(of node: NodeID, in topology: Topology) {
        primaries = topology.tally.primaries[node] ?? 0
        replicas = topology.tally.replicas[node] ?? 0
        var (homeless, waiting) = (0, 0)
        if replicas > 0 {
            let eligible = eligibleNodes(in: topology).map(\.id).filter { $0 != node }
            for partition in topology.partitions.values {
                guard partition.status == .active, partition.replica(on: node) != nil else { continue }
                if partition.primary == nil {
                    waiting += 1
                } else if partition.operation == nil, eligible.allSatisfy({ partition.replica(on: $0) != nil }) {
                    homeless += 1
                }
            }
        }
        (self.homeless, self.waiting) = (homeless, waiting)
    }
}
