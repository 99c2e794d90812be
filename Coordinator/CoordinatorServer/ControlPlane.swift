package import Catalog
package import Consensus
package import CoordinatorCore
package import Membership
package import Model

/// How fresh the state must be that a caller reads.
package enum ReadConsistency: Hashable, Sendable {
    /// At least as new as everything that was answered anywhere before the call; costs a round with the leader.
    case linearizable
    /// What this member has applied.
    case local
}

/// Why the control plane could not answer. Nothing is known to have changed, except after `outcomeUnknown`.
package enum ControlPlaneError: Error, Hashable, Sendable {
    /// Nobody leads, or nobody who leads was reached within the time: ask again under the same request id.
    case noLeader
    /// The request was handed in and no answer came: it may or may not take effect. Ask again under the same request id.
    case outcomeUnknown
    /// Too much is waiting to be committed, or the request is larger than what is ever committed.
    case overloaded(String)
    /// The leader's disk has too little room for more than what keeps the cluster serving. The text says how much.
    case diskFull(String)
}

/// An agent's report, and how old it is.
package struct LoadReading: Hashable, Sendable {
    package let report: NodeReport
    package let age: Span
    /// Agents report every two seconds; what is older than this says nothing about now.
    package static let validity = Span.seconds(10)

    package init(report: NodeReport, age: Span) {
        self.report = report
        self.age = age
    }

    package var isFresh: Bool { age <= Self.validity }
}

/// One coordinator as it sees itself and its group.
package struct CoordinatorStatus: Hashable, Sendable {
    package struct Peer: Hashable, Sendable {
        package let id: NodeID
        package let member: MemberID
        package let part: Consensus.MemberStatus.Part
        /// Nil where neither the catalog nor this member's settings say.
        package let zone: ZoneName?
        package let addresses: NodeAddresses?
        /// Whether this member holds an open link to it (to itself: always).
        package let isConnected: Bool
        /// What the leader knows to be on its disk; nil at the others.
        package let match: UInt64?
        /// How the leader sends to it; nil at the others.
        package let mode: String?
        /// Whether it answers the leader; nil at the others.
        package let isActive: Bool?
        /// With what it opens and seals gossip; nil where it has not said.
        package let gossipKeys: HeldGossipKeys?
    }

    package let id: NodeID
    package let member: MemberID
    /// `leader`, `follower`, `candidate` or `pre-candidate`.
    package let role: String
    package let leader: NodeID?
    package let term: UInt64
    package let commit: UInt64
    package let applied: UInt64
    package let lastIndex: UInt64
    package let members: [Peer]
    /// Who was declared a member since the group was founded, and is one or waits to be let in.
    package let declared: [NodeID: CoordinatorDescriptor]
    package let isChangeUnderWay: Bool
    package let isTransferring: Bool
    package let drops: [MessageDrop: UInt64]
    /// How many voters may be lost.
    package let tolerance: Int
    /// Whether too many nodes fell at once, so that nothing is copied (rule F4).
    package let breakerHolds: Bool
    package let startedAt: WallTime
}

/// What an operator wants of the group itself.
package enum GroupOrder: Hashable, Sendable {
    case change([MemberChange])
    /// Nil: to whoever holds most of the log.
    case transfer(to: MemberID?)
}

/// What everything above the consensus, the REST API first of all, asks of it.
package protocol ControlPlane: Sendable {
    /// Commits a command, here or through the leader. Answered in time, one way or another (see `CoordinatorSettings`).
    ///
    /// - Parameter fingerprint: a digest of what the caller sent; another one under the same id is refused.
    func propose(
        _ command: Command, by actor: Principal, reason: String, requestID: RequestID, fingerprint: [UInt8], traceID: String
    ) async throws(ControlPlaneError) -> CommandResult

    /// The catalog as a value.
    func catalog(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> CatalogState

    /// What of the catalog agents hold too. Cheaper than the whole: whoever holds that makes the next change copy it.
    func topology(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> Topology

    func status() async -> CoordinatorStatus

    /// Puts a wish that concerns the group itself; only the leader grants one. Answered in time, one way or another, as `propose` is.
    func steer(_ order: GroupOrder) async -> GroupOutcome

    /// The newest report of each agent's load and health, by way of whichever member got it.
    func reports() async -> [NodeID: LoadReading]

    /// The copies that nodes hold and nobody wants, as this member knows them.
    func orphans() async -> [Orphan]

    /// The last failovers that this member knows of, in order.
    func incidents() async -> [Incident]

    /// What this member's failure detector believes of the others: rumour, where the catalog is the word (rule F1).
    func beliefs() async -> [NodeID: MemberBelief]

    /// The topology that this member has applied, and what comes.
    var feed: TopologyFeed { get }
}
