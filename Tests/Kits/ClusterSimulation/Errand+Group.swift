// What an operator asks of the coordinators' group, as the API asks it: first goes into the log who wants what, then Raft is asked.

import Catalog
import Consensus
import CoordinatorCore
import Model

/// What is put into the log, and what the group is asked when it stands there.
struct GroupOrder: Hashable, Sendable {
    let command: Command
    var changes: [MemberChange] = []
}

extension Errand {
    /// What the errand comes to for the group, as its leader knows it.
    ///
    /// - Parameter present: the store with which each host was there last.
    func order(at leader: Coordinator, _ places: ClusterPlaces, present: [Int: MemberID]) -> GroupOrder? {
        let group = leader.raft.configuration
        switch self {
        case .addCoordinator(let seed):
            // The founding store is let in once; that the disk is to be emptied, an operator knows.
            let strangers = places.coordinators.filter { host in
                !group.members.contains { $0.node == places.node(host) } && present[host].map { !$0.isFounding } ?? false
            }
            return Self.pick(strangers, seed).map { Self.declaration(of: $0, places) }
        case .promoteCoordinator(let seed): return Self.pick(group.learners, seed).map(Self.promotion)
        case .demoteCoordinator(let seed):
            return Self.pick(group.voters, seed).map {
                GroupOrder(command: .steerGroup("demote", $0.node), changes: [.demote($0)])
            }
        case .removeCoordinator(let seed): return Self.pick(group.members, seed).map { Self.removal(of: $0.node, from: group) }
        case .settleGroup: return Self.settlement(of: group, leader.catalog.coordinators, places)
        default: return nil
        }
    }

    /// An operator keeps so many voters that one more disk can be lost: one at most is lost already.
    static func isBearable(_ changes: [MemberChange], in group: MemberConfiguration) -> Bool {
        guard !group.isJoint, let next = try? group.changed(by: changes) else { return false }
        return next.voters.count >= 3
    }

    private static func declaration(of host: Int, _ places: ClusterPlaces) -> GroupOrder {
        GroupOrder(
            command: .declareCoordinator(
                CoordinatorDescriptor(node: places.node(host), zone: places.zones[host], addresses: places.addresses(host))))
    }

    private static func promotion(of learner: MemberID) -> GroupOrder {
        GroupOrder(command: .steerGroup("promote", learner.node), changes: [.promote(learner)])
    }

    /// Of every store of the node.
    private static func removal(of node: NodeID, from group: MemberConfiguration) -> GroupOrder {
        GroupOrder(command: .dismissCoordinator(node), changes: group.members.filter { $0.node == node }.map { .remove($0) })
    }

    /// Brings to its end what was begun: whoever leaves goes, or stays where nobody can do without him, and learners vote.
    private static func settlement(
        of group: MemberConfiguration, _ declared: [NodeID: CoordinatorDescriptor], _ places: ClusterPlaces
    ) -> GroupOrder? {
        for node in declared.values.filter(\.isLeaving).map(\.node).sorted()
        where group.members.contains(where: { $0.node == node }) {
            let removal = removal(of: node, from: group)
            if isBearable(removal.changes, in: group) { return removal }
            return places.host(of: node).map { declaration(of: $0, places) }
        }
        return group.learners.first.map(promotion)
    }
}
