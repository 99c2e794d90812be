import Client
import KeyEncoding
import Launching
import Model
import NIOHTTP1

/// Our own coordinators.
struct CoxswainGroup: ComparedGroup {
    let cluster: BenchCluster

    var title: String { "coxswain" }
    var members: [GroupMember] { cluster.local.coordinators.map { GroupMember(name: $0.node.name, port: $0.api) } }
    var notification: String { "event: change" }

    private static let entries = "/api/v1/config/global/entries/"

    func start(_ member: GroupMember) throws { try cluster.local.startCoordinator(member.name) }

    func put(_ key: String, _ value: String) -> ClosedLoop.Request {
        .init(method: .PUT, path: "\(Self.entries)app.\(key)", body: "{\"value\":\"\(value)\"}")
    }

    func get(_ key: String, isStale: Bool) -> ClosedLoop.Request {
        .init(method: .GET, path: "\(Self.entries)app.\(key)\(isStale ? "?consistency=stale" : "")", body: "")
    }

    func watch(_ key: String) -> ClosedLoop.Request {
        .init(method: .GET, path: "/api/v1/config/global:watch?prefix=app.\(key)", body: "")
    }

    func view(of member: GroupMember) async throws -> GroupView {
        let request = ClosedLoop.Request(method: .GET, path: "/api/v1/raft/members", body: "")
        let answer = try await ask(request, at: member, milliseconds: 1_000)
        guard let body = answer.body, let term = body["term"]?.unsigned else {
            throw BenchFailure("no status: \(answer.status)")
        }
        return GroupView(leader: members.first { $0.name == body["leader"]?.string }, term: term)
    }

    func transfer(from leader: GroupMember, to successor: GroupMember) async throws {
        let request = ClosedLoop.Request(method: .POST, path: "/api/v1/raft:transfer", body: "{\"to\":\"\(successor.name)\"}")
        let answer = try await ask(request, at: leader, milliseconds: 5_000)
        guard answer.status == 200 else { throw BenchFailure("transfer: \(answer.status) \(answer.body?.text ?? "")") }
    }

    func flushes(of member: GroupMember) async throws -> Double {
        let port = cluster.local.coordinators.first { $0.node.name == member.name }?.metrics ?? 0
        return try await metric("coxswain_log_fsyncs_total", port: port)
    }
}
