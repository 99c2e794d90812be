package import Model

/// Lets a fence start only after several good looks in a row: a pause that is begun well is short (rule M4).
package struct Gate: Hashable, Sendable {
    private let settings: MovementSettings
    private var good = 0
    private var lookedAt: LogicalInstant?

    package init(settings: MovementSettings = MovementSettings()) { self.settings = settings }

    /// Looks once, at most once in an interval. Says whether the fence may start now.
    package mutating func look(_ view: LeaderView, inSync: [NodeID], at now: LogicalInstant) -> Bool {
        if let lookedAt, now < lookedAt + settings.gateInterval { return false }
        lookedAt = now
        good = isGood(view, inSync: inSync, at: now) ? good + 1 : 0
        return good >= settings.gateLooks
    }

    private func isGood(_ view: LeaderView, inSync: [NodeID], at now: LogicalInstant) -> Bool {
        guard view.hasLease, view.uncommittedBytes <= settings.smallLag else { return false }
        guard let confirmed = view.quorumConfirmedAt, now < confirmed + settings.quorumFreshness else { return false }
        return inSync.allSatisfy { (view.peers[$0]?.lagBytes ?? 0) <= settings.smallLag }
    }
}
