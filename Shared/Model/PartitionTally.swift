// What is to be known of all partitions together: who holds how many, and which of them are not whole. Kept up change by change by the
// topology, so that nobody who thinks every tenth of a second walks through a million partitions to find that all is well.

/// A function of a topology's tables and partitions.
package struct PartitionTally: Hashable, Sendable {
    /// Copies on each node that holds one.
    package private(set) var replicas: [NodeID: Int] = [:]
    /// Partitions led by each node that leads one.
    package private(set) var primaries: [NodeID: Int] = [:]
    /// Those that somebody may have to do something about. Every other one is active, has a primary, nothing is under way on it, and it
    /// has as many copies as its table asks for, all of them in sync.
    package private(set) var unsettled: Set<PartitionID> = []

    /// - Parameter copies: how many the table asks for; nil while the table is not known.
    mutating func replace(_ old: PartitionDescriptor?, with new: PartitionDescriptor?, copies: Int?) {
        if let old { count(old, by: -1) }
        guard let new else {
            if let old { unsettled.remove(old.id) }
            return
        }
        count(new, by: 1)
        note(new, copies: copies)
    }

    /// Looks at a partition again, whose table asks for another number of copies now.
    mutating func note(_ partition: PartitionDescriptor, copies: Int?) {
        let isSettled =
            partition.status == .active && partition.primary != nil && partition.operation == nil
            && partition.replicas.count >= copies ?? .max && partition.replicas.allSatisfy { $0.role == .inSync }
        if isSettled { unsettled.remove(partition.id) } else { unsettled.insert(partition.id) }
    }

    private mutating func count(_ partition: PartitionDescriptor, by step: Int) {
        for replica in partition.replicas { Self.add(step, to: &replicas, replica.node) }
        if let primary = partition.primary { Self.add(step, to: &primaries, primary) }
    }

    /// A node without any has no entry, so that equal topologies have equal tallies, however they came about.
    private static func add(_ step: Int, to counts: inout [NodeID: Int], _ node: NodeID) {
        let count = (counts[node] ?? 0) + step
        counts[node] = count == 0 ? nil : count
    }
}
