// The embedded engine: one SQLite database per storage, in one folder. Each storage has one writing connection and a few reading
// ones, each on a thread of its own; readers see the last committed state and never wait for the writer (write-ahead log).

import FoundationEssentials
package import LogStorage
package import Model
import Synchronization

package final class SQLiteEngine: StorageEngine {
    /// How often a moment is looked for at which nobody reads from a storage's log, before its copy goes by rows.
    private static let imageTries = 40

    private let folder: String
    private let onDiskFailure: DiskFailureResponse
    private let logWhileImaged: UInt64
    private let storages = Mutex<[StorageID: SQLiteStorage]>([:])
    /// Whose making failed, and whose file may be there all the same, whole or not. Nothing of it counts.
    private let halfMade = Mutex<Set<StorageID>>([])

    /// - Parameters:
    ///   - folder: made when it is missing.
    ///   - onDiskFailure: what becomes of the process when a flush fails (rule C3). Should it return, the storage takes nothing more.
    ///   - logWhileImaged: by how much a storage's write-ahead log may grow while its pages are copied, for nothing of it can go into the
    ///     file meanwhile.
    package init(
        folder: String, onDiskFailure: DiskFailureResponse = .endProcess, logWhileImaged: UInt64 = 256 << 20
    ) {
        self.folder = folder
        self.logWhileImaged = logWhileImaged
        self.onDiskFailure = onDiskFailure
    }

    package func open() async throws(EngineError) -> StorageInventory {
        let names: [String]
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch { throw .inputOutput(StorageID(0), detail: "\(folder): \(error)") }
        StorageFile.sweep(folder, names: names)
        var states: [StorageState] = []
        var damaged: [(storage: StorageID, error: EngineError)] = []
        for id in names.compactMap(StorageFile.storage(named:)).sorted() {
            let file = file(of: id)
            do {
                let writer = StorageWriter(file)
                guard let schema = try await writer.load() else {
                    // Its making was cut off before anybody was told of it.
                    try file.remove()
                    continue
                }
                let storage = SQLiteStorage(file, schema, writer)
                states.append(try await storage.state())
                storages.withLock { $0[id] = storage }
            } catch {
                damaged.append((id, error))
            }
        }
        return StorageInventory(storages: states, damaged: damaged)
    }

    package func close() async {
        let open = storages.withLock { storages in
            defer { storages = [:] }
            return storages
        }
        for storage in open.values { await storage.close() }
    }

    private func file(of id: StorageID) -> StorageFile {
        StorageFile(folder: folder, storage: id, onDiskFailure: onDiskFailure)
    }

    private func storage(_ id: StorageID) throws(EngineError) -> SQLiteStorage {
        guard let storage = storages.withLock({ $0[id] }) else { throw .unknownStorage(id) }
        return storage
    }

    // MARK: Making and removing

    package func create(
        _ id: StorageID, for table: TableDescriptor, holding partition: PartitionState, limit: Int
    ) async throws(EngineError) -> Bool {
        if let existing = try await state(of: id) {
            try storage(id).checkIsWhole()
            guard existing.table == table.id else { throw .storageInUse(id, by: existing.table) }
            guard !existing.partitions.contains(where: { $0.partition == partition.partition }) else { return true }
            // Beside the siblings that a split left it with; rows of an earlier copy would be taken for rows of this one.
            let writer = try storage(id).writer
            guard try await writer.trim(partition.range, limit: limit) else { return false }
            try await writer.hold(partition)
        } else {
            try await make(id, StorageSchema(table), holding: partition, importing: nil)
        }
        return true
    }

    private func make(
        _ id: StorageID, _ schema: StorageSchema, holding partition: PartitionState?, importing: ImportState?
    ) async throws(EngineError) {
        let file = file(of: id)
        if halfMade.withLock({ $0.contains(id) }) { try file.remove() }
        let writer = StorageWriter(file)
        halfMade.withLock { _ = $0.insert(id) }
        try await writer.create(schema, holding: partition, importing: importing)
        halfMade.withLock { _ = $0.remove(id) }
        storages.withLock { $0[id] = SQLiteStorage(file, schema, writer) }
    }

    package func state(of id: StorageID) async throws(EngineError) -> StorageState? {
        guard let storage = storages.withLock({ $0[id] }) else { return nil }
        return try await storage.state()
    }

    package func remove(
        _ partition: PartitionID, from id: StorageID, limit: Int
    ) async throws(EngineError) -> Bool {
        guard let storage = storages.withLock({ $0[id] }) else {
            // Its file may still be there, from a removal that failed.
            try file(of: id).remove()
            return true
        }
        let (partitions, imported) = try await storage.records()
        let others = partitions.map(\.partition) + (imported.map { [$0.start.partition] } ?? [])
        if others.allSatisfy({ $0 == partition || storage.isAbandoned($0) }) {
            storages.withLock { $0[id] = nil }
            await storage.close()
            try storage.file.remove()
            return true
        }
        do throws(EngineError) {
            guard try await storage.writer.clear(partition, limit: limit) else { return false }
            _ = try await storage.writer.forget(partition)
        } catch {
            guard error.isDamage else { throw error }
            // Its rows cannot be found to be removed. They go with the file, once the last of the others does.
            storage.abandon(partition)
        }
        return true
    }

    // MARK: Entries

    @discardableResult
    package func apply(
        _ entries: [CommittedEntry], to partition: PartitionID, in id: StorageID
    ) async throws(EngineError) -> PartitionState {
        try await storage(id).writer.apply(entries, to: partition)
    }

    @discardableResult
    package func sync(_ id: StorageID) async throws(EngineError) -> [PartitionState] {
        try await storage(id).writer.sync()
    }

    package func split(
        _ parent: PartitionID, into children: [PartitionState], in id: StorageID, at position: Position
    ) async throws(EngineError) {
        try await storage(id).writer.split(parent, into: children, at: position)
    }

    package func merge(
        _ parents: [MergedPartition], into merged: PartitionState, in id: StorageID
    ) async throws(EngineError) {
        try await storage(id).writer.merge(parents, into: merged)
    }

    // MARK: Reading

    package func recall(
        _ key: IdempotencyKey, of partition: PartitionID, in id: StorageID
    ) async throws(EngineError) -> Recollection {
        try await storage(id).reader.recall(key, of: partition)
    }

    package func get(_ key: Key, in id: StorageID) async throws(EngineError) -> [Value]? {
        try await storage(id).reader.get(key)
    }

    package func scan(
        _ range: KeyRange, in id: StorageID, rowLimit: Int, byteLimit: Int
    ) async throws(EngineError) -> RowPage {
        try await storage(id).reader.scan(range, rowLimit: rowLimit, byteLimit: byteLimit)
    }

    package func snapshot(of partition: PartitionID, in id: StorageID) async throws(EngineError) -> any StorageSnapshot {
        let storage = try storage(id)
        let reader = StorageReader(storage.file, storage.schema, label: "snapshot")
        return SQLiteSnapshot(state: try await reader.beginSnapshot(of: partition), reader: reader)
    }

    package func imageSnapshot(
        of partition: PartitionID, in id: StorageID, sizes: ClosedRange<UInt64>
    ) async throws(EngineError) -> any StorageSnapshot {
        let storage = try storage(id)
        for _ in 0..<Self.imageTries {
            // It reads all there is, and may do so for long.
            await storage.background.wait()
            guard var snapshot = try await storage.writer.openImage(of: partition, sizes: sizes) else {
                // Requests read for moments only; another copy would do so for long.
                do { try await Task.sleep(for: .milliseconds(5)) } catch { break }
                continue
            }
            do throws(EngineError) {
                snapshot.logLimit = try storage.file.logBytes() + logWhileImaged
                snapshot.image = try await snapshot.reader.image(of: snapshot.state)
            } catch {
                await snapshot.close()
                throw error
            }
            return snapshot
        }
        throw .imageGivenUp(id, detail: "somebody always reads what is not in its file yet")
    }

    package func renew(_ snapshot: any StorageSnapshot, in id: StorageID) async throws(EngineError) -> any StorageSnapshot {
        await snapshot.close()
        return try await storage(id).writer.openSnapshot(of: snapshot.state.partition)
    }

    package func statistics(of range: KeyRange, in id: StorageID) async throws(EngineError) -> RangeStatistics {
        try await storage(id).background.statistics(of: range)
    }

    package func middleKey(of range: KeyRange, in id: StorageID) async throws(EngineError) -> Key? {
        try await storage(id).background.middleKey(of: range)
    }

    package func inspect(_ id: StorageID, from page: UInt64, limit: Int) async throws(EngineError) -> Inspection {
        let storage = try storage(id)
        let found = try await storage.background.inspect(from: page, limit: limit, with: storage.inspector)
        guard let suspect = found.damaged else { return found }
        // It may have been caught while it was written.
        guard try await storage.writer.inspect(suspect, with: storage.inspector).damaged == nil else { return found }
        return Inspection(pages: found.pages, pageSize: found.pageSize, inspected: found.inspected)
    }

    package func unreadablePartitions(in id: StorageID) async throws(EngineError) -> [PartitionID] {
        let storage = try storage(id)
        let (partitions, imported) = try await storage.records()
        let held = (partitions + (imported.map { [$0.start] } ?? [])).filter { !storage.isAbandoned($0.partition) }
        storage.inspector.forget()
        // It has nothing in memory.
        let reader = StorageReader(storage.file, storage.schema, label: "inspection")
        try await reader.readRecords()
        var unreadable: Set<PartitionID> = []
        for state in held {
            do throws(EngineError) { try await reader.readThrough(state.range) } catch {
                guard error.isDamage else { throw error }
                unreadable.insert(state.partition)
            }
        }
        await reader.close()
        return unreadable.sorted()
    }

    // MARK: Imports

    package func beginImport(
        _ id: StorageID, for table: TableDescriptor, at start: PartitionState, advancing: Bool, limit: Int
    ) async throws(EngineError) -> ImportState? {
        if let found = storages.withLock({ $0[id] }) {
            guard found.schema.table == table.id else { throw .storageInUse(id, by: found.schema.table) }
            try found.checkIsWhole()
            let (partitions, imported) = try await found.writer.records()
            if let imported, imported.start.partition == start.partition, imported.start.range == start.range {
                if imported.chunks > 0, advancing || imported.start == start { return imported }
                // Alone in its file it goes faster with that.
                if imported.chunks == 0 || !partitions.isEmpty {
                    return try await found.writer.restartImport(at: start, limit: limit)
                }
            }
            if let imported, imported.start.partition != start.partition {
                throw .rangeInUse(start.range, by: imported.start.partition)
            }
            let isWhole = partitions.contains { $0.partition == start.partition }
            if isWhole, partitions.count > 1 { try await found.writer.giveUp(start.partition) }
            if isWhole || imported != nil {
                guard try await remove(start.partition, from: id, limit: limit) else { return nil }
            }
        }
        // It may have been the storage's last partition.
        if let storage = storages.withLock({ $0[id] }) {
            // Rows that an earlier copy or a removed partition left would be taken for rows of this one.
            guard try await storage.writer.trim(start.range, limit: limit) else { return nil }
            return try await storage.writer.beginImport(at: start)
        }
        let imported = ImportState(start: start, chunks: 0, last: nil)
        try await make(id, StorageSchema(table), holding: nil, importing: imported)
        return imported
    }

    @discardableResult
    package func ingest(
        _ rows: [Row], _ record: WriteRecord?, chunk: UInt64, of start: PartitionState, into id: StorageID
    ) async throws(EngineError) -> ImportState {
        let storage = try storage(id)
        try await storage.dropPages()
        return try await storage.writer.ingest(rows, record, chunk: chunk, of: start)
    }

    @discardableResult
    package func advanceImport(
        by entries: [CommittedEntry], chunk: UInt64, of start: PartitionState, in id: StorageID
    ) async throws(EngineError) -> ImportState {
        try await storage(id).writer.advanceImport(by: entries, chunk: chunk, of: start)
    }

    package func finishImport(of start: PartitionState, in id: StorageID) async throws(EngineError) {
        try await storage(id).writer.finishImport(of: start)
    }

    // MARK: Imports page by page

    package func beginPages(
        _ image: PageImage, of start: PartitionState, into id: StorageID
    ) async throws(EngineError) -> UInt64? {
        let storage = try storage(id)
        let (partitions, imported) = try await storage.writer.records()
        guard partitions.isEmpty, let imported, imported.start == start, imported.chunks == 0 else { return nil }
        if let found = storage.pages, found.image == image, found.start == start { return await found.chunks }
        try await storage.dropPages()
        let pages = PageFile(image, of: start, for: storage.file)
        try await pages.make()
        storage.keep(pages)
        return 0
    }

    @discardableResult
    package func ingest(
        _ run: PageRun, chunk: UInt64, of start: PartitionState, into id: StorageID
    ) async throws(EngineError) -> UInt64 {
        guard let pages = try storage(id).pages, pages.start == start else { throw .noImport(id) }
        return try await pages.store(run, chunk: chunk)
    }

    package func finishPages(of start: PartitionState, in id: StorageID) async throws(EngineError) {
        let storage = try storage(id)
        guard let pages = storage.pages, pages.start == start else { throw .noImport(id) }
        do throws(EngineError) {
            try await pages.finish()
            await storage.resetReaders()
            try await storage.writer.install(start, besides: storage.inspector)
            // Whoever has asked meanwhile may have the file that is gone.
            await storage.resetReaders()
        } catch {
            try await storage.dropPages()
            throw error
        }
        storage.keep(nil)
    }
}

