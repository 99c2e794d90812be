// Two nodes as far as a copy goes: an engine each, and links between them over real sockets.

import Engine
import Foundation
import Identity
import KeyEncoding
import Logging
import Model
import Replication
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

/// What the agent around a copy does, on either side.
final class RigHost: CopyHost {
    private struct State {
        var silence = Span.seconds(30)
        var rate = Int64(1) << 40
        var begun: UInt64 = 0
        var finished: [LogPoint] = []
        var progress: [CopyProgress] = []
        var onProgress: (@Sendable (CopyProgress) -> Void)?
        var renewal: (@Sendable () async throws -> Void)?
        var decision: (@Sendable () async throws -> Void)?
        var log = ReplicaLog()
        var stands: [LogPoint] = []
        var imageHeld = true
        var images: [PageImage?] = []
    }

    private let engine: SQLiteEngine
    private let table: TableDescriptor
    private let state = Mutex(State())

    init(engine: SQLiteEngine, table: TableDescriptor) {
        self.engine = engine
        self.table = table
    }

    var copySilence: Span {
        get { state.withLock { $0.silence } }
        set { state.withLock { $0.silence = newValue } }
    }
    var copyRate: Int64 {
        get { state.withLock { $0.rate } }
        set { state.withLock { $0.rate = newValue } }
    }
    /// Whether a snapshot whose pages are sent may be held on.
    var imageHeld: Bool {
        get { state.withLock { $0.imageHeld } }
        set { state.withLock { $0.imageHeld = newValue } }
    }
    /// What was offered at each beginning.
    var images: [PageImage?] { state.withLock { $0.images } }
    var finished: [LogPoint] { state.withLock { $0.finished } }
    var progress: [CopyProgress] { state.withLock { $0.progress } }

    func onProgress(_ body: (@Sendable (CopyProgress) -> Void)?) { state.withLock { $0.onProgress = body } }

    /// Orders an entry, as a primary does.
    func order(_ mutations: [Mutation]) -> Entry {
        state.withLock { state in
            state.log.order(.write(WriteBatch(mutations).serialized()), in: Term(epoch: Epoch(1), run: 1))
        }
    }

    func forget(through sequence: UInt64) { state.withLock { $0.log.forget(through: sequence) } }
    /// What was said to be needed of the log.
    var stands: [LogPoint] { state.withLock { $0.stands } }

    func changes(
        of partition: PartitionID, after point: LogPoint, through end: LogPoint, in term: Term
    ) async -> [Entry]? {
        let entries: [Entry]? = state.withLock { state in
            guard state.log.point(at: point.sequence) == point, state.log.point(at: end.sequence) == end else { return nil }
            return state.log.entries(from: point.sequence + 1, through: end.sequence, bytes: .max, limit: .max)
        }
        do { try await state.withLock { $0.decision }?() } catch { Issue.record(error) }
        return entries
    }

    /// Does this each time a sender has asked for what has happened since a point.
    func decide(before body: @escaping @Sendable () async throws -> Void) { state.withLock { $0.decision = body } }

    /// Makes each chunk of rows be followed by another snapshot, before which this is done.
    func renew(after body: @escaping @Sendable () async throws -> Void) { state.withLock { $0.renewal = body } }

    func mayHold(_ partition: PartitionID, for span: Duration, isImage: Bool) async -> Bool {
        if isImage { return state.withLock { $0.imageHeld } }
        guard let body = state.withLock({ $0.renewal }) else { return true }
        do { try await body() } catch { Issue.record(error) }
        return false
    }

    func copyStands(_ partition: PartitionID, on target: NodeID, at point: LogPoint) async {
        state.withLock { $0.stands.append(point) }
    }

    func begin(
        _ copy: CopyStart, from sender: NodeID, advancing: Bool
    ) async throws(EngineError) -> BegunCopy? {
        let start = PartitionState(
            partition: copy.partition, range: .all, applied: copy.start.position, checksum: copy.start.checksum)
        let number = state.withLock { state in
            state.begun += 1
            state.images.append(copy.image)
            return state.begun
        }
        return BegunCopy(
            number: number,
            state: try await engine.beginImport(copy.storage, for: table, at: start, advancing: advancing))
    }

    func finished(_ copy: CopyStart, number: UInt64) async { state.withLock { $0.finished.append(copy.start) } }

    func damageFound(in partition: PartitionID, _ what: String) { Issue.record("\(partition): \(what)") }

    func copyProgressed(_ progress: CopyProgress) async {
        let body = state.withLock { state in
            state.progress.append(progress)
            return state.onProgress
        }
        body?(progress)
    }
}

/// Keeps what is logged.
final class LogBook: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    var logger: Logger { Logger(label: "rig") { _ in Handler(book: self) } }

    private struct Handler: LogHandler {
        let book: LogBook
        var metadata = Logger.Metadata()
        var logLevel = Logger.Level.info
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let said = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
            book.lines.withLock { $0.append("\(event.message) \(said)") }
        }
    }
}

