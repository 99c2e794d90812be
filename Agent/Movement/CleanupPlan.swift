package import Model

/// What of this node's data may be dropped. Only what a committed record names, and only once that record's operation cannot need
/// it any more; absence from a topology proves nothing (rule M3).
package enum CleanupPlan {
    /// The cleanups on `node` that are due, by operation, then partition.
    package static func due(on node: NodeID, in topology: Topology) -> [(operation: OperationID, cleanup: Cleanup)] {
        var due: [(operation: OperationID, cleanup: Cleanup)] = []
        for operation in topology.operations.values.sorted(by: { $0.id < $1.id }) where isOver(operation) {
            let mine = operation.cleanups.filter { $0.node == node }
            for cleanup in mine.sorted(by: { ($0.partition, $0.storage) < ($1.partition, $1.storage) })
            where !isInUse(cleanup, in: topology) {
                due.append((operation.id, cleanup))
            }
        }
        return due
    }

    /// Whether the operation has passed the point at which it may still want the data.
    private static func isOver(_ operation: OperationDescriptor) -> Bool {
        switch operation.phase {
        case .succeeded, .aborted: return true
        case .running: break
        }
        if case .dropTable = operation.kind { return true }
        switch operation.step {
        case .dropSource, .done: return true
        case .replicas, .copy, .handOver, .fence: return false
        }
    }

    /// Whether a committed descriptor still places exactly this copy on the node.
    private static func isInUse(_ cleanup: Cleanup, in topology: Topology) -> Bool {
        if let retired = topology.retired[cleanup.partition] {
            // The children of a split are yet to be installed out of it.
            return topology.hasDescendant(of: retired, in: cleanup.storage, on: cleanup.node)
        }
        guard let partition = topology.partitions[cleanup.partition], partition.status != .deleting else { return false }
        return partition.replica(on: cleanup.node)?.storage == cleanup.storage
    }
}
