// What an agent asks of a database beside it.
//
// A storage is one database file with one table. It holds one partition, or several after splits; each has an applied position
// of its own, which changes in the same transaction as the rows (rules R2, M2). An engine is a view of the node's log: after a
// power loss both go back together, and the log is read again from there. So `apply` needs no fsync; `sync` tells what may leave
// the log (rule R9).

package import Model

/// Where one partition stands in its storage.
package struct PartitionState: Hashable, Sendable {
    package let partition: PartitionID
    package let range: KeyRange
    /// The last entry whose changes the rows show.
    package var applied: Position
    /// The checksum chain's value there.
    package var checksum: UInt32

    package init(partition: PartitionID, range: KeyRange, applied: Position, checksum: UInt32) {
        self.partition = partition
        self.range = range
        self.applied = applied
        self.checksum = checksum
    }
}

/// One committed entry of a partition's order. No mutations: it only moves the position.
package struct CommittedEntry: Hashable, Sendable {
    package let position: Position
    package let checksum: UInt32
    package let mutations: [Mutation]
    /// What is remembered of the write, and which keys are forgotten with it (rule R8).
    package let record: WriteRecord?

    package init(position: Position, checksum: UInt32, mutations: [Mutation], record: WriteRecord? = nil) {
        self.position = position
        self.checksum = checksum
        self.mutations = mutations
        self.record = record
    }
}

/// A copy that has not all arrived yet: the rows up to `last` are stored, all of them as the source had them at `start`. Its
/// durable cursor lets the source go on where it stopped: first with what its log says has happened since, then with a later snapshot.
package struct ImportState: Hashable, Sendable {
    /// The partition as it will stand when the import is finished, unless it is brought on meanwhile.
    package let start: PartitionState
    /// Chunks stored, of rows and of entries; also the number of the next one.
    package var chunks: UInt64
    /// The last key stored.
    package var last: Key?

    package init(start: PartitionState, chunks: UInt64, last: Key?) {
        self.start = start
        self.chunks = chunks
        self.last = last
    }
}

/// What one storage holds.
package struct StorageState: Hashable, Sendable {
    package let storage: StorageID
    package let table: TableID
    package let tableName: RelationName
    /// Sorted.
    package let partitions: [PartitionState]
    package let imported: ImportState?

    package init(
        storage: StorageID, table: TableID, tableName: RelationName, partitions: [PartitionState], imported: ImportState?
    ) {
        self.storage = storage
        self.table = table
        self.tableName = tableName
        self.partitions = partitions
        self.imported = imported
    }
}

/// What was found at the start.
package struct StorageInventory: Sendable {
    /// Sorted by storage.
    package let storages: [StorageState]
    /// Files that could not be opened, with the reason; their replicas must be rebuilt.
    package let damaged: [(storage: StorageID, error: EngineError)]

    package init(storages: [StorageState], damaged: [(storage: StorageID, error: EngineError)]) {
        self.storages = storages
        self.damaged = damaged
    }

    /// Those of them that do not give back what was written to them, and why.
    package var unreadable: [StorageID: String] {
        var found: [StorageID: String] = [:]
        for (storage, error) in damaged where error.losesStorage { found[storage] = "\(error)" }
        return found
    }
}

/// A part of a scan, in key order.
package struct RowPage: Hashable, Sendable {
    package let rows: [Row]
    /// Where the next page starts; nil at the end.
    package let next: Key?

    package init(rows: [Row], next: Key?) {
        self.rows = rows
        self.next = next
    }
}

/// A checksum of rows in key order: equal on two nodes when the rows are equal.
package struct RangeChecksum: Hashable, Sendable {
    package let rows: UInt64
    package let bytes: UInt64
    package let hash: UInt64

    package init(rows: UInt64, bytes: UInt64, hash: UInt64) {
        self.rows = rows
        self.bytes = bytes
        self.hash = hash
    }
}

/// How much a range holds; `bytes` counts keys and values, not pages.
package struct RangeStatistics: Hashable, Sendable {
    package let rows: UInt64
    package let bytes: UInt64

    package init(rows: UInt64, bytes: UInt64) {
        self.rows = rows
        self.bytes = bytes
    }
}