/// One open storage.
final class SQLiteStorage: Sendable {
    let file: StorageFile
    let schema: StorageSchema
    let writer: StorageWriter
    /// For what takes long, so that requests do not wait behind it.
    let background: StorageReader
    let inspector: FileInspector
    /// Partitions that are gone, but for rows that cannot be read.
    private let abandoned = Mutex<Set<PartitionID>>([])
    /// What the file said that it holds when it was last asked.
    private let held = Mutex<(partitions: [PartitionState], imported: ImportState?)?>(nil)
    /// What comes in page by page to take the file's place.
    private let arriving = Mutex<PageFile?>(nil)
    private let readers: [StorageReader]
    private let turn = Atomic<Int>(0)

    init(_ file: StorageFile, _ schema: StorageSchema, _ writer: StorageWriter) {
        self.file = file
        self.schema = schema
        self.writer = writer
        background = StorageReader(file, schema, label: "background")
        inspector = FileInspector(file)
        readers = (0..<2).map { StorageReader(file, schema, label: "reader-\($0)") }
    }

    /// The reader whose turn it is.
    var reader: StorageReader {
        let ticket = turn.wrappingAdd(1, ordering: .relaxed).oldValue
        return readers[abs(ticket % readers.count)]
    }

    func state() async throws(EngineError) -> StorageState {
        let (partitions, imported) = try await writer.records()
        held.withLock { $0 = (partitions, imported) }
        return StorageState(
            storage: file.storage, table: schema.table, tableName: schema.name,
            partitions: partitions.filter { !isAbandoned($0.partition) }, imported: imported)
    }

