package import Model

extension OperationDescriptor {
    /// The nodes at which it takes one of the places that `operations_per_node` counts.
    ///
    /// Planners and the catalog's own limit ask here alone: where they counted differently, what one plans the other refuses. A move or
    /// repair counts until its switch, paused or not, for it copies, or may go on copying at any moment. Past it only the source's data
    /// is to be removed, at a node that may be gone for good: that keeps nobody from another copy.
    package var occupiedNodes: [NodeID] {
        guard phase == .running, step != .dropSource else { return [] }
        switch kind {
        case .move(_, let source?, let target): return [source, target]
        case .move(_, nil, let target): return [target]
        case .createTable, .dropTable, .split, .merge, .transferPrimary, .removeOrphan: return []
        }
    }
}
