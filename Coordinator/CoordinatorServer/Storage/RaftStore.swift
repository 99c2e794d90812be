// A member's disk: votes, entries and snapshots, in one group-committed log with the snapshots beside it.
//
// Every record says what the log is from there on, and none is rewritten: an entry cuts whatever stood at its index and after it;
// a reset says that nothing before it counts, because a snapshot from the leader took its place. Reading the records back in their
// order therefore gives the log as it was. A snapshot is durable before the records that count on it (rules C1, C2).
//
// Two snapshots are kept, and the log back to the older one: where the newest turns out to be unreadable, these are as good.
//
// A snapshot on its way to disk holds back the entries behind it, and no thread of the caller's: it is saved on a queue of the store's
// own, and what comes behind it waits there. Otherwise a write goes to the log at once. On a full disk they wait, in their order (see
// `GroupCommitLog.submit`).

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
        /// What was mended without a loss: an unfinished write that was cut, a snapshot that the log made up for. For people.
        package let repairs: [String]
    }

    private struct Write: Sendable {
        let persist: Persist
        let completion: @Sendable (Result<Void, StorageError>) -> Void
    }

    /// The data folder's; who holds the folder itself keeps it locked.
    private let path: String
    private let log: GroupCommitLog
    private let snapshots: SnapshotFiles
    private let options: LogOptions
    private let queue = DispatchQueue(label: "coxswain.raft-store", qos: .userInitiated)
    private let contents: Mutex<Contents>
    /// Writes that were not handed to the log yet, oldest first; only the queue takes from it. Whatever is handed to the log is handed
    /// over under this lock, so that its order there is the order of the calls.
    private let waiting = Mutex<[Write]>([])
    private let skipped = Mutex(UInt64(0))

    /// Where entries stand, and what must be appended again before its record is dropped.
    struct Contents: Sendable {
        var places = EntryPlaces()
        /// The newest that was handed to the log: an older one that came behind it would be read back in its place.
        var hardState = HardState()
        /// Down to here the log makes up for the newest snapshot.
        var formerSnapshot = LogIndex.zero
        var newestSnapshot = LogIndex.zero
    }

    /// What of a data folder is the member's, for setting it aside. The log goes last: it alone says whose it is, so that a start after
    /// an interruption finds it to be another store's.
    package static let names = ["snapshots", "log"]

    /// Opens the member's store in `folder`, making it if there is none.
    ///
    /// - Throws: `DamagedMember` when it cannot be read back whole: such a member neither votes nor leads (rule C2). `StorageError`
    ///   when it cannot be read or written at all, or another version wrote it; `WireError` when a record is whole but is not what this
    ///   version writes. Nothing is to be set aside for these.
    package static func open(
        in folder: DataFolder, options: LogOptions = LogOptions()
    ) async throws -> (store: RaftStore, recovered: Recovered) {
        let snapshots = try SnapshotFiles(folder: try folder.folder("snapshots"), flush: options.flush)
        let found = try snapshots.find()
        var replay = RaftReplay()
        if let newest = found.newest { replay.snapshot = try Consensus.Snapshot(bytes: newest.body) }
        let log: GroupCommitLog
        do {
            log = try GroupCommitLog(
                folder: try folder.folder("log"), store: folder.store, options: options
            ) { record in try replay.take(record) }
        } catch let error as StorageError {
            switch error {
            case .damaged, .unreadable: throw DamagedMember(reason: "\(error)")
            default: throw error
            }
        }
        let outcome: RaftReplay.Outcome
        do throws(DamagedMember) { outcome = try replay.finish() } catch {
            throw DamagedMember(reason: ([error.reason] + found.damaged.map { "\($0) is not whole" }).joined(separator: "; "))
        }
        var places = replay.places
        if outcome.mustReset, let snapshot = replay.snapshot {
            _ = try await log.append([RaftRecord.reset(snapshot.id).record, RaftRecord.hardState(replay.hardState).record])
            places.removeAll()
        }
        let torn = log.torn.map { "an unfinished write was cut off the log, from record \($0.record) on" }
        let store = RaftStore(
            path: folder.path, log: log, snapshots: snapshots, options: options,
            contents: Contents(
                places: places, hardState: replay.hardState,
                formerSnapshot: LogIndex(try snapshots.formerIndex() ?? 0),
                newestSnapshot: replay.snapshot?.id.index ?? .zero))
        return (
            store,
            Recovered(
                hardState: replay.hardState, snapshot: replay.snapshot, entries: outcome.entries,
                repairs: (torn.map { [$0] } ?? [])
                    + found.damaged.map { "the log makes up for a snapshot that is not whole: \($0)" })
        )
    }

    private init(path: String, log: GroupCommitLog, snapshots: SnapshotFiles, options: LogOptions, contents: Contents) {
        self.path = path
        self.log = log
        self.snapshots = snapshots
        self.options = options
        self.contents = Mutex(contents)
    }

    /// The file in which a member leaves word that its store must not be used again.
    static let verdict = "condemned"

    /// Leaves word that this store contradicts what the group knows: the next start sets it aside.
    ///
    /// - Parameter completion: called once, not on the caller's thread. On a full disk it comes when there is space.
    package func condemn(because reason: String, completion: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
        queue.async { self.leaveWord(reason, completion) }
    }

    private func leaveWord(_ reason: String, _ completion: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
        do throws(StorageError) {
            try DurableFile.replace("\(path)/\(Self.verdict)", with: Array(reason.utf8), flush: options.flush)
            completion(.success(()))
        } catch {
            switch error {
            case .noSpace: whenThereIsSpace { $0.leaveWord(reason, completion) }
            case .syncFailed:
                options.onDiskFailure.respond(error)
                completion(.failure(error))
            default: completion(.failure(error))
            }
        }
    }

    /// Comes back on the queue after a while, as long as there is a store.
    private func whenThereIsSpace(_ again: @escaping @Sendable (RaftStore) -> Void) {
        queue.asyncAfter(deadline: .now() + .microseconds(Int(options.spaceInterval.microseconds))) { [weak self] in
            if let self { again(self) }
        }
    }

    package var statistics: SyncStatistics { log.statistics }
    /// Whether the disk has room for more than what is under way.
    package var space: DiskSpace { log.space }
    /// Snapshots of this member's own that were not saved for want of space.
    package var skippedSnapshots: UInt64 { skipped.withLock { $0 } }

    /// Makes one `Persist` durable, after every earlier one.
    ///
    /// - Parameter completion: called once, on another thread unless the log takes nothing any more; it must neither block nor call
    ///   back. After a failure nothing of the write counts and later ones fail too. On a full disk it comes when there is space.
    package func write(_ persist: Persist, completion: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
        let write = Write(persist: persist, completion: completion)
        let mustWait = waiting.withLock { waiting in
            guard waiting.isEmpty, persist.snapshot == nil else {
                waiting.append(write)
                return true
            }
            submit(write)
            return false
        }
        if mustWait { queue.async { self.handOver() } }
    }

    /// Gives the log what waits, up to a snapshot that must be saved first and cannot be now.
    private func handOver() {
        while let write = waiting.withLock({ $0.first }) {
            do throws(StorageError) {
                if let snapshot = write.persist.snapshot { try save(snapshot, mustBe: write.persist.replacesLog) }
            } catch {
                if case .noSpace = error { return whenThereIsSpace { $0.handOver() } }
                if case .syncFailed = error { options.onDiskFailure.respond(error) }
                waiting.withLock { _ = $0.removeFirst() }
                write.completion(.failure(error))
                continue
            }
            waiting.withLock { waiting in
                submit(write)
                waiting.removeFirst()
            }
        }
    }

    private func submit(_ write: Write) {
        let persist = write.persist
        contents.withLock { $0.hardState = persist.hardState }
        // Without records too: what is answered for with this write may count on the one before, which is still under way.
        log.submit(records(of: persist)) { result in
            if case .success(let numbers) = result { self.note(persist, at: numbers) }
            write.completion(result.map { _ in () })
        }
    }

    /// - Parameter isNeeded: whether what follows counts on it. A snapshot of one's own spares replay only: on a full disk the former
    ///   one and the log behind it do as well.
    private func save(_ snapshot: Consensus.Snapshot, mustBe isNeeded: Bool) throws(StorageError) {
        do throws(StorageError) {
            try snapshots.save(
                LogStorage.Snapshot(
                    index: snapshot.id.index.number, term: snapshot.id.term.number, body: snapshot.serialized()))
        } catch {
            guard case .noSpace = error, !isNeeded else { throw error }
            skipped.withLock { $0 += 1 }
            return
        }
        contents.withLock { contents in
            contents.formerSnapshot = contents.newestSnapshot
            contents.newestSnapshot = snapshot.id.index
        }
    }

    /// A snapshot's bytes as they lie on disk, so that they need not be held in memory. Beside everything else: all are read, once, to
    /// be sure of them.
    ///
    /// - Returns: nil where they do not lie there: a snapshot that was not saved for want of space, or is none of the newest any more.
    package func keep(_ snapshot: Consensus.Snapshot) async -> SnapshotContents? {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.contents(of: snapshot)) }
        }
    }

    private func contents(of snapshot: Consensus.Snapshot) -> SnapshotContents? {
        guard let body = try? snapshots.body(of: snapshot.id.index.number) else { return nil }
        let (held, place) = (snapshot.contents, snapshot.placeOfData(inBodyOf: body.count))
        guard place.lowerBound >= 0 else { return nil }
        let kept = SnapshotContents(count: held.count, checksum: held.checksum) { range in
            try? body.bytes(in: range.lowerBound + place.lowerBound..<range.upperBound + place.lowerBound)
        }
        var (running, read) = (CRC32C(), 0)
        while read < kept.count {
            guard let part = kept.bytes(in: read..<min(read + 1 << 20, kept.count)), !part.isEmpty else { return nil }
            running.update(part)
            read += part.count
        }
        return running.value == kept.checksum ? kept : nil
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
            let first = numbers.upperBound.value - UInt64(persist.entries.count)
            for (offset, entry) in persist.entries.enumerated() {
                contents.places.append(entry.id.index, at: RecordNumber(first + UInt64(offset)))
            }
        }
    }

    /// Forgets entries below `index`, as far as two durable snapshots cover them; some of them may stay on disk.
    package func compact(below index: LogIndex) async throws(StorageError) {
        let appended = await withCheckedContinuation { (continuation: CheckedContinuation<Dropped?, Never>) in
            // The newest vote may stand in what is dropped, so it is written again first, and never behind a newer one.
            waiting.withLock { _ in
                let (place, limit, hardState) = self.contents.withLock { contents in
                    let limit = min(index, contents.formerSnapshot.next)
                    return (contents.places.place(of: limit), limit, contents.hardState)
                }
                guard let place, place > self.log.first else { return continuation.resume(returning: nil) }
                self.log.submit([RaftRecord.hardState(hardState).record]) {
                    continuation.resume(returning: Dropped(place: place, limit: limit, result: $0.map { _ in () }))
                }
            }
        }
        guard let appended else { return }
        try appended.result.get()
        try await log.drop(below: appended.place)
        contents.withLock { $0.places.forget(below: appended.limit) }
    }

    private struct Dropped: Sendable {
        let place: RecordNumber
        let limit: LogIndex
        let result: Result<Void, StorageError>
    }
}
