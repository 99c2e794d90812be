import AgentCore
import Engine
import Foundation
import KeyEncoding
import Logging
import Model
import Replication
import Synchronization
import Testing
import Wire

@testable import AgentServer

/// An engine that fails, or waits, where a test says so.
final class SickEngine: StorageEngine {
    enum Call: Hashable, Sendable { case open, create, apply, recall, snapshot, hash, sync, remove, beginImport }
    typealias Fault = @Sendable (Call) async -> EngineError?

    let sound: SQLiteEngine
    private let fault = Mutex<Fault>({ _ in nil })
    private let calls = Mutex<[Call: Int]>([:])

    init(_ sound: SQLiteEngine) { self.sound = sound }

    func set(_ fault: @escaping Fault) { self.fault.withLock { $0 = fault } }
    func count(of call: Call) -> Int { calls.withLock { $0[call] ?? 0 } }

    private func meet(_ call: Call) async throws(EngineError) {
        calls.withLock { $0[call, default: 0] += 1 }
        let fault = fault.withLock { $0 }
        if let error = await fault(call) { throw error }
    }

    /// No storage can be opened, where it fails.
    func open() async throws(EngineError) -> StorageInventory {
        let inventory = try await sound.open()
        do { try await meet(.open) } catch {
            return StorageInventory(storages: [], damaged: inventory.storages.map { (storage: $0.storage, error: error) })
        }
        return inventory
    }
    func create(
        _ storage: StorageID, for table: TableDescriptor, holding partition: PartitionState, limit: Int
    ) async throws(EngineError) -> Bool {
        try await meet(.create)
        return try await sound.create(storage, for: table, holding: partition, limit: limit)
    }
    func state(of storage: StorageID) async throws(EngineError) -> StorageState? { try await sound.state(of: storage) }
    @discardableResult
    func apply(
        _ entries: [CommittedEntry], to partition: PartitionID, in storage: StorageID
    ) async throws(EngineError) -> PartitionState {
        try await meet(.apply)
        return try await sound.apply(entries, to: partition, in: storage)
    }
    @discardableResult
    func sync(_ storage: StorageID) async throws(EngineError) -> [PartitionState] {
        try await meet(.sync)
        return try await sound.sync(storage)
    }
    func split(
        _ parent: PartitionID, into children: [PartitionState], in storage: StorageID, at position: Position
    ) async throws(EngineError) {
        try await sound.split(parent, into: children, in: storage, at: position)
    }
    func merge(
        _ parents: [MergedPartition], into merged: PartitionState, in storage: StorageID
    ) async throws(EngineError) {
        try await sound.merge(parents, into: merged, in: storage)
    }
    func remove(_ partition: PartitionID, from storage: StorageID, limit: Int) async throws(EngineError) -> Bool {
        try await meet(.remove)
        return try await sound.remove(partition, from: storage, limit: limit)
    }
    func recall(
        _ key: IdempotencyKey, of partition: PartitionID, in storage: StorageID
    ) async throws(EngineError) -> Recollection {
        try await meet(.recall)
        return try await sound.recall(key, of: partition, in: storage)
    }
    func get(_ key: Key, in storage: StorageID) async throws(EngineError) -> [Value]? {
        try await sound.get(key, in: storage)
    }
    func scan(
        _ range: KeyRange, in storage: StorageID, rowLimit: Int, byteLimit: Int
    ) async throws(EngineError) -> RowPage {
        try await sound.scan(range, in: storage, rowLimit: rowLimit, byteLimit: byteLimit)
    }
    func snapshot(of partition: PartitionID, in storage: StorageID) async throws(EngineError) -> any StorageSnapshot {
        try await meet(.snapshot)
        return Snapshot(sound: try await sound.snapshot(of: partition, in: storage), engine: self)
    }
    func imageSnapshot(
        of partition: PartitionID, in storage: StorageID, sizes: ClosedRange<UInt64>
    ) async throws(EngineError) -> any StorageSnapshot {
        try await meet(.snapshot)
        return Snapshot(sound: try await sound.imageSnapshot(of: partition, in: storage, sizes: sizes), engine: self)
    }
    func renew(_ snapshot: any StorageSnapshot, in storage: StorageID) async throws(EngineError) -> any StorageSnapshot {
        try await meet(.snapshot)
        return Snapshot(sound: try await sound.renew(snapshot, in: storage), engine: self)
    }
    func statistics(of range: KeyRange, in storage: StorageID) async throws(EngineError) -> RangeStatistics {
        try await sound.statistics(of: range, in: storage)
    }
    func middleKey(of range: KeyRange, in storage: StorageID) async throws(EngineError) -> Key? {
        try await sound.middleKey(of: range, in: storage)
    }
    func beginImport(
        _ storage: StorageID, for table: TableDescriptor, at start: PartitionState, advancing: Bool, limit: Int
    ) async throws(EngineError) -> ImportState? {
        try await meet(.beginImport)
        return try await sound.beginImport(storage, for: table, at: start, advancing: advancing, limit: limit)
    }
    @discardableResult
    func advanceImport(
        by entries: [CommittedEntry], chunk: UInt64, of start: PartitionState, in storage: StorageID
    ) async throws(EngineError) -> ImportState {
        try await sound.advanceImport(by: entries, chunk: chunk, of: start, in: storage)
    }
    @discardableResult
    func ingest(
        _ rows: [Row], _ record: WriteRecord?, chunk: UInt64, of start: PartitionState, into storage: StorageID
    ) async throws(EngineError) -> ImportState {
        try await sound.ingest(rows, record, chunk: chunk, of: start, into: storage)
    }
    func finishImport(of start: PartitionState, in storage: StorageID) async throws(EngineError) {
        try await sound.finishImport(of: start, in: storage)
    }
    func beginPages(
        _ image: PageImage, of start: PartitionState, into storage: StorageID
    ) async throws(EngineError) -> UInt64? {
        try await sound.beginPages(image, of: start, into: storage)
    }
    @discardableResult
    func ingest(
        _ run: PageRun, chunk: UInt64, of start: PartitionState, into storage: StorageID
    ) async throws(EngineError) -> UInt64 {
        try await sound.ingest(run, chunk: chunk, of: start, into: storage)
    }
    func finishPages(of start: PartitionState, in storage: StorageID) async throws(EngineError) {
        try await sound.finishPages(of: start, in: storage)
    }
    func inspect(_ storage: StorageID, from page: UInt64, limit: Int) async throws(EngineError) -> Inspection {
        try await sound.inspect(storage, from: page, limit: limit)
    }
    func unreadablePartitions(in storage: StorageID) async throws(EngineError) -> [PartitionID] {
        try await sound.unreadablePartitions(in: storage)
    }
    func close() async { await sound.close() }

