package import Membership
package import Model

extension AgentRegistration {
    /// What to tell an agent whose registration was refused as superseded: the generation that this very store is known to have had,
    /// which is no earlier than this one.
    ///
    /// Either these are the words of a process that has ended, come late, and nobody hears the answer. Or the disk is a restored or a
    /// cloned one: then the agent registers in a later generation, as one that vouches for nothing (rule E4).
    /// - Parameter committed: what this coordinator's catalog has of the node. It may be behind the one that refused.
    /// - Returns: nil where it does not show why it was refused, and for an agent that cannot begin later.
    package func wentBack(behind committed: NodeDescriptor?) -> Generation? {
        guard canBeginLater, let committed, committed.status != .decommissioned, committed.session != .none,
            committed.store == store, generation <= committed.generation
        else { return nil }
        return committed.generation
    }

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
