// The one way by which somebody leads who was not in sync (rule R6). It gives up acknowledged writes, so nobody takes it but an operator,
// who names what is given up; and it leaves no second copy, for any other learner may hold more than the one that now leads, or other
// entries, and would acknowledge in its name what it does not have.

import Model

extension Transaction {
    /// Makes a learner the only in-sync member, and the primary, of a partition whose in-sync set is lost.
    ///
    /// All other copies leave the descriptor, those that are lost among them: their nodes remove them once they know, and repair makes new
    /// ones out of what is left. What the target's copy holds is not known here: a copy that is not whole is refused by its agent, and the
    /// partition then serves nobody.
    /// - Throws: `staleEpoch`, `tableNotActive`, `partitionBusy`, `lostDiffer` when another set is in sync than was named,
    ///   `inSyncMemberRemains`, `notAReplica`, `storeMismatch`, `nodeUnavailable`, `stalePlan`.
    /// - Source: PROTOCOLS R6, E1, E4, E6.
    mutating func forcePromotion(_ promotion: ForcedPromotion) throws(CatalogRejection) -> CommandPayload {
        var partition = try requireIdle(promotion.partition, expecting: promotion.epoch)
        guard partition.inSync == promotion.lost else {
            let names = partition.inSync.map(\.name).joined(separator: ", ")
            throw CatalogRejection(.lostDiffer, "the in-sync set of partition \(partition.id) is \(names)", field: "lost")
        }
        if let remaining = partition.replicas.first(where: { $0.role == .inSync && isThere($0) }),
            !mutated(.forcesOverMembers)
        {
            throw CatalogRejection(
                .inSyncMemberRemains,
                "node \(remaining.node) holds all of partition \(partition.id), and is \(status(of: remaining.node))",
                field: "lost")
        }
        var heir = try requireHeir(promotion.target, of: partition)
        heir.role = .inSync
        partition.replicas = [heir]
        if mutated(.keepsForcedLearners) {
            let others = try require(partition.id, expecting: promotion.epoch).replicas.filter { $0.node != heir.node }
            partition.replicas += others.map {
                ReplicaDescriptor(node: $0.node, store: $0.store, storage: $0.storage, role: .learner)
            }
        }
        partition.primary = heir.node
        partition.forcedAt = promotion.epoch.next
        putRaised(partition)
        return .version(index)
    }

    /// Whether the node may come to lead with this copy: its process lives, and the copy's disk is the node's.
    private func isThere(_ replica: ReplicaDescriptor) -> Bool {
        guard let node = node(replica.node), node.store == replica.store else { return false }
        switch node.status {
        case .healthy, .suspected, .draining: return true
        case .failed, .decommissioned: return false
        }
    }

    private func status(of node: NodeID) -> String { self.node(node)?.status.rawValue ?? "unknown" }

    private func requireHeir(
        _ target: NodeSession, of partition: PartitionDescriptor
    ) throws(CatalogRejection) -> ReplicaDescriptor {
        let node = try require(target.node, field: "target")
        guard let replica = partition.replica(on: node.id) else {
            throw CatalogRejection(.notAReplica, "node \(node.id) holds no copy of partition \(partition.id)", field: "target")
        }
        guard replica.store == node.store else {
            throw CatalogRejection(
                .storeMismatch, "node \(node.id) has another data folder than the one with the copy", field: "target")
        }
        // One that is to be drained is drained afterwards.
        guard node.status == .healthy || node.status == .draining, node.session != .none else {
            throw CatalogRejection(.nodeUnavailable, "node \(node.id) is \(node.status.rawValue)", field: "target")
        }
        guard node.session == target.session else {
            throw CatalogRejection(.stalePlan, "node \(node.id) has started again since", field: "target")
        }
        return replica
    }
}
