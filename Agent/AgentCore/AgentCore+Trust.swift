// What a registration vouches for (rule E4).
//
// A process registers anew whenever it was held for failed. By then most of what its start found damaged has been made anew, and may
// be the last copy that there is: named again, it would lead nobody. But what the coordinators have not yet taken out of an in-sync set
// is told again, for they would promote it: a copy that was lost and is not looked for any more is empty, not whole.

package import Model

extension AgentCore {
    /// The partitions that the next registration names as damaged, sorted; nil: it vouches for none.
    package var unvouched: [PartitionID]? {
        wentBackTo == nil ? mistrusted.union(damagedPartitions).sorted() : nil
    }

    /// This disk has been further than it knows: it vouches for nothing until it is registered as this start of the node.
    package mutating func wentBack(to start: Generation) { wentBackTo = start }

    /// Trusts again what the coordinators, who were told of the damage when this start was registered, do not count in sync: whatever
    /// joins a set after that holds all.
    mutating func settleTrust() {
        guard isCurrent else { return }
        if let start = wentBackTo {
            guard let known = topology.nodes[identity.node], known.generation >= start else { return }
            // Who vouches for nothing stays only where there is no other.
            wentBackTo = nil
            mistrusted.formUnion(topology.partitions.keys)
        }
        var next = mistrusted.sorted()
        var seen: Set<PartitionID> = []
        mistrusted = []
        while let id = next.popLast() {
            guard seen.insert(id).inserted else { continue }
            if let retired = topology.retired[id] { next += retired.children }
            if let descriptor = topology.partitions[id], ownReplica(of: descriptor)?.role == .inSync { mistrusted.insert(id) }
        }
    }
}
