// What coordinators say to each other beside Raft: commands on their way to the leader, their answers, and news of deaths.

package import Catalog
package import Consensus
package import Model

/// A command as its proposer wrote it; the leader adds the time.
package struct ProposedCommand: Hashable, Sendable {
    package let command: Command
    package let actor: Principal
    package let reason: String
    package let requestID: RequestID
    package let fingerprint: [UInt8]
    package let traceID: String

    package init(
        command: Command, actor: Principal, reason: String = "", requestID: RequestID, fingerprint: [UInt8] = [],
        traceID: String = ""
    ) {
        self.command = command
        self.actor = actor
        self.reason = reason
        self.requestID = requestID
        self.fingerprint = fingerprint
        self.traceID = traceID
    }

    package func stamped(_ time: WallTime) -> CatalogEntry {
        CatalogEntry(
            command: command, actor: actor, reason: reason, requestID: requestID, fingerprint: fingerprint, traceID: traceID,
            time: time)
    }
}

/// What became of a command.
package enum CommandOutcome: Hashable, Sendable {
    /// Applied; the topology shows it at `revision`.
    case done(CommandResult, Revision)
    /// Not handed in: nobody leads.
    case noLeader
    /// Handed in, and not heard of since.
    case unknown
    case overloaded(String)
    /// Not handed in: the leader's disk has too little room for it. The text says how much.
    case diskFull(String)
}

/// Somebody's evidence that lives of nodes are over (rules F1, F2): all that he tells of at one time.
package struct DeathReport: Hashable, Sendable {
    package let found: [FoundDeath]
    package let witness: NodeID

    package init(_ found: [FoundDeath], witness: NodeID) {
        self.found = found
        self.witness = witness
    }
}

package enum CoordinatorMessage: Hashable, Sendable {
    case raft(Message)
    /// A follower's command for the leader; `number` is the follower's, for the answer. When it came to the follower, that had applied
    /// everything up to `knownUpTo`.
    case command(ProposedCommand, number: UInt64, knownUpTo: LogIndex)
    case outcome(CommandOutcome, number: UInt64)
    case deaths(DeathReport)
    /// An agent's report, passed on by the member that got it (rule C7: never through the log).
    case load(NodeReport)
    /// A store that belongs to no member asks to be let in; passed on to the leader by whoever hears it.
    case waiting(MemberID)
    /// The sender's state at a fixed index (rule C4).
    case mark(StateMark)
    /// With what the sender opens and seals gossip.
    case gossipKeysHeld(HeldGossipKeys)
    /// What the sender measured of an incident, as the leader who had it committed.
    case failoverClocks(FailoverClocks, of: LogIndex)
}
