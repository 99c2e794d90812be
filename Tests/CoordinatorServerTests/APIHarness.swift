import Access
import Catalog
import Consensus
import CoordinatorCore
@testable import CoordinatorServer
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Identity
import Membership
import Model
import NIOCore
import Synchronization
import Transport

/// A control plane of one member without a log: commands are applied at once to a real catalog.
final class InstantPlane: ControlPlane, Sendable {
    let feed = TopologyFeed(Topology())
    private let state = Mutex(CatalogState { Digest.sha256($0) })
    private let index = Mutex<UInt64>(0)
    private let isLeaderless = Mutex(false)

    /// The commands that were handed in.
    var commands: UInt64 { index.withLock { $0 } }

    func loseLeader() { isLeaderless.withLock { $0 = true } }

    /// What others have committed by the time the next command comes to the log, unseen by whoever hands that in.
    let interposed = Mutex<[Command]>([])

    func propose(
        _ command: Command, by actor: Principal, reason: String, requestID: Model.RequestID, fingerprint: [UInt8],
        traceID: String
    ) async throws(ControlPlaneError) -> CommandResult {
        if isLeaderless.withLock({ $0 }) { throw .noLeader }
        let before = interposed.withLock { commands in
            defer { commands = [] }
            return commands
        }
        for (place, command) in before.enumerated() {
            guard let id = try? Model.RequestID("\(requestID)-before-\(place)") else { continue }
            _ = commit(ProposedCommand(command: command, actor: actor, requestID: id))
        }
        return commit(
            ProposedCommand(
                command: command, actor: actor, reason: reason, requestID: requestID, fingerprint: fingerprint,
                traceID: traceID))
    }

    private func commit(_ proposed: ProposedCommand) -> CommandResult {
        let entry: CatalogEntry
        do throws(MalformedEntry) {
            entry = try CoordinatorCodec.standard.written(proposed.stamped(BootClock.wallTime())).entry
        } catch { return .refused(error.rejection) }
        let place = index.withLock { index -> UInt64 in
            index += 1
            return index
        }
        return state.withLock { state in
            let applied = state.apply(entry, at: place)
            if let delta = applied.delta { feed.publish(delta, leadingTo: state.topology) }
            return applied.result
        }
    }

    func catalog(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> CatalogState {
        if consistency == .linearizable, isLeaderless.withLock({ $0 }) { throw .noLeader }
        return state.withLock { $0 }
    }

    func topology(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> Topology {
        try await catalog(consistency).topology
    }

    func status() async -> CoordinatorStatus {
        CoordinatorStatus(
            id: Known.c1, member: MemberID(Known.c1), role: "leader", leader: isLeaderless.withLock { $0 } ? nil : Known.c1,
            term: 1, commit: 1, applied: 1,
            lastIndex: 1, members: [], declared: [:], isChangeUnderWay: false, isTransferring: false, drops: [:], tolerance: 0,
            breakerHolds: false, startedAt: WallTime(milliseconds: 0))
    }

    func steer(_ order: GroupOrder) async -> GroupOutcome { .done }

    func reports() async -> [NodeID: LoadReading] { loads.withLock { $0 } }
    /// What the agents are taken to have reported.
    let loads = Mutex<[NodeID: LoadReading]>([:])
    func orphans() async -> [Orphan] { strays.withLock { $0 } }
    /// What the nodes are taken to hold for nobody.
    let strays = Mutex<[Orphan]>([])
    func incidents() async -> [Incident] { failovers.withLock { $0 } }
    /// What the member is taken to know of failovers.
    let failovers = Mutex<[Incident]>([])
    func beliefs() async -> [NodeID: MemberBelief] { rumours.withLock { $0 } }
    /// What the failure detector is taken to believe.
    let rumours = Mutex<[NodeID: MemberBelief]>([:])
}

enum Known {
    static let c1: NodeID = { do { return try NodeID("c1") } catch { preconditionFailure("\(error)") } }()
}

/// What came back.
struct Answer {
    let status: Int
    let headers: HTTPFields
    let text: String

    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:] }
    subscript(name: String) -> String { (json[name]).map { "\($0)" } ?? "" }
    func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
}

private actor Collected {
    private var buffer = ByteBuffer()
    func append(_ more: ByteBuffer) { buffer.writeImmutableBuffer(more) }
    var text: String { String(buffer: buffer) }
}

