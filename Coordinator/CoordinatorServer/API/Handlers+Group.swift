import Access
import Catalog
import Consensus
import CoordinatorCore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Transport

// The coordinator group itself: who belongs to it, and who leads. A change is taken by the leader alone; another member names it. What
// is asked goes into the log before consensus is asked, so that the trail says who wanted it, whatever becomes of it.

extension Handlers {
    func groupRoutes(under v1: String) -> [Route] {
        [
            Route(.get, v1 + "/raft/members", .permission(.readCluster), handler: groupMembers),
            Route(.post, v1 + "/raft/members", .permission(.changeNodes), handler: declareMember),
            Route(.delete, v1 + "/raft/members/{node}", .permission(.changeNodes), handler: removeMember),
            Route(.post, v1 + "/raft/members/{node}:promote", .permission(.changeNodes), handler: promoteMember),
            Route(.post, v1 + "/raft/members/{node}:demote", .permission(.changeNodes), handler: demoteMember),
            Route(.post, v1 + "/raft:transfer", .permission(.changeNodes), handler: transferLeadership),
        ]
    }

    /// As this member sees its group; how far each log is, only the leader knows.
    func groupMembers(_ call: Call) async throws(Problem) -> Response {
        Response(json: Documents.group(await plane.status()))
    }

    /// Declares a coordinator. It becomes a learner when its process asks to be let in.
    func declareMember(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let (id, zoneText) = (try fields.text("node_id"), try fields.text("zone"))
        let addresses = NodeAddresses(
            gossip: try fields.text("gossip"), link: try fields.text("link"), service: try fields.text("api"))
        try fields.finish()
        let node = try call.checked { () throws(InvalidValue) in try NodeID(id) }
        let zone = try call.checked { () throws(InvalidValue) in try ZoneName(zoneText) }
        for (field, address) in [("gossip", addresses.gossip), ("link", addresses.link), ("api", addresses.service)] {
            guard HostPort(address) != nil else { throw .invalid(field, "expected host:port") }
        }
        _ = try await propose(.declareCoordinator(CoordinatorDescriptor(node: node, zone: zone, addresses: addresses)), call)
        return Response(json: Documents.group(await plane.status()), status: .accepted)
    }

    /// Takes every store of the node out of the group, and lets none of it in again.
    func removeMember(_ call: Call) async throws(Problem) -> Response {
        let node = try self.node(call)
        let status = try await leading()
        let members = status.members.filter { $0.id == node }
        guard !members.isEmpty || status.declared[node] != nil else { throw Self.unknown(node) }
        _ = try await propose(.dismissCoordinator(node), call)
        guard !members.isEmpty else { return Response(json: Documents.group(await plane.status())) }
        return try await steer(.change(members.map { .remove($0.member) }))
    }

    func promoteMember(_ call: Call) async throws(Problem) -> Response {
        let node = try self.node(call)
        let status = try await leading()
        if status.members.contains(where: { $0.id == node && $0.part == .voter }), !status.isChangeUnderWay {
            return Response(json: Documents.group(status))
        }
        guard let learner = status.members.first(where: { $0.id == node && $0.part == .learner }) else {
            guard status.declared[node] == nil else {
                throw Problem(
                    .conflict, "NOT_CAUGHT_UP", "\(node) has not asked to be let in yet",
                    hint: "start its process, and ask again",
                    field: "node", isRetryable: true, retryAfter: 1)
            }
            throw Self.unknown(node)
        }
        _ = try await propose(.steerGroup("promote", node), call)
        return try await steer(.change([.promote(learner.member)]))
    }

    func demoteMember(_ call: Call) async throws(Problem) -> Response {
        let node = try self.node(call)
        let status = try await leading()
        if status.members.contains(where: { $0.id == node && $0.part == .learner }), !status.isChangeUnderWay {
            return Response(json: Documents.group(status))
        }
        guard let voter = status.members.first(where: { $0.id == node && $0.part == .voter }) else { throw Self.unknown(node) }
        _ = try await propose(.steerGroup("demote", node), call)
        return try await steer(.change([.demote(voter.member)]))
    }

    /// Lets `to` lead, or whoever holds most of the log.
    func transferLeadership(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let name = try fields.optionalText("to")
        try fields.finish()
        let status = try await leading()
        var successor: MemberID?
        if let name {
            let node = try call.checked({ () throws(InvalidValue) in try NodeID(name) }, field: "to")
            if node == status.id { return Response(json: Documents.group(status)) }
            guard let member = status.members.first(where: { $0.id == node && $0.part == .voter }) else {
                throw Problem(
                    .conflict, "NOT_A_VOTER", "\(node) is no voter of this group", hint: "coxctl raft status names them",
                    field: "to")
            }
            successor = member.member
        }
        _ = try await propose(.steerGroup("transfer", successor?.node ?? status.id), call)
        return try await steer(.transfer(to: successor))
    }

    // MARK: - What they share

    private func node(_ call: Call) throws(Problem) -> NodeID {
        try call.checked({ () throws(InvalidValue) in try NodeID(call.parameter("node")) }, field: "node")
    }

    private static func unknown(_ node: NodeID) -> Problem {
        Problem(
            .notFound, "MEMBER_NOT_FOUND", "\(node) is no member of this group", hint: "coxctl raft status names them",
            field: "node")
    }