    private struct Snapshot: StorageSnapshot {
        let sound: any StorageSnapshot
        let engine: SickEngine
        var state: PartitionState { sound.state }
        func rows(after key: Key?, byteLimit: Int) async throws(EngineError) -> [Row] {
            try await sound.rows(after: key, byteLimit: byteLimit)
        }
        func writes(after key: IdempotencyKey?, byteLimit: Int) async throws(EngineError) -> WriteRecord {
            try await sound.writes(after: key, byteLimit: byteLimit)
        }
        func checksum() async throws(EngineError) -> RangeChecksum {
            try await engine.meet(.hash)
            return try await sound.checksum()
        }
        var image: PageImage? { sound.image }
        func pages(from first: UInt64, limit: Int) async throws(EngineError) -> [UInt8] {
            try await sound.pages(from: first, limit: limit)
        }
        func close() async { await sound.close() }
    }
}

/// A worker over a sick engine with one storage, and what it says to the core.
final class WorkerRig: Sendable {
    static let storage = StorageID(1)
    static let partition = PartitionID(1)

    let engine: SickEngine
    let troubles = EngineTroubles()
    let worker: EngineWorker
    let table: TableDescriptor
    let folder: String
    private let heard: Heard
    private let running: Task<Void, any Error>

    private final class Heard: Sendable {
        let inputs = Mutex<[AgentInput]>([])
        func add(_ input: AgentInput) { inputs.withLock { $0.append(input) } }
    }

    init() async throws {
        folder = FileManager.default.temporaryDirectory.path + "/worker-\(UUID().uuidString)"
        let id = Column(name: try RelationName("id"), type: .integer)
        table = TableDescriptor(
            id: TableID(1), name: try RelationName("t"), columns: [id], partitionKey: id.name, sortKey: nil,
            replicationFactor: 1, minInSync: 1, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        engine = SickEngine(SQLiteEngine(folder: folder))
        _ = try await engine.open()
        try await engine.create(
            Self.storage, for: table,
            holding: PartitionState(partition: Self.partition, range: .all, applied: .zero, checksum: 0))
        let heard = Heard()
        let worker = EngineWorker(
            engine: engine, troubles: troubles, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { heard.add($0) }
        self.worker = worker
        self.heard = heard
        running = Task { try await worker.run() }
    }

    var inputs: [AgentInput] { heard.inputs.withLock { $0 } }
    var hasFailed: Bool {
        inputs.contains { input in
            switch input {
            case .failed, .installationFailed: true
            default: false
            }
        }
    }

    func close() async throws {
        running.cancel()
        try await running.value
        await engine.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Turns a bit of a page over, or back.
    func rot(page: Int) throws {
        let file = try FileHandle(forUpdating: URL(filePath: "\(folder)/storage-\(Self.storage).sqlite"))
        let offset = UInt64(page * 8_192 - 4_000)
        try file.seek(toOffset: offset)
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: offset)
        try file.write(contentsOf: Data([byte ^ 4]))
        try file.close()
    }

    func position(_ sequence: UInt64) -> Position { Position(epoch: Epoch(1), run: 1, sequence: sequence) }

    func key(_ number: Int64) throws -> Key { try KeyLayout(table).key(of: [.integer(number)]) }

    /// Puts two halves in the place of the one partition, in the engine.
    func split(at number: Int64, into halves: [PartitionID], after sequence: UInt64 = 0) async throws {
        let bound = try key(number)
        let ranges = [KeyRange(low: .least, high: bound), KeyRange(low: bound, high: nil)]
        let at = sequence == 0 ? .zero : position(sequence)
        let states = zip(halves, ranges).map {
            PartitionState(partition: $0, range: $1, applied: at, checksum: UInt32(sequence))
        }
        try await engine.split(Self.partition, into: states, in: Self.storage, at: at)
    }

    /// An entry that puts these rows.
    func entry(_ sequence: UInt64, _ rows: Range<Int64>) throws -> Entry {
        let mutations = try rows.map { Mutation.put(key: try key($0), values: [.integer($0)]) }
        return Entry(
            position: position(sequence), body: .write(WriteBatch(mutations).serialized()), checksum: UInt32(sequence))
    }

    func apply(_ sequence: UInt64, _ rows: Range<Int64>, to partition: PartitionID = WorkerRig.partition) throws {
        worker.submit(.apply(partition, [try entry(sequence, rows)]), to: Self.storage)
    }
}
