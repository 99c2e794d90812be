// The exchange of gossip keys, driven by the leader from what stands in the catalog and in the members' latest words: a new leader
// carries on when it has heard them. Agents say in their reports what they hold, coordinators tell each other.

import Consensus
import Catalog
package import Model
import Planning

/// The ring of a member's file, as the shell read it.
package struct GossipSeed: Hashable, Sendable {
    package let keys: [GossipKey]
    package let primary: UInt8

    package init(keys: [GossipKey], primary: UInt8) {
        self.keys = keys
        self.primary = primary
    }
}

extension Coordinator {
    /// How often the coordinators repeat what they hold while keys are exchanged: a leader may be new.
    private static let heldKeysInterval = Span.milliseconds(500)

    /// Live members that do not hold the ring as the record has it, sorted. As the leader sees it.
    package func membersBehindOnGossipKeys(at now: LogicalInstant) -> [NodeID] {
        guard let ring = catalog.topology.gossipKeys?.held else { return [] }
        let agents = agentsThatGossip(in: catalog.topology).filter { node in
            guard let report = reports[node.id]?.report, report.session == node.session else { return true }
            return report.gossipKeys != ring
        }
        // One that does not answer is not there: it reads the log before anything else when it is.
        let coordinators = raft.members(at: now).filter { $0.isActive != false && gossipKeysHeld[$0.id] != ring }
        return Set(agents.map(\.id) + coordinators.map(\.id.node)).sorted()
    }

    mutating func noteOwnGossipKeys(_ held: HeldGossipKeys, at now: LogicalInstant) {
        gossipKeysHeld[id] = held
        tellGossipKeys(at: now)
    }

    mutating func noteGossipKeys(_ held: HeldGossipKeys, of member: MemberID) {
        guard raft.configuration.members.contains(member) else { return }
        gossipKeysHeld[member] = held
        gossipKeysHeld = gossipKeysHeld.filter { raft.configuration.members.contains($0.key) || $0.key == id }
    }

    mutating func repeatGossipKeys(at now: LogicalInstant) {
        guard catalog.topology.gossipKeys?.rotation != nil, now >= heldKeysDue else { return }
        tellGossipKeys(at: now)
    }

    private mutating func tellGossipKeys(at now: LogicalInstant) {
        heldKeysDue = now + Self.heldKeysInterval
        guard let held = gossipKeysHeld[id] else { return }
        for member in raft.configuration.members where member != id { actions.append(.send(.gossipKeysHeld(held), to: member)) }
    }

    /// Makes the ring of the file the record, and takes a rotation on when all who live have followed.
    mutating func planGossipKeys(at now: LogicalInstant) {
        guard let ring = catalog.topology.gossipKeys else {
            guard let seed = gossipSeed else { return }
            proposeItself(
                .seedGossipKeys(seed.keys, primary: seed.primary), named: "seed-gossip-keys",
                because: "the keys of the members' files", at: now)
            return
        }
        guard let rotation = ring.rotation, membersBehindOnGossipKeys(at: now).isEmpty else { return }
        proposeItself(
            .advanceGossipRotation(rotation.key, past: rotation.step),
            named: "gossip-key-\(rotation.key)-\(rotation.step.rawValue)-\(catalog.topology.revision.index)",
            because: "every live member has followed", at: now)
    }
}
