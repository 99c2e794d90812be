package import Model

/// What an operation waits for, in an operator's words.
package enum Obstacle: Hashable, Sendable {
    /// Strong reads would not be served now.
    case noLease
    /// Bytes ordered, but not yet on every required disk.
    case uncommitted(bytes: Int)
    /// An in-sync member has so much less of the log on disk.
    case lag(NodeID, bytes: Int)
    /// All is well, but not yet for long enough.
    case unsteady
    /// The coordinators' leader has not lately been sure of its quorum.
    case quorumUnconfirmed
    /// The learners join or leave first.
    case learners([NodeID])
    /// Writers in flight end before the switch.
    case draining
    /// The learner has not yet the rows, or the log after them.
    case copying(NodeID, bytes: Int)
    /// The rows of both ends are being compared.
    case comparing(NodeID)
    /// The engine of a node on which the pause would wait takes in nothing, or has much still to take in.
    case engine(NodeID)
    /// An operator wants it to stand still.
    case paused
}

extension Obstacle: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noLease: "no lease"
        case .uncommitted(let bytes): "\(bytes) bytes are not yet on every disk"
        case .lag(let node, let bytes): "\(node) lags by \(bytes) bytes"
        case .unsteady: "the lag has not been small for long enough"
        case .quorumUnconfirmed: "the coordinators have not confirmed their quorum"
        case .learners(let nodes): "the learners \(nodes.map(\.name).joined(separator: ", ")) are still to join"
        case .draining: "writes in flight"
        case .copying(let node, let bytes): "\(node) still lacks \(bytes) bytes of log, or the snapshot before it"
        case .comparing(let node): "the rows of \(node) are being compared"
        case .engine(let node): "the engine of \(node) is behind, or takes in nothing; see whether its disk is full"
        case .paused: "an operator has paused it"
        }
    }
}

/// Lets a fence start only after several good looks in a row: a pause that is begun well is short (rule M4).
package struct Gate: Hashable, Sendable {
    private let settings: MovementSettings
    private var good = 0
    private var lookedAt: LogicalInstant?

    package init(settings: MovementSettings = MovementSettings()) { self.settings = settings }

    /// Looks, and counts at most one look in an interval.
    ///
    /// - Parameter engines: the nodes whose engines must have all before what comes next may serve.
    /// - Returns: what keeps the fence from starting now; nil: nothing.
    package mutating func look(
        _ view: LeaderView, inSync: [NodeID], engines: [NodeID], at now: LogicalInstant
    ) -> Obstacle? {
        let obstacle = obstacle(in: view, inSync: inSync, engines: engines)
        if obstacle != nil {
            good = 0
        } else if lookedAt.map({ now >= $0 + settings.gateInterval }) ?? true {
            good += 1
            lookedAt = now
        }
        if let obstacle { return obstacle }
        guard good >= settings.gateLooks else { return .unsteady }
        // Asked for last, and only by those who are about to fence: the answer is good for a moment only.
        return view.isQuorumConfirmed(at: now, by: settings) ? nil : .quorumUnconfirmed
    }

    private func obstacle(in view: LeaderView, inSync: [NodeID], engines: [NodeID]) -> Obstacle? {
        guard view.hasLease else { return .noLease }
        guard view.uncommittedBytes <= settings.smallLag else { return .uncommitted(bytes: view.uncommittedBytes) }
        let behind = inSync.first { (view.peers[$0]?.lagBytes ?? 0) > settings.smallLag }
        if let behind { return .lag(behind, bytes: view.peers[behind]?.lagBytes ?? 0) }
        let held = engines.first { node in
            // The primary is no peer of its own.
            guard let peer = view.peers[node] else { return view.isStuck || view.unappliedBytes > settings.engineLag }
            return peer.isStuck || peer.unappliedBytes > settings.engineLag
        }
        return held.map { .engine($0) }
    }
}
