import Catalog
import Consensus
import Membership
import Model
import Transport

/// Where coordinators are reached: as the catalog declares them, and else as this member's own settings name them. Whether they are
/// members is another question, which the log alone answers.
package struct GroupPlaces: Hashable, Sendable {
    private let settled: [NodeID: CoordinatorDescriptor]
    private var declared: [NodeID: CoordinatorDescriptor] = [:]

    package init(_ members: [CoordinatorConfiguration.Member]) {
        settled = Dictionary(
            members.map { member in
                let addresses = NodeAddresses(
                    gossip: member.gossip.description, link: member.link.description, service: member.api.description)
                return (member.node, CoordinatorDescriptor(node: member.node, zone: member.zone, addresses: addresses))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// - Returns: whether anything is different now.
    mutating func declare(_ coordinators: [NodeID: CoordinatorDescriptor]) -> Bool {
        guard coordinators != declared else { return false }
        declared = coordinators
        return true
    }

    subscript(node: NodeID) -> CoordinatorDescriptor? { declared[node] ?? settled[node] }

    /// Whom a member of `configuration` talks to: the other members, and who is declared to become one. Somebody who is no member looks
    /// for the group wherever he was told that it is.
    func peers(of own: MemberID, in configuration: MemberConfiguration) -> [CoordinatorDescriptor] {
        var nodes = Set(configuration.members.map(\.node)).union(declared.keys)
        if !configuration.members.contains(own) { nodes.formUnion(settled.keys) }
        nodes.remove(own.node)
        return nodes.sorted().compactMap { self[$0] }
    }
}

extension CoordinatorDescriptor {
    var rosterEntry: RosterEntry {
        RosterEntry(
            node: node, generation: Generation(0),
            profile: MemberProfile(
                kind: .coordinator, zone: zone, gossip: addresses.gossip, link: addresses.link, store: StoreID(0),
                session: .none))
    }
}
