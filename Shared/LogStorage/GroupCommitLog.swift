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
        let since: LogicalInstant
        let completion: @Sendable (Result<Range<RecordNumber>, StorageError>) -> Void
    }

    private struct Inbox: Sendable {
        var requests: [Request] = []
        var bytes = 0
        var isDraining = false
        var hasStopped = false
    }

    private let files: SegmentFiles
    private let options: LogOptions
    private let inbox = Mutex(Inbox())
    private let index: Mutex<SegmentIndex>
    private let syncs = Mutex(SyncStatistics())
    /// Only the queue's thread takes it.
    private let writer: Mutex<SegmentWriter>
    private let queue = DispatchQueue(label: "coxswain.log", qos: .userInitiated)
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
        self.files = SegmentFiles(folder: folder, segmentBytes: options.segmentBytes)
        self.options = options
        let recovered = try RecoveredLog(files: files, store: store, replay: replay)
        self.torn = recovered.torn
        self.index = Mutex(recovered.index)
        self.writer = Mutex(try recovered.writer())
        files.prepareSpare()
    }

    // MARK: - Writing

    /// Makes records durable, in the order of the calls.
    ///
    /// - Parameter completion: called once, on the log's own thread, when the records are durable, or are not and never will be.
    ///   It must not block. The order of completions is the order of submissions.
    package func submit(
        _ records: [NewRecord], completion: @escaping @Sendable (Result<Range<RecordNumber>, StorageError>) -> Void
    ) {
        let bytes = records.reduce(0) { $0 + $1.payload.count }
        enum Decision {
            case refuse(StorageError)
            case start, wait
        }
        let decision = inbox.withLock { inbox -> Decision in
            if inbox.hasStopped { return .refuse(.stopped) }
            guard inbox.requests.isEmpty || inbox.bytes + bytes <= options.pendingBytes else {
                return .refuse(.overloaded(pendingBytes: inbox.bytes))
            }
            inbox.requests.append(Request(records: records, since: MonotonicClock.now, completion: completion))
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
            let outcomes: [SegmentWriter.Outcome]
            do throws(StorageError) {
                outcomes = try write(requests.map(\.records))
            } catch {
                stop(after: error)
                outcomes = requests.map { _ in .failure(.stopped) }
            }
            syncs.withLock { $0.oldestPending = nil }
            for (request, outcome) in zip(requests, outcomes) { request.completion(outcome) }
        }
    }

    /// What has gathered since the last call; nil, and the draining ends, when nothing has.
    private func takeRequests() -> [Request]? {
        inbox.withLock { inbox in
            guard !inbox.requests.isEmpty else {
                inbox.isDraining = false
                return nil
            }
            defer {
                inbox.requests = []
                inbox.bytes = 0
            }
            return inbox.requests
        }
    }

    private func write(_ requests: [[NewRecord]]) throws(StorageError) -> [SegmentWriter.Outcome] {
        if inbox.withLock({ $0.hasStopped }) { throw .stopped }
        let written = writer.withLock { writer -> Result<[SegmentWriter.Outcome], StorageError> in
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

    // MARK: - Reading and dropping

    /// The oldest record that is still there (or would be, in an empty log).
    package var first: RecordNumber { index.withLock { $0.first } }

    /// One past the last durable record.
    package var end: RecordNumber { index.withLock { $0.end?.next ?? .first } }

    package var statistics: SyncStatistics { syncs.withLock { $0 } }

    package var segmentCount: Int { index.withLock { $0.count } }

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
        for segment in index.withLock({ $0.segmentsBelow(number) }) {
            index.withLock { $0.remove(segment) }
            do throws(StorageError) {
                try files.remove(segment)
            } catch {
                return .failure(error)
            }
        }
        return .success(())
    }
}