    /// This member's view, if it leads.
    private func leading() async throws(Problem) -> CoordinatorStatus {
        let status = await plane.status()
        guard status.leader == status.id else { throw Problem(.notLeader(nil), in: status) }
        return status
    }

    private func steer(_ order: GroupOrder) async throws(Problem) -> Response {
        let outcome = await plane.steer(order)
        let status = await plane.status()
        switch outcome {
        case .done: return Response(json: Documents.group(status))
        case .unknown: return Response(json: Documents.group(status), status: .accepted)
        case .refused(let refusal): throw Problem(refusal, in: status)
        case .givenUp:
            throw Problem(
                .conflict, "TRANSFER_GIVEN_UP", "the member that was to lead did not take over; \(status.id) leads on",
                hint: "coxctl raft status shows whether it keeps up", isRetryable: true, retryAfter: 1)
        }
    }
}

extension Problem {
    init(_ refusal: Raft.Refusal, in status: CoordinatorStatus) {
        func again(_ code: String, _ detail: String, hint: String = "ask again in a moment") -> Problem {
            Problem(.conflict, code, detail, hint: hint, isRetryable: true, retryAfter: 1)
        }
        func wrong(
            _ code: String, _ detail: String, hint: String = "coxctl raft status names them",
            _ status: HTTPResponse.Status = .conflict
        ) -> Problem {
            Problem(status, code, detail, hint: hint, field: "node")
        }
        switch refusal {
        case .notLeader:
            guard let leader = status.leader, leader != status.id else {
                self.init(ControlPlaneError.noLeader)
                return
            }
            let api = status.members.first { $0.id == leader }?.addresses?.service
            self.init(
                .serviceUnavailable, "NOT_LEADER", "\(leader) leads, not \(status.id)",
                hint: api.map { "ask https://\($0)" } ?? "ask \(leader)", isRetryable: true, retryAfter: 1)
        case .transferring: self = again("TRANSFERRING", "leadership is on its way to another member")
        case .changeUnderWay: self = again("CHANGE_UNDER_WAY", "the last change of members is not finished")
        case .notCommittedInTerm: self = again("LEADER_STARTING", "the leader has not committed anything of its own yet")
        case .notCaughtUp(let member, let behind):
            self = again("NOT_CAUGHT_UP", "\(member) is \(behind) entries behind, or has not answered lately")
        case .unknownMember(let member):
            self = wrong("MEMBER_NOT_FOUND", "\(member) is no member", .notFound)
        case .alreadyMember(let member):
            self = wrong("ALREADY_MEMBER", "\(member) is that already", hint: "coxctl raft status shows it")
        case .notVoter(let member): self = wrong("NOT_A_VOTER", "\(member) is no voter")
        case .noVoterLeft:
            self = wrong("LAST_VOTER", "nobody would be left to vote", hint: "add and promote another member first")
        case .twoVotes(let node):
            self = wrong("TWO_VOTES", "\(node) would have two votes", hint: "one store of it votes already")
        case .tooManyMembers(let limit):
            self = wrong("LIMIT_REACHED", "a group has at most \(limit) members", hint: "remove one first")
        case .tooMuchUncommitted, .commandTooLarge: self.init(ControlPlaneError.overloaded("too much waits to be committed"))
        }
    }
}

extension Documents {
    static func group(_ status: CoordinatorStatus) -> JSONNode {
        let members = status.members.map { peer -> JSONNode in
            .object([
                "member": .string(peer.member.description), "node_id": .string(peer.id.name),
                "role": .string(peer.part.rawValue), "leads": .boolean(peer.id == status.leader && peer.part == .voter),
                "zone": .string(peer.zone?.name), "api": .string(peer.addresses?.service),
                "link": .string(peer.addresses?.link), "gossip": .string(peer.addresses?.gossip),
                "connected": .boolean(peer.isConnected), "match": peer.match.map { .number($0) } ?? .null,
                "behind": peer.match.map { .number(status.lastIndex - min($0, status.lastIndex)) } ?? .null,
                "mode": .string(peer.mode),
            ])
        }
        let waiting = status.declared.values.filter { declared in !status.members.contains { $0.id == declared.node } }
        let expected = waiting.sorted { $0.node < $1.node }.map { declared -> JSONNode in
            .object([
                "member": .string(declared.node.name), "node_id": .string(declared.node.name), "role": .string("declared"),
                "leads": .boolean(false), "zone": .string(declared.zone.name), "api": .string(declared.addresses.service),
                "link": .string(declared.addresses.link), "gossip": .string(declared.addresses.gossip),
                "connected": .boolean(false), "match": .null, "behind": .null, "mode": .null,
            ])
        }
        let leader = status.members.first { $0.id == status.leader }
        return .object([
            "member": .string(status.member.description), "role": .string(status.role), "leader": .string(status.leader?.name),
            "leader_api": .string(leader?.addresses?.service), "term": .number(status.term), "commit": .number(status.commit),
            "applied": .number(status.applied), "last_index": .number(status.lastIndex),
            "tolerance": .number(status.tolerance), "change_under_way": .boolean(status.isChangeUnderWay),
            "transferring": .boolean(status.isTransferring), "members": .array(members + expected),
        ])
    }
}