/// One partition's rows as of one position, whatever is applied meanwhile. Close it: an open one keeps the file's log from shrinking.
package protocol StorageSnapshot: Sendable {
    /// The partition as it stood.
    nonisolated var state: PartitionState { get }
    /// The rows after `key` in order (from the start: nil), about `byteLimit` bytes of them, at least one unless there is none.
    func rows(after key: Key?, byteLimit: Int) async throws(EngineError) -> [Row]
    /// The applied writes after `key` in order, as `rows`.
    func writes(after key: IdempotencyKey?, byteLimit: Int) async throws(EngineError) -> WriteRecord
    func checksum() async throws(EngineError) -> RangeChecksum
    /// The file in which all of this lies and nothing else, and which stands still while this is open; nil: only rows can be had.
    nonisolated var image: PageImage? { get }
    /// The pages of that file from `first` on, counted from 1, at most `limit` of them, as they lie there.
    /// - Throws: `damaged` where one is not what was written, which may be one that nobody uses; `imageGivenUp` where so much was written
    ///   meanwhile that the file has to be let go of.
    func pages(from first: UInt64, limit: Int) async throws(EngineError) -> [UInt8]
    func close() async
}

package protocol StorageEngine: Sendable {
    /// Opens what is there. Called once, first.
    func open() async throws(EngineError) -> StorageInventory
    /// Makes an empty partition, durably, in a storage of its own or beside those that the storage holds. The same again: no change.
    ///
    /// At most `limit` rows that stand in its way are removed in one call.
    /// - Returns: whether it is made; else it is to be called again.
    /// - Throws: `rangeInUse` when another partition there has some of its keys.
    func create(
        _ storage: StorageID, for table: TableDescriptor, holding partition: PartitionState, limit: Int
    ) async throws(EngineError) -> Bool
    /// What the storage holds; nil when there is none of that number.
    func state(of storage: StorageID) async throws(EngineError) -> StorageState?

    /// Applies entries in one transaction. Entries at or below the applied position are skipped, so a repeated call is harmless.
    /// - Throws: `gap`, `diverged`, `outOfRange`, `invalidRow` and what the disk does.
    /// - Returns: where the partition stands now.
    @discardableResult
    func apply(
        _ entries: [CommittedEntry], to partition: PartitionID, in storage: StorageID
    ) async throws(EngineError) -> PartitionState
    /// Makes durable what was applied before the call.
    /// - Returns: where each partition of the storage stands on disk (rule R9).
    @discardableResult
    func sync(_ storage: StorageID) async throws(EngineError) -> [PartitionState]
    /// Puts `children` in the parent's place, durably, once it stands at `position` or past it (rule M2). Once done: no change.
    func split(
        _ parent: PartitionID, into children: [PartitionState], in storage: StorageID, at position: Position
    ) async throws(EngineError)
    /// Puts one partition in the place of those that were merged into it, durably, once each stands at its end or past it (rule M2). Their
    /// rows, and what is known of writes, stay where they are. Once done: no change.
    func merge(_ parents: [MergedPartition], into merged: PartitionState, in storage: StorageID) async throws(EngineError)
    /// Removes a partition and its rows, at most `limit` of them in one call, fewer where they are large, and then what is
    /// remembered of its writes, no more at a time; and the storage with its last partition or import. What others in the
    /// storage hold stays. Nothing there: no change.
    /// - Returns: whether nothing of it is left; else it is to be called again.
    func remove(_ partition: PartitionID, from storage: StorageID, limit: Int) async throws(EngineError) -> Bool

    /// What is known of a write under `key` (rule R8).
    func recall(
        _ key: IdempotencyKey, of partition: PartitionID, in storage: StorageID
    ) async throws(EngineError) -> Recollection
    func get(_ key: Key, in storage: StorageID) async throws(EngineError) -> [Value]?
    func scan(
        _ range: KeyRange, in storage: StorageID, rowLimit: Int, byteLimit: Int
    ) async throws(EngineError) -> RowPage
    func snapshot(of partition: PartitionID, in storage: StorageID) async throws(EngineError) -> any StorageSnapshot
    /// A snapshot that has an image; it may take a while until nobody reads from the file's log.
    /// - Throws: `imageGivenUp` where the storage holds anything else, its file is not of such a size, in bytes, or the reading never ends.
    func imageSnapshot(
        of partition: PartitionID, in storage: StorageID, sizes: ClosedRange<UInt64>
    ) async throws(EngineError) -> any StorageSnapshot
    /// A later snapshot of the same partition in place of an earlier one, which is closed first: between the two the file's log can
    /// start over, if nobody else reads.
    /// - Throws: where there is none in its place; the earlier one is closed all the same.
    func renew(_ snapshot: any StorageSnapshot, in storage: StorageID) async throws(EngineError) -> any StorageSnapshot
    /// Reads every row's header; not for each request.
    func statistics(of range: KeyRange, in storage: StorageID) async throws(EngineError) -> RangeStatistics
    /// A key that halves the range's bytes, above its first row; nil when there are fewer than two rows.
    func middleKey(of range: KeyRange, in storage: StorageID) async throws(EngineError) -> Key?

    /// Makes a storage for a copy that starts at `start`, or finds the one begun earlier at that very point. Whatever else the storage
    /// holds of that partition is removed first, at most `limit` rows in one call.
    ///
    /// - Parameter advancing: what is stored of a copy of that partition that stands elsewhere is kept, to be brought on.
    /// - Returns: nil: it is to be called again.
    func beginImport(
        _ storage: StorageID, for table: TableDescriptor, at start: PartitionState, advancing: Bool, limit: Int
    ) async throws(EngineError) -> ImportState?
    /// Brings an unfinished copy on: the rows that are stored become as they are after these entries, the first of which follows
    /// `start`, and the copy stands there, in the same transaction. What the entries do behind the cursor comes with later chunks.
    /// - Throws: `noImport` when another copy has taken its place, `notNextChunk`, `gap`, `outOfRange`, `invalidRow` and what the disk
    ///   does.
    @discardableResult
    func advanceImport(
        by entries: [CommittedEntry], chunk: UInt64, of start: PartitionState, in storage: StorageID
    ) async throws(EngineError) -> ImportState
    /// Stores a chunk of the copy that began at `start`, with the cursor: rows, or what is remembered of writes, or both. The chunk
    /// before the next one: no change.
    /// - Throws: `noImport` when another copy has taken its place, `notNextChunk`, `outOfRange`, `invalidRow` and what the disk does.
    @discardableResult
    func ingest(
        _ rows: [Row], _ record: WriteRecord?, chunk: UInt64, of start: PartitionState, into storage: StorageID
    ) async throws(EngineError) -> ImportState
    /// The copy is complete: its partition stands at `start`, where it began, durably.
    /// - Throws: `noImport` when another copy has taken its place.
    func finishImport(of start: PartitionState, in storage: StorageID) async throws(EngineError)
    /// Begins to take in the pages of an image in the place of rows, or finds what has come of it in this process's time. The copy must
    /// have begun at `start`, and be alone in the storage.
    /// - Returns: how many chunks there are; nil: it has to come by rows.
    func beginPages(_ image: PageImage, of start: PartitionState, into storage: StorageID) async throws(EngineError) -> UInt64?
    /// Stores the next pages. They count only once all of them have come; rows that come instead take their place.
    /// - Returns: how many chunks there are.
    /// - Throws: `noImport` when another copy has taken its place, `notNextChunk`, `strangePages` and what the disk does.
    @discardableResult
    func ingest(
        _ run: PageRun, chunk: UInt64, of start: PartitionState, into storage: StorageID
    ) async throws(EngineError) -> UInt64
    /// The pages are complete: the storage holds the partition at `start`, durably, and nothing else.
    /// - Throws: `noImport` when another copy has taken its place; `strangePages` when they are not what the storage is to hold: then
    ///   they are given up.
    func finishPages(of start: PartitionState, in storage: StorageID) async throws(EngineError)
    /// Looks at pages of the storage's file as they are on the disk, from `page` on, counted from 1; it ends with the first that is not
    /// what was written.
    func inspect(_ storage: StorageID, from page: UInt64, limit: Int) async throws(EngineError) -> Inspection
    /// The partitions that cannot be read whole, sorted. Reads everything, from the disk.
    /// - Throws: `damaged` when the file does not even say what it holds.
    func unreadablePartitions(in storage: StorageID) async throws(EngineError) -> [PartitionID]
    /// Ends what is open. No call may follow.
    func close() async
}

/// All steps in one.
extension StorageEngine {
    package func create(
        _ storage: StorageID, for table: TableDescriptor, holding partition: PartitionState
    ) async throws(EngineError) {
        while try await !create(storage, for: table, holding: partition, limit: 1_000) {}
    }

    package func remove(_ partition: PartitionID, from storage: StorageID) async throws(EngineError) {
        while try await !remove(partition, from: storage, limit: 1_000) {}
    }

    package func beginImport(
        _ storage: StorageID, for table: TableDescriptor, at start: PartitionState, advancing: Bool = false
    ) async throws(EngineError) -> ImportState {
        while true {
            if let begun = try await beginImport(storage, for: table, at: start, advancing: advancing, limit: 1_000) {
                return begun
            }
        }
    }
}
