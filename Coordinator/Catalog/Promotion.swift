// Whom to promote: the one choice that apply makes itself, because it must rest on the state at apply and not on a plan (rule F2).

import Model

/// Balances promotions that are made one after another. Only values of the state go in, so that every coordinator chooses alike.
struct Promotion {
    private let zones: [NodeID: ZoneName]
    private let statuses: [NodeID: NodeStatus]
    private var primaries: [NodeID: Int] = [:]
    private var primariesByZone: [ZoneName: Int] = [:]

    init(_ transaction: Transaction) {
        let nodes = transaction.allNodes
        zones = Dictionary(nodes.map { ($0.id, $0.zone) }, uniquingKeysWith: { first, _ in first })
        statuses = Dictionary(nodes.map { ($0.id, $0.status) }, uniquingKeysWith: { first, _ in first })
        for partition in transaction.partitions(where: { $0.primary != nil }) {
            if let primary = partition.primary { count(primary) }
        }
    }

    private mutating func count(_ node: NodeID) {
        primaries[node, default: 0] += 1
        if let zone = zones[node] { primariesByZone[zone, default: 0] += 1 }
    }

    /// The candidate with the fewest primaries; then in the zone with the fewest; then the first by name. A node that is being
    /// drained is taken only when there is no other. Failed and unknown nodes are never taken.
    mutating func choose(among candidates: [NodeID]) -> NodeID? {
        func rank(_ node: NodeID) -> (Int, Int, Int, NodeID) {
            (
                statuses[node] == .draining ? 1 : 0, primaries[node] ?? 0,
                zones[node].flatMap { primariesByZone[$0] } ?? 0, node
            )
        }
        let able = candidates.filter { node in
            switch statuses[node] {
            case .healthy, .suspected, .draining: true
            case .failed, .decommissioned, nil: false
            }
        }
        guard let best = able.min(by: { rank($0) < rank($1) }) else { return nil }
        count(best)
        return best
    }
}