final class CopyRig: Sendable {
    static let partition = PartitionID(7)
    static let (sourceStorage, targetStorage) = (StorageID(7), StorageID(8))
    static let (sender, receiver) = ("n1", "n2")

    let folder: String
    let table: TableDescriptor
    let source: SQLiteEngine
    let target: SQLiteEngine
    let sourceHost: RigHost
    let targetHost: RigHost
    let book = LogBook()
    private let authority: Authority

    init() async throws {
        folder = FileManager.default.temporaryDirectory.path + "/copy-\(UUID().uuidString)"
        let id = Column(name: try RelationName("id"), type: .integer)
        table = TableDescriptor(
            id: TableID(1), name: try RelationName("t"), columns: [id, Column(name: try RelationName("b"), type: .bytes)],
            partitionKey: id.name, sortKey: nil, replicationFactor: 1, minInSync: 1, status: .active,
            capacity: Capacity(mode: .onDemand), createdAt: WallTime(milliseconds: 0))
        source = SQLiteEngine(folder: folder + "/source")
        target = SQLiteEngine(folder: folder + "/target")
        sourceHost = RigHost(engine: source, table: table)
        targetHost = RigHost(engine: target, table: table)
        authority = try Authority.create(cluster: "rig", at: BootTime.wall)
        for engine in [source, target] { _ = try await engine.open() }
        try await source.create(
            Self.sourceStorage, for: table,
            holding: PartitionState(partition: Self.partition, range: .all, applied: .zero, checksum: 0))
    }

    func close() async {
        await source.close()
        await target.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func endpoint(_ name: String) throws -> LinkEndpoint {
        let key = try PrivateKey.generate()
        let certificate = try authority.issue(
            try PeerIdentity(cluster: "rig", role: .node, name: name), publicKey: try key.publicKey(),
            addresses: ["127.0.0.1"], at: BootTime.wall)
        let contexts = try LinkContexts(
            try TLSIdentity(certificate: certificate, key: key, authority: authority.certificate))
        return LinkEndpoint(
            cluster: try ClusterID("00000000000000000000000000000001"), clusterName: "rig", node: try NodeID(name),
            store: StoreID(7), generation: Generation(1), contexts: { contexts })
    }

    /// The end that sends.
    func sending(leastImage: UInt64 = CopyStreams.leastImage) throws -> CopyStreams {
        CopyStreams(
            engine: source, endpoint: try endpoint(Self.sender), host: sourceHost, leastImage: leastImage, logger: book.logger)
    }

    /// The end that receives.
    func receiving() throws -> CopyStreams {
        CopyStreams(engine: target, endpoint: try endpoint(Self.receiver), host: targetHost, logger: book.logger)
    }

    /// Accepts copies at the receiver's end with `handler`, for as long as `body` runs.
    func listening(
        _ handler: @escaping LinkListener.Handler, _ body: (LinkListener, CopyOrder) async throws -> Void
    ) async throws {
        let listener = LinkListener(
            endpoint: try endpoint(Self.receiver), address: HostPort(host: "127.0.0.1", port: 0), handlers: [.copy: handler],
            logger: book.logger)
        let task = Task { try await listener.run() }
        defer { task.cancel() }
        try await eventually("the listener is there") { listener.port != nil }
        let term = Term(epoch: Epoch(1), run: 1)
        try await body(
            listener,
            CopyOrder(
                partition: Self.partition, epoch: Epoch(1), term: term, storage: Self.sourceStorage,
                target: try NodeID(Self.receiver), targetAddress: "127.0.0.1:\(listener.port ?? 0)",
                targetStorage: Self.targetStorage, operation: nil))
        task.cancel()
        _ = try? await task.value
    }

    // MARK: - Rows

    /// Bytes that do not compress.
    private func bytes(_ seed: Int64, _ version: Int64, _ count: Int) -> [UInt8] {
        var state = UInt64(bitPattern: seed &* 1_000_003 &+ version) | 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    func key(_ number: Int64) throws -> Key { try KeyLayout(table).key(of: [.integer(number)]) }

    func put(_ number: Int64, version: Int64 = 0, bytes count: Int = 1_024) throws -> Mutation {
        .put(key: try key(number), values: [.integer(number), .bytes(bytes(number, version, count))])
    }

    /// Writes these at the source, in as many entries as they take.
    func write(_ mutations: [Mutation]) async throws {
        for start in stride(from: 0, to: mutations.count, by: 500) {
            let entry = sourceHost.order(Array(mutations[start..<min(start + 500, mutations.count)]))
            try await source.apply(try [entry].committed(in: Self.sourceStorage), to: Self.partition, in: Self.sourceStorage)
        }
    }

    /// Whether both ends hold the same rows.
    func areEqual() async throws -> Bool {
        let ends = [(source, Self.sourceStorage), (target, Self.targetStorage)]
        var sums: [RangeChecksum] = []
        for (engine, storage) in ends {
            let snapshot = try await engine.snapshot(of: Self.partition, in: storage)
            sums.append(try await snapshot.checksum())
            await snapshot.close()
        }
        return sums[0] == sums[1] && sums[0].rows > 0
    }
}
