// Writes groups of records into the last segment: one write and one sync for each group, or one for each segment that it needs.

import DurableLog
import Model
import Synchronization

struct SegmentWriter: ~Copyable, Sendable {
    private let files: SegmentFiles
    private var file: File
    private var capacity: Int
    private var tail: SegmentTail

    /// Goes on at the end of what was recovered.
    init(files: SegmentFiles, file: consuming File, tail: SegmentTail) throws(StorageError) {
        let capacity = try file.size()
        self.files = files
        self.file = file
        self.capacity = capacity
        self.tail = tail
    }

    /// What one request got: the numbers of its records, or why it and everything after it was not written.
    typealias Outcome = Result<Range<RecordNumber>, StorageError>

    /// Writes the requests in order. Each goes whole into one segment.
    ///
    /// - Returns: an outcome for each, in order. After a failure the ones behind it fail too: the order of records is kept.
    mutating func write(
        _ requests: [[NewRecord]], index: borrowing Mutex<SegmentIndex>, statistics: borrowing Mutex<SyncStatistics>
    ) throws(StorageError) -> [Outcome] {
        var outcomes: [Outcome] = []
        var group: [NewRecord] = []
        var groupBytes = 0
        var next = tail.next
        for request in requests {
            let bytes = request.reduce(0) { $0 + RecordFormat.encodedBytes(payload: $1.payload.count) }
            if groupBytes + bytes > capacity - tail.end || group.count + request.count > RecordFormat.batchRecords {
                try commit(group, index: index, statistics: statistics)
                group = []
                groupBytes = 0
                do {
                    try roll(room: bytes, index: index)
                } catch {
                    guard case .noSpace = error else { throw error }
                    let refused = Outcome.failure(error)
                    return outcomes + repeatElement(refused, count: requests.count - outcomes.count)
                }
            }
            group += request
            groupBytes += bytes
            outcomes.append(.success(next..<next.advanced(by: request.count)))
            next = next.advanced(by: request.count)
        }
        try commit(group, index: index, statistics: statistics)
        return outcomes
    }

    private mutating func commit(
        _ group: [NewRecord], index: borrowing Mutex<SegmentIndex>, statistics: borrowing Mutex<SyncStatistics>
    ) throws(StorageError) {
        guard !group.isEmpty else { return }
        let start = tail
        var bytes: [UInt8] = []
        tail.encode(batch: group, into: &bytes)
        try file.write(bytes, at: start.end)
        let began = MonotonicClock.now
        try file.synchronizeData()
        statistics.withLock { $0.completed(records: group.count, bytes: bytes.count, from: began, to: MonotonicClock.now) }
        let end = tail
        index.withLock {
            $0.note(start)
            $0.advance(to: end)
        }
    }

    private mutating func roll(room bytes: Int, index: borrowing Mutex<SegmentIndex>) throws(StorageError) {
        let header = tail.successor
        file = try files.make(header, room: bytes)
        capacity = try file.size()
        tail = SegmentTail(of: header)
        index.withLock { $0.open(header) }
        files.prepareSpare()
    }
}
