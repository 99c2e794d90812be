package import Model

/// A node that somebody wants in the coordinator group, and where it is reached.
///
/// Who is a member, Raft's own configuration says, and nothing else does: two records of it could disagree. This one lets a member be
/// dialled that stands in nobody's settings file, and lets a store be let in that its node has made since.
package struct CoordinatorDescriptor: Hashable, Sendable {
    package let node: NodeID
    package let zone: ZoneName
    package let addresses: NodeAddresses
    /// No store of it is let in any more. Where it is reached stays known for as long as it is a member: the entries that take it out
    /// may need its answer to be committed.
    package internal(set) var isLeaving: Bool

    package init(node: NodeID, zone: ZoneName, addresses: NodeAddresses, isLeaving: Bool = false) {
        self.node = node
        self.zone = zone
        self.addresses = addresses
        self.isLeaving = isLeaving
    }
}

extension Transaction {
    mutating func declare(_ coordinator: CoordinatorDescriptor) throws(CatalogRejection) -> CommandPayload {
        guard node(coordinator.node) == nil else {
            throw CatalogRejection(.nodeInUse, "\(coordinator.node) is an agent's name", field: "node_id")
        }
        for (field, address) in [
            ("gossip", coordinator.addresses.gossip), ("link", coordinator.addresses.link),
            ("api", coordinator.addresses.service),
        ] {
            guard !address.isEmpty else { throw CatalogRejection(.invalidValue, "\(field) is missing", field: field) }
            try check(address, field: field)
        }
        guard coordinators[coordinator.node] != nil || coordinators.count < CatalogLimits.coordinators else {
            throw CatalogRejection(.limitReached, "\(CatalogLimits.coordinators) coordinators are declared")
        }
        coordinators[coordinator.node] = coordinator
        return .nothing
    }

    mutating func dismiss(_ node: NodeID) -> CommandPayload {
        coordinators[node]?.isLeaving = true
        return .nothing
    }

    /// Whoever was declared anew in the meantime stays.
    mutating func forget(_ node: NodeID) -> CommandPayload {
        if coordinators[node]?.isLeaving == true { coordinators[node] = nil }
        return .nothing
    }
}