private struct Collector: ResponseBodyWriter {
    let collected: Collected
    mutating func write(_ buffer: ByteBuffer) async throws { await collected.append(buffer) }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

/// Hands on what is written, piece by piece.
private struct Forwarder: ResponseBodyWriter {
    let continuation: AsyncStream<String>.Continuation
    mutating func write(_ buffer: ByteBuffer) async throws { continuation.yield(String(buffer: buffer)) }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws { continuation.finish() }
}

struct APIHarness {
    let plane = InstantPlane()
    let api: ControlAPI
    let issuer: TokenIssuer
    let authority: Authority
    let root: Caller
    let node: Caller

    init() throws {
        let cluster = try ClusterID(String(repeating: "ab", count: 16))
        authority = try Authority.create(
            cluster: "demo", at: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)))
        issuer = try TokenIssuer(key: try PrivateKey.generate(), cluster: cluster)
        api = ControlAPI(
            settings: APISettings(clusterName: "demo", cluster: cluster, node: Known.c1, keyring: try GossipKeyring.generate()),
            plane: plane, issuer: issuer, authority: authority)
        root = Caller(principal: try Principal("operator/ada"), role: .root)
        node = Caller(principal: try Principal("node/n1"), role: .node)
    }

    /// Nodes n1... in zones a, b, c by turns.
    func start(nodes: Int) async throws {
        for number in 1...nodes {
            let registration = NodeRegistration(
                node: try NodeID("n\(number)"), store: StoreID(UInt64(number)), generation: Generation(1),
                zone: try ZoneName(["a", "b", "c"][(number - 1) % 3]),
                addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"))
            _ = try await plane.propose(
                .registerNode(registration), by: node.principal, reason: "", requestID: try Model.RequestID("start-\(number)"),
                fingerprint: [], traceID: "")
        }
    }

    /// Reports every replica of every partition as made, as the agents do.
    func makeReady() async throws {
        let topology = try await plane.catalog(.local).topology
        for partition in topology.partitions.values {
            for replica in partition.inSync {
                _ = try await plane.propose(
                    .partition(
                        .replicaReady(partition.id, expecting: partition.epoch), from: replica,
                        session: topology.nodes[replica]?.session ?? .none),
                    by: node.principal, reason: "", requestID: try Model.RequestID("ready-\(partition.id)-\(replica)"),
                    fingerprint: [], traceID: "")
            }
        }
    }

    /// Commits the key that signs tokens, as a coordinator does at its start.
    func publishKey() async throws {
        _ = try await plane.propose(
            .addSigningKey(issuer.signingKey(createdAt: WallTime(milliseconds: 0))), by: root.principal, reason: "",
            requestID: try Model.RequestID("key"), fingerprint: [], traceID: "")
    }

    func ask(
        _ method: HTTPRequest.Method, _ path: String, _ body: String = "", headers: [String: String] = [:], as caller: Caller?
    ) async throws -> Answer {
        var fields = HTTPFields()
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        let head = HTTPRequest(method: method, scheme: "https", authority: "c1", path: path, headerFields: fields)
        let response = await api.answer(Request(head: head, body: .init(buffer: ByteBuffer(string: body))), from: caller)
        let collected = Collected()
        try await response.body.write(Collector(collected: collected))
        return Answer(status: response.status.code, headers: response.headers, text: await collected.text)
    }

    /// An answer without an end, read until it has told so many events (or, if there are none to come, until it ends by itself).
    func events(_ count: Int, of path: String, headers: [String: String] = [:], as caller: Caller? = nil) async -> [String] {
        var fields = HTTPFields()
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        let head = HTTPRequest(
            method: .get, scheme: "https", authority: "c1", path: "/api/v1" + path, headerFields: fields)
        let response = await api.answer(Request(head: head, body: .init(buffer: ByteBuffer())), from: caller ?? root)
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await response.body.write(Forwarder(continuation: continuation))
                continuation.finish()
            }
            defer { group.cancelAll() }
            var text = ""
            for await piece in stream {
                text += piece
                let told = text.components(separatedBy: "\n\n").dropLast().filter { $0.contains("event: ") }
                if told.count >= count { return told }
            }
            return text.components(separatedBy: "\n\n").filter { $0.contains("event: ") }
        }
    }

    func post(_ path: String, _ body: String = "", headers: [String: String] = [:]) async throws -> Answer {
        try await ask(.post, "/api/v1" + path, body, headers: headers, as: root)
    }

    func get(_ path: String) async throws -> Answer { try await ask(.get, "/api/v1" + path, as: root) }

    static func table(_ name: String, extra: String = "") -> String {
        """
        {"table_name":"\(name)","partition_key":"id","capacity":{"mode":"ON_DEMAND"},
         "schema":{"attributes":[{"name":"id","type":"text"},{"name":"n","type":"integer"}]}\(extra)}
        """
    }
}
