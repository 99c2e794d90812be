// A member's disk: votes, entries and snapshots, in one group-committed log with the snapshots beside it.
//
// Every record says what the log is from there on, and none is rewritten: an entry cuts whatever stood at its index and after it;
// a reset says that nothing before it counts, because a snapshot from the leader took its place. Reading the records back in their
// order therefore gives the log as it was. A snapshot is durable before the records that count on it (rules C1, C2).
//
// Writes go through a queue of the store's own, one after the other: a snapshot on its way to disk holds back the entries behind
// it, and no thread of the caller's.

package import Consensus
import Dispatch
import DurableLog
package import LogStorage
import Model
import Synchronization
import Wire

package final class RaftStore: Sendable {
    /// What a start finds.
    package struct Recovered: Sendable {
        package let hardState: HardState
        /// Nil in a new store.
        package let snapshot: Consensus.Snapshot?
        /// Those after the snapshot, consecutive.
        package let entries: [Consensus.Entry]
    }

    private let log: GroupCommitLog
    private let snapshots: SnapshotFiles
    private let queue = DispatchQueue(label: "coxswain.raft-store", qos: .userInitiated)
    private let contents: Mutex<Contents>

    /// Where entries stand, and the newest hard state: what is appended again before its record is dropped.
    struct Contents: Sendable {
        var places = EntryPlaces()
        var hardState = HardState()
    }

    /// Opens the member's store in `folder`, making it if there is none.
    ///
    /// - Throws: `StorageError.damaged` or `.unreadable` when it cannot be read back whole: such a member neither votes nor leads
    ///   (rule C2). `WireError` when a record is whole but is not what this version writes.
    package static func open(
        in folder: DataFolder, options: LogOptions = LogOptions()
    ) throws -> (store: RaftStore, recovered: Recovered) {
        let snapshots = try SnapshotFiles(folder: try folder.folder("snapshots"))
        var replay = RaftReplay()
        if let newest = try snapshots.newest() { replay.snapshot = try Consensus.Snapshot(bytes: newest.body) }
        let log = try GroupCommitLog(
            folder: try folder.folder("log"), store: folder.store, options: options
        ) { record in try replay.take(record) }
        let recovered = replay.finish()
        let store = RaftStore(
            log: log, snapshots: snapshots,
            contents: Contents(places: replay.places, hardState: recovered.hardState))
        return (store, recovered)
    }

    private init(log: GroupCommitLog, snapshots: SnapshotFiles, contents: Contents) {
        self.log = log
        self.snapshots = snapshots
        self.contents = Mutex(contents)
    }

    package var statistics: SyncStatistics { log.statistics }

    /// Makes one `Persist` durable, after every earlier one.
    ///
    /// - Parameter completion: called once, not on the caller's thread; it must not block. After a failure nothing of the write
    ///   counts and later ones fail too, unless the disk was merely full.
    package func write(_ persist: Persist, completion: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
        queue.async {
            do throws(StorageError) {
                if let snapshot = persist.snapshot { try self.save(snapshot) }
            } catch {
                completion(.failure(error))
                return
            }
            // Without records too: what is answered for with this write may count on the one before, which is still under way.
            let records = self.records(of: persist)
            self.log.submit(records) { result in
                if case .success(let numbers) = result { self.note(persist, at: numbers) }
                completion(result.map { _ in () })
            }
        }
    }

    private func save(_ snapshot: Consensus.Snapshot) throws(StorageError) {
        try snapshots.save(
            LogStorage.Snapshot(
                index: snapshot.id.index.number, term: snapshot.id.term.number, body: snapshot.serialized()))
    }

    private func records(of persist: Persist) -> [NewRecord] {
        var records: [NewRecord] = []
        if persist.replacesLog, let snapshot = persist.snapshot { records.append(RaftRecord.reset(snapshot.id).record) }
        if persist.hardStateChanged || persist.replacesLog { records.append(RaftRecord.hardState(persist.hardState).record) }
        records += persist.entries.map { RaftRecord.entry($0).record }
        return records
    }

    private func note(_ persist: Persist, at numbers: Range<RecordNumber>) {
        contents.withLock { contents in
            if persist.replacesLog { contents.places.removeAll() }
            if persist.hardStateChanged || persist.replacesLog { contents.hardState = persist.hardState }
            let first = numbers.upperBound.value - UInt64(persist.entries.count)
            for (offset, entry) in persist.entries.enumerated() {
                contents.places.append(entry.id.index, at: RecordNumber(first + UInt64(offset)))
            }
        }
    }

    /// Forgets entries below `index`, all of which a durable snapshot covers; some of them may stay on disk.
    package func compact(below index: LogIndex) async throws(StorageError) {
        let (place, hardState) = contents.withLock { ($0.places.place(of: index), $0.hardState) }
        guard let place, place > log.first else { return }
        // The newest vote may stand in what is dropped: it is written again first.
        _ = try await log.append([RaftRecord.hardState(hardState).record])
        try await log.drop(below: place)
        contents.withLock { $0.places.forget(below: index) }
    }
}

/// At which record each entry stands: consecutive indices, so an array and its first index.
struct EntryPlaces: Hashable, Sendable {
    private var first = LogIndex.zero
    private var numbers: [RecordNumber] = []

    /// The entry at `index` is at `number`; whatever stood at that index and after it is gone.
    mutating func append(_ index: LogIndex, at number: RecordNumber) {
        if numbers.isEmpty || index < first || index.number > first.number + UInt64(numbers.count) {
            numbers = []
            first = index
        } else {
            numbers.removeLast(numbers.count - Int(index.number - first.number))
        }
        numbers.append(number)
    }

    mutating func removeAll() { numbers = [] }

    /// Nil when the entry is not there.
    func place(of index: LogIndex) -> RecordNumber? {
        guard index >= first, index.number - first.number < UInt64(numbers.count) else { return nil }
        return numbers[Int(index.number - first.number)]
    }

    mutating func forget(below index: LogIndex) {
        guard index > first, index.number - first.number <= UInt64(numbers.count) else { return }
        numbers.removeFirst(Int(index.number - first.number))
        first = index
    }
}
