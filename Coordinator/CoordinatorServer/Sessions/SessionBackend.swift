package import Model
package import Wire

/// What agents' sessions ask of the coordinator that serves them. A member that does not lead passes it on to the one that does, or
/// answers that it is unavailable; it never waits for longer than a second.
package protocol SessionBackend: Sendable {
    /// What this member has applied, and what comes.
    var feed: TopologyFeed { get }

    /// In the name of a session of `node` (rule E6).
    func propose(
        _ proposal: PartitionProposal, as request: RequestID, by node: NodeID, in session: SessionID
    ) async -> ProposalOutcome
    func register(_ registration: AgentRegistration, as request: RequestID, by node: NodeID) async -> RegistrationOutcome
    func take(_ found: [FoundDeath], by witness: NodeID) async
    /// A hint for planners and people; kept in memory only.
    func take(_ report: NodeReport) async
    func leader() async -> LeaderHint
    /// If the leader was sure of its quorum after this call: the topology that has all that was committed before it.
    func confirmQuorum() async -> Revision?
}
