import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import KeyEncoding
import Logging
import Model
import NIOCore
import NIOEmbedded
import RoutingTable
import Synchronization

@testable import AgentServer

/// A gateway before a real engine, with an owner that orders alone. Node n1 leads the partitions below 2000, n2 the rest.
struct GatewayWorld {
    let folder: URL
    let plane: Plane
    let engine: SQLiteEngine
    private let responder: GatewayResponder

    init() async throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "gateway-\(UUID().uuidString)")
        engine = SQLiteEngine(folder: folder.path)
        _ = try await engine.open()
        plane = try Plane(engine: engine)
        for (partition, table) in plane.local {
            try await engine.create(
                StorageID(partition.id.number), for: table,
                holding: PartitionState(partition: partition.id, range: partition.range, applied: .zero, checksum: 0))
        }
        responder = GatewayResponder(plane: plane, engine: engine, tokens: Tokens(), logger: Logger(label: "test"))
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    struct Answer {
        let status: Int
        let contentType: String?
        let retryAfter: String?
        let body: String

        var members: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]) ?? [:]
        }
        var code: String? { members["code"] as? String }
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, _ body: String = "", table: String = "things", token: String? = "writer",
        idempotencyKey: String? = nil
    ) async throws -> Answer {
        var fields = HTTPFields()
        if let token { fields[.authorization] = "Bearer \(token)" }
        if let idempotencyKey, let name = HTTPField.Name("Idempotency-Key") { fields[name] = idempotencyKey }
        let request = Request(
            head: HTTPRequest(
                method: method, scheme: "https", authority: "localhost", path: "/v1/tables/\(table)/\(path)",
                headerFields: fields),
            body: RequestBody(buffer: ByteBuffer(string: body)))
        let context = BasicRequestContext(
            source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test")))
        let response = try await responder.respond(to: request, context: context)
        let collector = Collector()
        try await response.body.write(collector)
        return Answer(
            status: response.status.code, contentType: response.headers[.contentType],
            retryAfter: response.headers[.retryAfter], body: collector.text)
    }

    private final class Collector: ResponseBodyWriter, Sendable {
        private let bytes = Mutex<[UInt8]>([])
        var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
        func write(_ buffer: ByteBuffer) async throws { bytes.withLock { $0 += buffer.readableBytesView } }
        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    /// `writer` may do all, `reader` may read; both know only table `things`, and `nothing` that does not exist.
    struct Tokens: TokenChecking {
        func verify(
            authorization: String?, for request: AccessRequest, under topology: Topology, at now: WallTime
        ) throws(TokenRefusal) -> TokenClaims {
            guard let authorization else { throw .missing }
            guard authorization == "Bearer writer" || request.action == .read else { throw .actionNotGranted(request.action) }
            return TokenClaims(
                issuer: "", subject: "", audience: [], expiresAt: 0, notBefore: nil, issuedAt: nil, id: "1",
                grant: .table(request.table.name, actions: []))
        }
    }

    final class Plane: DataPlane {
        let node: NodeID
        private let damages = Mutex<[PartitionID]>([])
        var damaged: [PartitionID] { damages.withLock { $0 } }
        func damageFound(in partition: PartitionID, _ what: String) { damages.withLock { $0.append(partition) } }
        private let table: Mutex<Routes>
        private let reads = Mutex<[RowConsistency]>([])
        /// Of the bounded reads, as they came.
        let ages = Mutex<[Span]>([])
        let readKeys = Mutex<[(PartitionID, Key)]>([])
        /// Whether the replica goes away while the engine is read.
        let isDroppedBeneathReads = Mutex(false)
        /// Of the writes, as they came.
        let keys = Mutex<[IdempotencyKey?]>([])
        let local: [(PartitionDescriptor, TableDescriptor)]
        private let engine: SQLiteEngine
        private let state = Mutex<(refusal: DataRefusal?, sequences: [PartitionID: UInt64])>((nil, [:]))

        init(engine: SQLiteEngine) throws {
            self.engine = engine
            let (n1, n2) = (try NodeID("n1"), try NodeID("n2"))
            node = n1
            let nodes = try [(n1, 1), (n2, 2)].map { id, port in
                NodeDescriptor(
                    id: id, store: StoreID(UInt64(port)), session: SessionID(1), generation: Generation(1),
                    zone: try ZoneName("a"),
                    addresses: NodeAddresses(gossip: "h:3", link: "h:2", service: "127.0.0.1:\(port)"), status: .healthy)
            }
            let types: [(String, ColumnType)] = [
                ("id", .integer), ("name", .text), ("size", .integer), ("blob", .bytes), ("good", .boolean),
                ("weight", .double),
                ("at", .timestamp),
            ]
            let table = TableDescriptor(
                id: TableID(4), name: try RelationName("things"),
                columns: try types.map { Column(name: try RelationName($0.0), type: $0.1) },
                partitionKey: try RelationName("id"),
                sortKey: nil, replicationFactor: 1, minInSync: 1, status: .active, capacity: Capacity(mode: .onDemand),
                createdAt: WallTime(milliseconds: 0))
            let layout = KeyLayout(table)
            let bounds = try [1_000, 2_000].map { try layout.key(of: [.integer($0)]) }
            let ranges = [
                KeyRange(low: .least, high: bounds[0]), KeyRange(low: bounds[0], high: bounds[1]),
                KeyRange(low: bounds[1], high: nil),
            ]
            let partitions = ranges.enumerated().map { index, range in
                PartitionDescriptor(
                    id: PartitionID(UInt64(10 + index)), table: table.id, range: range, epoch: Epoch(index == 2 ? 4 : 3),
                    primary: index == 2 ? n2 : n1,
                    replicas: [
                        ReplicaDescriptor(
                            node: index == 2 ? n2 : n1, store: StoreID(1), storage: StorageID(UInt64(10 + index)), role: .inSync
                        )
                    ], status: .active)
            }
            self.table = Mutex(
                try Routes(
                    Topology(
                        revision: Revision(history: 1, index: 12),
                        changes: nodes.map { .node($0) } + [.table(table)] + partitions.map { .partition($0) })))
            local = partitions.prefix(2).map { ($0, table) }
        }

        var routes: Routes { table.withLock { $0 } }

        /// Which reads the gateway asked for, since the last time that this was asked.
        func takeReads() -> [RowConsistency] {
            reads.withLock { reads in
                defer { reads = [] }
                return reads
            }
        }

        func configure(_ changes: [TopologyChange]) throws {
            var topology = routes.topology
            topology.commit(changes, at: Revision(history: 1, index: topology.revision.index + 1))
            let next = try Routes(topology)
            table.withLock { $0 = next }
        }

        func refuse(_ refusal: DataRefusal?) { state.withLock { $0.refusal = refusal } }

        /// What happens while a write waits for a change of hands, and whether that ends in time.
        let handOver = Mutex<@Sendable (Plane, PartitionID) -> Bool>({ _, _ in false })
        func awaitHandOver(of id: PartitionID, holding: Int, until: LogicalInstant) async -> Bool {
            handOver.withLock { $0 }(self, id)
        }

        var writes: Int { state.withLock { $0.sequences.values.reduce(0) { $0 + Int($1) } } }

        private func owned(_ id: PartitionID) throws(DataRefusal) -> ReplicaLocation {
            if let refusal = state.withLock({ $0.refusal }) { throw refusal }
            guard let (partition, table) = local.first(where: { $0.0.id == id }) else { throw .notHere(nil) }
            return ReplicaLocation(partition: partition, table: table, storage: StorageID(id.number), range: partition.range)
        }

        func write(
            _ mutations: [Mutation], under key: IdempotencyKey?, to id: PartitionID, at epoch: Epoch
        ) async throws(DataRefusal) -> Position {
            keys.withLock { $0.append(key) }
            let location = try owned(id)
            let sequence = state.withLock { state in
                state.sequences[id, default: 0] += 1
                return state.sequences[id, default: 0]
            }
            let position = Position(epoch: epoch, run: 1, sequence: sequence)
            do throws(EngineError) {
                try await engine.apply(
                    [CommittedEntry(position: position, checksum: 0, mutations: mutations)], to: id, in: location.storage)
            } catch { throw .unavailable("\(error)") }
            return position
        }

        func readAsked(of id: PartitionID, at key: Key) { readKeys.withLock { $0.append((id, key)) } }

        func strongRead(of id: PartitionID, at: Epoch) async throws(DataRefusal) -> ReplicaLocation {
            reads.withLock { $0.append(.strong) }
            return try owned(id)
        }
        func confirmStrongRead(of id: PartitionID, at: Epoch) async throws(DataRefusal) { _ = try owned(id) }
        func confirmLocalRead(of id: PartitionID, in storage: StorageID) async throws(DataRefusal) {
            if isDroppedBeneathReads.withLock({ $0 }) { throw .notHere(routes.partition(id)) }
        }
        func localRead(of id: PartitionID) async throws(DataRefusal) -> ReplicaLocation {
            reads.withLock { $0.append(.eventual) }
            return try owned(id)
        }

        func boundedRead(of id: PartitionID, at: Epoch, within age: Span) async throws(DataRefusal) -> ReplicaLocation {
            reads.withLock { $0.append(.bounded) }
            ages.withLock { $0.append(age) }
            return try owned(id)
        }

        func status() async -> AgentStatus {
            preconditionFailure("the gateway asks for no status")
        }
    }
}