    /// What the file holds; where it cannot be read any more, what it held before: a file is removed with the last of them.
    func records() async throws(EngineError) -> (partitions: [PartitionState], imported: ImportState?) {
        do throws(EngineError) {
            let records = try await writer.records()
            held.withLock { $0 = records }
            return records
        } catch {
            guard error.isDamage, let known = held.withLock({ $0 }) else { throw error }
            return known
        }
    }

    func abandon(_ partition: PartitionID) { abandoned.withLock { _ = $0.insert(partition) } }
    func isAbandoned(_ partition: PartitionID) -> Bool { abandoned.withLock { $0.contains(partition) } }

    /// Nothing new comes into a file that has lost something.
    func checkIsWhole() throws(EngineError) {
        guard let lost = abandoned.withLock({ $0.min() }) else { return }
        throw .damaged(file.storage, detail: "rows of partition \(lost) could not be removed; it goes with the last partition")
    }

    var pages: PageFile? { arriving.withLock { $0 } }
    func keep(_ pages: PageFile?) { arriving.withLock { $0 = pages } }

    /// Gives up what has come page by page and is not in the file's place.
    func dropPages() async throws(EngineError) {
        guard let pages else { return }
        keep(nil)
        try await pages.drop()
    }

    /// Closes what reads the file, for another file to take its place.
    func resetReaders() async {
        for reader in readers + [background] { await reader.reset() }
    }

    func close() async {
        for reader in readers + [background] { await reader.close() }
        await writer.close()
        inspector.close()
        // What cannot be removed now goes with the storage's file, or at the next start.
        try? await dropPages()
    }
}
