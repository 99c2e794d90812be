// What the two kinds of processes say to their failure detectors.

import Consensus
import Membership
import Model

extension ClusterPlaces {
    /// - Parameter store: an agent's; nil: the one with which it begins.
    func member(
        _ host: Int, generation: Generation, store: StoreID? = nil, seed: UInt64, at now: LogicalInstant
    ) -> Swim {
        Swim(
            node: node(host), generation: generation, profile: profile(host, store: store), tuning: .fast, seed: seed, at: now)
    }

    private func profile(_ host: Int, store other: StoreID? = nil, session: SessionID = .none) -> MemberProfile {
        let addresses = addresses(host)
        return MemberProfile(
            kind: isCoordinator(host) ? .coordinator : .agent, zone: zones[host], gossip: addresses.gossip,
            link: addresses.link, store: isCoordinator(host) ? StoreID(0) : other ?? store(host), session: session)
    }

    /// Who should be there, which revision is known, and which deaths are settled.
    func news(of topology: Topology, for host: Int) -> [Swim.Input] {
        let coordinators = coordinators.filter { $0 != host }.map {
            RosterEntry(node: node($0), generation: Generation(0), profile: profile($0))
        }
        let nodes = topology.nodes.values.filter { $0.status != .decommissioned }.sorted { $0.id < $1.id }
        let agents = nodes.compactMap { node -> RosterEntry? in
            guard let other = self.host(of: node.id), other != host else { return nil }
            return RosterEntry(
                node: node.id, generation: node.generation, profile: profile(other, store: node.store, session: node.session))
        }
        let failed = nodes.filter { $0.status == .failed }.map { ($0.id, $0.session) }
        return [
            .roster(coordinators + agents), .revisionApplied(topology.revision),
            .deathsSettled(Dictionary(failed) { $1 }),
        ]
    }
}

extension DeathFindings {
    var found: [FoundDeath] {
        deaths.map {
            FoundDeath(
                node: $0.node, session: $0.session, generation: $0.generation, process: $0.process, accusers: $0.witnesses,
                localHealth: Int(localHealth))
        }
    }
}
