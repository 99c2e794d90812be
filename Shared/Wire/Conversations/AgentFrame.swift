package import Model

/// What an agent says to a coordinator in its session.
package enum AgentFrame: Hashable, Sendable, WireCodable {
    /// Send the changes since this revision, and go on (rule T2). Asked again, it starts again from there.
    case watch(from: Revision)
    /// In the name of a session of the sender (rule E6).
    case propose(RequestID, PartitionProposal, SessionID)
    case register(RequestID, AgentRegistration)
    /// The sender's failure detector holds these lives of nodes to be over (rule F1): at most `FoundDeath.mostOfReport`.
    case deathReport([FoundDeath])
    case loadReport(NodeReport)
    case ping(UInt64)
    /// Answered under this number once the leader has been sure of its quorum, after the question: what a fence needs (rule M4).
    case confirmQuorum(UInt64)

    package init(wire: ProtoAgentFrame) throws(WireError) {
        switch try Check.present(wire.frame, "AgentFrame.frame") {
        case .watch(let revision): self = .watch(from: try Revision(wire: revision))
        case .propose(let propose):
            guard propose.hasProposal else { throw WireError("Propose.proposal", .missing) }
            self = .propose(
                try Check.formed(propose.requestID, "Propose.request_id", as: RequestID.init(_:)),
                try PartitionProposal(wire: propose.proposal), try Check.identifier(propose.session, "Propose.session"))
        case .register(let register):
            guard register.hasRegistration else { throw WireError("Register.registration", .missing) }
            self = .register(
                try Check.formed(register.requestID, "Register.request_id", as: RequestID.init(_:)),
                try AgentRegistration(wire: register.registration))
        case .deathReport(let report):
            self = .deathReport(
                try Check.list(report.deaths, "DeathReport.deaths", atMost: FoundDeath.mostOfReport, FoundDeath.init(wire:)))
        case .loadReport(let report): self = .loadReport(try NodeReport(wire: report))
        case .ping(let number): self = .ping(number)
        case .confirmQuorum(let number): self = .confirmQuorum(number)
        }
    }

    package var wire: ProtoAgentFrame {
        var wire = ProtoAgentFrame()
        switch self {
        case .watch(let revision): wire.watch = revision.wire
        case .propose(let request, let proposal, let session):
            wire.propose.requestID = request.text
            wire.propose.proposal = proposal.wire
            wire.propose.session = session.number
        case .register(let request, let registration):
            wire.register.requestID = request.text
            wire.register.registration = registration.wire
        case .deathReport(let found): wire.deathReport.deaths = found.map(\.wire)
        case .loadReport(let report): wire.loadReport = report.wire
        case .ping(let number): wire.ping = number
        case .confirmQuorum(let number): wire.confirmQuorum = number
        }
        return wire
    }
}
