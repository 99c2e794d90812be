// With what a simulated member opens and seals gossip, as the real shell has it: a ring is on disk before it is in force, and in force
// before anybody is told that it is held. What a seal is made of does not matter here: its key's name stands beside what was sealed.

import Catalog
import Consensus
import CoordinatorCore
import Model
import Planning
import SimulationKit

struct GossipRing: Hashable, Sendable {
    /// What stands in every member's file when the cluster is founded.
    static let founding = GossipSeed(keys: [key(1)], primary: 1)

    private var version = Revision.none
    private(set) var held: HeldGossipKeys

    /// - Parameter record: of the topology that the disk holds.
    init(_ record: GossipKeys?) {
        let first = Self.founding.keys[0].id
        held = HeldGossipKeys(ids: [first], primary: first)
        if let record { take(record) }
    }

    static func secret(_ number: UInt64) -> GossipSecret {
        GossipSecret(id: GossipKeyID(number), bytes: Array(repeating: 0, count: GossipSecret.byteCount))
    }
    private static func key(_ number: UInt8) -> GossipKey {
        GossipKey(number: number, secret: secret(UInt64(number)), createdAt: WallTime(milliseconds: 0))
    }

    func isOlder(than record: GossipKeys) -> Bool { version < record.version }

    /// Whoever holds a newer one does not go back.
    mutating func take(_ record: GossipKeys) {
        guard isOlder(than: record), let held = record.held else { return }
        (version, self.held) = (record.version, held)
    }

    func opens(_ key: GossipKeyID) -> Bool { held.ids.contains(key) }
}

/// What the leader's word that all have done a step of an exchange is worth.
struct GossipRingChecks: Sendable {
    /// Since when each agent is one of those for whom an exchange waits.
    private var countedSince: [NodeID: Revision] = [:]
    /// What each agent's disk holds.
    private var rings: [NodeID: HeldGossipKeys] = [:]
    private(set) var exchanged = 0

    /// With an empty disk it comes later, whoever it is.
    mutating func renewed(_ node: NodeID) { countedSince[node] = nil }

    mutating func holds(_ ring: HeldGossipKeys, _ node: NodeID) { rings[node] = ring }

    /// A step is over when all hold the ring who were there when it began, and have been ever since. Whoever came later may have come when
    /// the leader had made up its mind: it hears of the ring by its session.
    mutating func committed(from before: Topology, to after: Topology) throws(Violation) {
        if let ring = before.gossipKeys, let rotation = ring.rotation, after.gossipKeys != ring,
            after.gossipKeys?.key(rotation.key) != nil
        {
            let behind = countedSince.filter { $0.value <= ring.version && rings[$0.key] != ring.held }.keys.min()
            if let behind {
                throw Violation("at \(after.revision): \(behind) has not done '\(rotation.step)' of \(rotation.key)")
            }
            if rotation.step == .remove { exchanged += 1 }
        }
        let counted = agentsThatGossip(in: after).map(\.id)
        countedSince = Dictionary(uniqueKeysWithValues: counted.map { ($0, countedSince[$0] ?? after.revision) })
    }

    /// What is not at rest yet.
    func unrest(_ truth: Topology, _ members: [CoordinatorProcess]) -> String? {
        guard let ring = truth.gossipKeys else { return nil }
        if let rotation = ring.rotation { return "the exchange for \(rotation.key) is at its step '\(rotation.step)'" }
        let behind = agentsThatGossip(in: truth).map(\.id).first { rings[$0] != ring.held }
        if let behind = behind ?? members.first(where: { $0.ring.held != ring.held })?.id.node {
            return "\(behind) does not hold the gossip keys of \(ring.version)"
        }
        return nil
    }
}
