package import Model

/// Of which deaths people have been told: each is found again until it is committed, and needs to be read once.
package struct ToldDeaths: Sendable {
    /// Nodes: more than a cluster has that falls as a whole. Whoever has a key can name any number of others, for whom a word that is
    /// said twice is good enough.
    package static let most = 4_096

    private var sessions: [NodeID: SessionID] = [:]

    package init() {}

    /// - Returns: whether nobody was told of this one yet, who has been from now on.
    package mutating func isNews(_ death: FoundDeath) -> Bool {
        if sessions[death.node] == death.session { return false }
        if sessions[death.node] == nil, sessions.count >= Self.most { sessions = [:] }
        sessions[death.node] = death.session
        return true
    }

    package var count: Int { sessions.count }
}
