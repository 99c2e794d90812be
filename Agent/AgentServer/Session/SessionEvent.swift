package import Model

/// What a session learns from the coordinators, in the order in which it learned it.
package enum SessionEvent: Hashable, Sendable {
    case connected(NodeID)
    /// Whether the coordinator's machine ended the session; not so where this side had heard nothing for too long, or wanted another.
    case disconnected(NodeID, byPeer: Bool)
    /// The catalog holds this session of the node (rule E6).
    case registered(SessionID)
    case registrationRefused(code: String, detail: String)
    case topology(Topology)
    case delta(TopologyDelta)
    case answered(PartitionProposal, ProposalOutcome)
    /// The leader was sure of its quorum at this moment of this node's clock, or later (rule M4).
    case quorumConfirmed(LogicalInstant, revision: Revision?)
    /// Somebody told of this revision, and every coordinator has gone on without it.
    case revisionDisbelieved(Revision)
}

/// The side of the agent that a session serves. The session waits for each call, so a busy agent holds the coordinators back.
package protocol SessionOwner: Sendable {
    /// The newest revision that the agent has: where the watch goes on.
    func revision() async -> Revision
    func received(_ event: SessionEvent) async
    /// From now on this is the node's start of that number, on disk and for its peers: a disk that was here before had the present one.
    /// - Returns: whether it is; if not, it is asked again.
    func begin(in generation: Generation) async -> Bool
    /// The partitions whose replicas here are not whole now, or may be counted in sync still though they were not; nil: this node
    /// vouches for none of its replicas.
    func unvouched() async -> [PartitionID]?
    /// The disk has been further than it knows: nothing of it is vouched for before it is registered in this generation.
    func wentBack(to generation: Generation) async
    /// What to tell the leader about this node now.
    func report() async -> NodeReport?
    /// With what this node opens and seals gossip: the leader is told at once when that changes.
    func gossipKeys() async -> HeldGossipKeys?
}

/// What a status page shows of a session.
package struct SessionStatus: Hashable, Sendable {
    package var coordinator: NodeID?
    package var leader: NodeID?
    package var session = SessionID.none
    /// When the coordinator last said anything.
    package var heardAt: LogicalInstant?
}

/// A coordinator and where its links are accepted.
package struct CoordinatorAddress: Hashable, Sendable {
    package let node: NodeID
    package let link: String

    package init(node: NodeID, link: String) {
        self.node = node
        self.link = link
    }
}
