// The runtime as others see it: the REST API, and agents' sessions.

package import Catalog
import Consensus
package import CoordinatorCore
package import Membership
package import Model
import Transport
package import Wire

extension CoordinatorRuntime: ControlPlane {
    package func propose(
        _ command: Command, by actor: Principal, reason: String, requestID: RequestID, fingerprint: [UInt8], traceID: String
    ) async throws(ControlPlaneError) -> CommandResult {
        let proposed = ProposedCommand(
            command: command, actor: actor, reason: reason, requestID: requestID, fingerprint: fingerprint, traceID: traceID)
        switch await commit(proposed) {
        case .done(let result, _): return result
        case .noLeader: throw .noLeader
        case .unknown: throw .outcomeUnknown
        case .overloaded(let detail): throw .overloaded(detail)
        case .diskFull(let detail): throw .diskFull(detail)
        }
    }

    package func catalog(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> CatalogState {
        if consistency == .linearizable, await !refresh() { throw .noLeader }
        return catalogNow
    }

    /// The feed is told of each change before anybody is told that it is applied.
    package nonisolated func topology(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> Topology {
        if consistency == .linearizable, await !refresh() { throw .noLeader }
        return feed.topology
    }

    package func status() async -> CoordinatorStatus { statusNow }
    package func reports() async -> [NodeID: LoadReading] { reportsNow }
    package func orphans() async -> [Orphan] { orphansNow }
    package func incidents() async -> [Incident] { incidentsNow }
    package nonisolated func beliefs() async -> [NodeID: MemberBelief] {
        Dictionary(gossip.beliefs.map { ($0.member.node, $0) }) { first, _ in first }
    }
}

extension CoordinatorRuntime: SessionBackend {
    package func propose(
        _ proposal: PartitionProposal, as request: RequestID, by node: NodeID, in session: SessionID
    ) async -> ProposalOutcome {
        guard let actor = try? Principal(node: node) else { return .unavailable }
        let command = ProposedCommand(
            command: .partition(proposal, from: node, session: session), actor: actor, requestID: request)
        switch await commit(command) {
        case .done(.accepted, let revision): return .accepted(revision)
        case .done(.refused(let rejection), _): return .refused(code: rejection.code.rawValue, detail: rejection.detail)
        case .noLeader, .unknown, .overloaded, .diskFull: return .unavailable
        }
    }

    package func register(_ registration: AgentRegistration, as request: RequestID, by node: NodeID) async
        -> RegistrationOutcome
    {
        guard let actor = try? Principal(node: node) else { return .unavailable }
        if let known = preceding(registration, of: node) { return .preceded(known) }
        let command = ProposedCommand(
            command: .registerNode(
                NodeRegistration(
                    node: node, store: registration.store, generation: registration.generation, zone: registration.zone,
                    addresses: registration.addresses, instanceType: registration.instanceType, version: registration.version,
                    isLogIntact: registration.isLogIntact, damaged: registration.damaged)),
            actor: actor, reason: "start", requestID: request)
        switch await commit(command) {
        case .done(.accepted(.session(let session)), _): return .registered(session)
        case .done(.accepted, _): return .refused(code: "protocol", detail: "a registration gave no session")
        case .done(.refused(let rejection), _) where rejection.code == .superseded && registration.canBeginLater:
            // Said only to who was refused: what this coordinator has applied may be old, and names a generation that was used.
            if let known = registration.wentBack(behind: core.catalog.topology.nodes[node]) { return .wentBack(known) }
            return preceding(registration, of: node).map { .preceded($0) } ?? .unavailable
        case .done(.refused(let rejection), _): return .refused(code: rejection.code.rawValue, detail: rejection.detail)
        case .noLeader, .unknown, .overloaded, .diskFull: return .unavailable
        }
    }

    private func preceding(_ registration: AgentRegistration, of node: NodeID) -> Generation? {
        registration.predecessor(committed: core.catalog.topology.nodes[node], heard: gossip.member(node)?.record)
    }

    package func take(_ found: [FoundDeath], by witness: NodeID) async { noteDeaths(DeathReport(found, witness: witness)) }

    package func leader() async -> LeaderHint {
        guard let leader = raft.leader?.node else { return .unknown }
        guard leader != node else { return .here }
        return places[leader].map { .elsewhere(leader, linkAddress: $0.addresses.link) } ?? .unknown
    }

    package func confirmQuorum() async -> Revision? { await refresh() ? core.catalog.topology.revision : nil }
}
