package import Membership
package import Model

extension AgentRegistration {
    /// The latest generation that another store of the node is known to have had, where this one is no later.
    ///
    /// A disk that took another's place counts its starts anew. Whoever remembers the other's would take this process for one of the
    /// past: it would be dead for them for good, and missed by nobody when it does die. So it begins in a later one.
    /// - Parameters:
    ///   - committed: what the catalog has of the node.
    ///   - heard: what gossip holds of it.
    /// - Returns: nil as well for an agent that cannot begin later.
    package func predecessor(committed: NodeDescriptor?, heard: MemberRecord?) -> Generation? {
        guard canBeginLater, committed?.status != .decommissioned else { return nil }
        var others: [Generation] = []
        if let committed, committed.session != .none, committed.store != store { others.append(committed.generation) }
        if let heard, heard.profile.kind == .agent, heard.profile.store != store { others.append(heard.life.generation) }
        return others.max().flatMap { $0 < generation ? nil : $0 }
    }
}
