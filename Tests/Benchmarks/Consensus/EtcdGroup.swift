import Client
import FoundationEssentials
import Glibc
import KeyEncoding
import Launching
import Model
import NIOHTTP1

/// etcd as Debian packages it, asked through its HTTP/JSON gateway. It shows the certificates that our coordinators show, asks the same
/// of its clients and peers, and lies on the same disk.
struct EtcdGroup: ComparedGroup {
    let cluster: BenchCluster
    let timing: GroupTiming
    let members: [GroupMember]
    /// By the number that each gave itself; empty until all are up.
    private var names: [UInt64: GroupMember] = [:]

    private static let program = "/usr/bin/etcd"
    static var isInstalled: Bool { access(program, X_OK) == 0 }

    var title: String { "etcd" }
    var notification: String { "\"events\":[" }

    /// Brings a group up beside our own, on ports of the agents that this cluster does not have.
    static func start(beside cluster: BenchCluster, _ timing: GroupTiming) async throws -> EtcdGroup {
        var group = EtcdGroup(
            cluster: cluster, timing: timing,
            members: (1...3).map { GroupMember(name: "e\($0)", port: cluster.local.basePort + 41 + $0) })
        for member in group.members { try group.start(member) }
        for member in group.members {
            let id = try await cluster.eventually("\(member.name) to say who it is") {
                try await group.status(of: member)["header"]?["member_id"]?.unsigned
            }
            group.names[id] = member
        }
        return group
    }

    private init(cluster: BenchCluster, timing: GroupTiming, members: [GroupMember]) {
        self.cluster = cluster
        self.timing = timing
        self.members = members
    }

    private func peerPort(_ member: GroupMember) -> Int { member.port + 10 }
    private func metricsPort(_ member: GroupMember) -> Int { member.port + 20 }

    func start(_ member: GroupMember) throws {
        let folder = cluster.local.folder
        let spec = cluster.local.coordinators[members.firstIndex(of: member) ?? 0].node.name
        let own = (certificate: "\(folder)/\(spec)/\(spec).crt", key: "\(folder)/\(spec)/\(spec).key")
        let peers = members.map { "\($0.name)=https://127.0.0.1:\(peerPort($0))" }.joined(separator: ",")
        let (client, peer) = ("https://127.0.0.1:\(member.port)", "https://127.0.0.1:\(peerPort(member))")
        let authority = "\(folder)/authority.crt"
        try cluster.local.children.start(
            member.name, Self.program,
            [
                "--name", member.name, "--data-dir", "\(folder)/\(member.name)",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", peers, "--initial-cluster-state", "new", "--initial-cluster-token", "bench",
                "--cert-file", own.certificate, "--key-file", own.key, "--trusted-ca-file", authority, "--client-cert-auth",
                "--peer-cert-file", own.certificate, "--peer-key-file", own.key, "--peer-trusted-ca-file", authority,
                "--peer-client-cert-auth",
                "--election-timeout", "\(timing.electionMilliseconds)", "--heartbeat-interval",
                "\(timing.heartbeatMilliseconds)",
                "--listen-metrics-urls", "http://127.0.0.1:\(metricsPort(member))",
                "--logger", "zap", "--log-level", "error", "--log-outputs", "stderr",
            ], log: "\(folder)/\(member.name).log")
    }

    // MARK: - What is asked

    private static func encode(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    func put(_ key: String, _ value: String) -> ClosedLoop.Request {
        .init(
            method: .POST, path: "/v3/kv/put", body: "{\"key\":\"\(Self.encode(key))\",\"value\":\"\(Self.encode(value))\"}")
    }

    func get(_ key: String, isStale: Bool) -> ClosedLoop.Request {
        .init(
            method: .POST, path: "/v3/kv/range",
            body: "{\"key\":\"\(Self.encode(key))\"\(isStale ? ",\"serializable\":true" : "")}")
    }

    func watch(_ key: String) -> ClosedLoop.Request {
        .init(method: .POST, path: "/v3/watch", body: "{\"create_request\":{\"key\":\"\(Self.encode(key))\"}}")
    }

    private func status(of member: GroupMember) async throws -> JSONValue {
        let request = ClosedLoop.Request(method: .POST, path: "/v3/maintenance/status", body: "{}")
        let answer = try await ask(request, at: member, milliseconds: 1_000)
        guard answer.status == 200, let body = answer.body else { throw BenchFailure("\(member.name): \(answer.status)") }
        return body
    }

    func view(of member: GroupMember) async throws -> GroupView {
        let status = try await status(of: member)
        return GroupView(leader: status["leader"]?.unsigned.flatMap { names[$0] }, term: status["raftTerm"]?.unsigned ?? 0)
    }

    func transfer(from leader: GroupMember, to successor: GroupMember) async throws {
        guard let id = names.first(where: { $0.value == successor })?.key else { throw BenchFailure("no such member") }
        let request = ClosedLoop.Request(
            method: .POST, path: "/v3/maintenance/transfer-leadership", body: "{\"targetID\":\"\(id)\"}")
        let answer = try await ask(request, at: leader, milliseconds: 5_000)
        guard answer.status == 200 else { throw BenchFailure("transfer: \(answer.status) \(answer.body?.text ?? "")") }
    }

    /// Of its log, and of the commits of its backend; each of the latter is more than one.
    func flushes(of member: GroupMember) async throws -> Double {
        let names = ["etcd_disk_wal_fsync_duration_seconds_count", "etcd_disk_backend_commit_duration_seconds_count"]
        var total = 0.0
        for name in names { total += try await metric(name, port: metricsPort(member)) }
        return total
    }
}
