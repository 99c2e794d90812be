// A log on disk, shared by many writers: what is submitted while one sync runs is made durable by the next one together.
//
// A serial queue of its own does the writing, so that a slow disk blocks neither Swift's cooperative threads nor a reader. Used by
// the coordinators (Raft's entries, votes and truncations are records) and by the agents (one log for all partitions of a node).
// Records are never rewritten: what a user wants undone it says in a later record, and what it no longer needs it drops from the
// front, segment by segment.

import Dispatch
package import DurableLog
package import Model
import Synchronization

package final class GroupCommitLog: Sendable {
    private struct Request: Sendable {
        let records: [NewRecord]
        let bytes: Int
        let since: LogicalInstant
        let completion: @Sendable (Result<Range<RecordNumber>, StorageError>) -> Void
    }

    private struct Inbox: Sendable {
        var requests: [Request] = []
        var bytes = 0
        /// Bytes that are being written now.
        var written = 0
        var isDraining = false
        var hasStopped = false
    }

    private struct Room: Sendable {
        var space: DiskSpace
        /// Whether a write waits for space.
        var isWaiting = false
    }

    private let files: SegmentFiles
    private let options: LogOptions
    private let inbox = Mutex(Inbox())
    private let index: Mutex<SegmentIndex>
    private let syncs = Mutex(SyncStatistics())
    private let room: Mutex<Room>
    /// Only the queue's thread takes it.
    private let writer: Mutex<SegmentWriter>
    private let queue = DispatchQueue(label: "coxswain.log", qos: .userInitiated)
    /// Reserves the next segment and looks at free space; never waited for.
    private let spaceQueue = DispatchQueue(label: "coxswain.log.space", qos: .utility)
    /// What was cut off at the start because it had never been acknowledged.
    package let torn: TornTail?

    /// Opens the log in `folder`, making it if there is none, and hands out every record in it, oldest first.
    ///
    /// - Parameters:
    ///   - folder: a folder for this log alone, inside a `DataFolder` that the caller holds.
    ///   - store: the data folder's identity; segments of another one are refused.
    ///   - replay: is called before this returns, on the caller's thread.
    /// - Throws: `.damaged` when the log cannot be read back whole: `replay` has then seen what stands before the damage.
    package init(
        folder: String, store: StoreID, options: LogOptions = LogOptions(), replay: (LogRecord) throws -> Void
    ) throws {
        try SystemCall.makeFolder(folder)
        self.files = SegmentFiles(folder: folder, segmentBytes: options.segmentBytes, flush: options.flush)
        self.options = options
        let recovered = try RecoveredLog(files: files, store: store, replay: replay)
        self.torn = recovered.torn
        self.index = Mutex(recovered.index)
        self.writer = Mutex(try recovered.writer())
        self.room = Mutex(Room(space: .ample(free: try SystemCall.freeBytes(at: folder))))
        // Here and now, so that a start on a full disk says so before anybody is served.
        lookAtSpace()
        watchSpace()
    }

    deinit {
        for request in inbox.withLock({ $0.requests }) { request.completion(.failure(.stopped)) }
    }

    // MARK: - Writing

    /// Makes records durable, in the order of the calls. On a full disk this waits, and whatever comes behind it too: nothing is
    /// written out of its order (see `space`).
    ///
    /// - Parameters:
    ///   - isDecided: take them whatever waits already, since they say what cannot be undone. Who decides such things keeps to the
    ///     bound beforehand, by `pendingBytes`.
    ///   - completion: called once, on the log's own thread, when the records are durable, or are not and never will be. It must not
    ///     block. The order of completions is the order of submissions.
    /// - Precondition: at most `RecordFormat.batchRecords` records.
    package func submit(
        _ records: [NewRecord], isDecided: Bool = false,
        completion: @escaping @Sendable (Result<Range<RecordNumber>, StorageError>) -> Void
    ) {
        precondition(records.count <= RecordFormat.batchRecords, "\(records.count) records in one request")
        let bytes = records.reduce(0) { $0 + $1.payload.count }
        enum Decision {
            case refuse(StorageError)
            case start, wait
        }
        let decision = inbox.withLock { inbox -> Decision in
            if inbox.hasStopped { return .refuse(.stopped) }
            guard isDecided || inbox.requests.isEmpty || inbox.bytes + bytes <= options.pendingBytes else {
                return .refuse(.overloaded(pendingBytes: inbox.bytes))
            }
            inbox.requests.append(
                Request(records: records, bytes: bytes, since: MonotonicClock.now, completion: completion))
            inbox.bytes += bytes
            defer { inbox.isDraining = true }
            return inbox.isDraining ? .wait : .start
        }
        switch decision {
        case .refuse(let error): completion(.failure(error))
        case .start: queue.async { self.drain() }
        case .wait: break
        }
    }

    /// Makes records durable.
    ///
    /// - Returns: the numbers that they got.
    package func append(_ records: [NewRecord]) async throws(StorageError) -> Range<RecordNumber> {
        let result = await withCheckedContinuation { continuation in
            submit(records) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    private func drain() {
        while let requests = takeRequests() {
            syncs.withLock { $0.oldestPending = requests.first?.since }
            let segments = segmentCount
            do throws(StorageError) {
                let written = try write(requests.map(\.records))
                let waiting = requests.dropFirst(written.numbers.count)
                syncs.withLock { $0.oldestPending = waiting.first?.since }
                for (request, numbers) in zip(requests, written.numbers) { request.completion(.success(numbers)) }
                if segmentCount != segments { lookAtSpaceSoon() }
                if !waiting.isEmpty { return wait(waiting) }
                if room.withLock({ $0.isWaiting }) { spaceFound() }
            } catch {
                stop(after: error)
                syncs.withLock { $0.oldestPending = nil }
                for request in requests { request.completion(.failure(.stopped)) }
            }
        }
    }

    /// What has gathered since the last call; nil, and the draining ends, when nothing has.
    private func takeRequests() -> [Request]? {
        inbox.withLock { inbox in
            guard !inbox.requests.isEmpty else {
                inbox.isDraining = false
                inbox.written = 0
                return nil
            }
            defer {
                inbox.requests = []
                inbox.written = inbox.bytes
                inbox.bytes = 0
            }
            return inbox.requests
        }
    }

    private func write(_ requests: [[NewRecord]]) throws(StorageError) -> SegmentWriter.Written {
        if inbox.withLock({ $0.hasStopped }) { throw .stopped }
        let written = writer.withLock { writer -> Result<SegmentWriter.Written, StorageError> in
            do throws(StorageError) {
                return .success(try writer.write(requests, index: index, statistics: syncs))
            } catch {
                return .failure(error)
            }
        }
        return try written.get()
    }

    private func stop(after error: StorageError) {
        let isFirst = inbox.withLock { inbox in
            defer { inbox.hasStopped = true }
            return !inbox.hasStopped
        }
        if isFirst { options.onDiskFailure.respond(error) }
    }

    /// Bytes of payload that are not durable yet: those that wait, and those that are being written.
    package var pendingBytes: Int { inbox.withLock { $0.bytes + $0.written } }

    /// How many of them may be.
    package var pendingLimit: Int { options.pendingBytes }

    // MARK: - Space

    /// Whether the disk has room for more than what is under way. Looked at every `spaceInterval`, so no older than that.
    package var space: DiskSpace { room.withLock { $0.space } }

    /// Puts requests back in front and tries them again later. Draining goes on meanwhile as far as others can see, so that nobody
    /// overtakes them.
    private func wait(_ requests: ArraySlice<Request>) {
        inbox.withLock { inbox in
            inbox.requests.insert(contentsOf: requests, at: 0)
            inbox.written = 0
            inbox.bytes += requests.reduce(0) { $0 + $1.bytes }
        }
        room.withLock { $0.isWaiting = true }
        lookAtSpaceSoon()
        queue.asyncAfter(deadline: .now() + .microseconds(Int(options.spaceInterval.microseconds))) { [weak self] in
            self?.drain()
        }
    }

    private func spaceFound() {
        room.withLock { $0.isWaiting = false }
        lookAtSpaceSoon()
    }

    private func lookAtSpaceSoon() { spaceQueue.async { [weak self] in self?.lookAtSpace() } }

    private func watchSpace() {
        spaceQueue.asyncAfter(deadline: .now() + .microseconds(Int(options.spaceInterval.microseconds))) { [weak self] in
            guard let self else { return }
            lookAtSpace()
            watchSpace()
        }
    }

    /// Reserves the next segment if need be, and notes what is free after that.
    private func lookAtSpace() {
        var isReserved = true
        do throws(StorageError) {
            try files.makeSpare()
        } catch {
            isReserved = false
            // Any other failure shows again when the segment is needed; this one must not be tried again (rule C3).
            if case .syncFailed = error { stop(after: error) }
        }
        // Where not even this can be told, nothing is to be taken on.
        let free = (try? SystemCall.freeBytes(at: files.folder)) ?? 0
        room.withLock { room in
            room.space = room.space.seen(
                free: free, bound: options.reserveBytes, isReserved: isReserved, isWaiting: room.isWaiting)
        }
    }

    // MARK: - Reading and dropping

    /// The oldest record that is still there (or would be, in an empty log).
    package var first: RecordNumber { index.withLock { $0.first } }

    /// One past the last durable record.
    package var end: RecordNumber { index.withLock { $0.end?.next ?? .first } }

    package var statistics: SyncStatistics { syncs.withLock { $0 } }

    package var segmentCount: Int { index.withLock { $0.count } }

    /// The first record of the newest segments, so many of them; of the first segment when there are fewer.
    package func start(ofNewest segments: Int) -> RecordNumber { index.withLock { $0.start(ofNewest: segments) } }

    /// Durable records from `number` on: at least one, and more as long as their payloads stay within `bytes`; none at the end.
    ///
    /// Reads the file on the caller's thread.
    /// - Throws: `.noSuchRecord` when it was dropped; `.damaged` when the disk gives back other bytes than were written.
    package func records(from number: RecordNumber, bytes: Int) throws(StorageError) -> [LogRecord] {
        let (found, durable, first) = index.withLock { ($0.mark(before: number), $0.end, $0.first) }
        guard let durable, number < durable.next else { return [] }
        guard number >= first, let mark = found else { throw .noSuchRecord(number) }
        return try SegmentSlice(files: files, mark: mark, durable: durable).records(from: number, bytes: bytes)
    }

    /// Forgets records below `number`, in whole segments: some of them may stay. Never the last segment.
    ///
    /// The caller has first made durable elsewhere, or appended again, whatever of them it still needs.
    package func drop(below number: RecordNumber) async throws(StorageError) {
        let result = await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.removeSegments(below: number)) }
        }
        try result.get()
    }

    private func removeSegments(below number: RecordNumber) -> Result<Void, StorageError> {
        let segments = index.withLock { $0.segmentsBelow(number) }
        guard let last = segments.last else { return .success(()) }
        do throws(StorageError) {
            try LogFloor(segment: last + 1).write(besides: files.folder, flush: files.flush)
            for segment in segments {
                index.withLock { $0.remove(segment) }
                try files.remove(segment)
            }
        } catch {
            if case .syncFailed = error { stop(after: error) }
            return .failure(error)
        }
        lookAtSpaceSoon()
        return .success(())
    }
}
