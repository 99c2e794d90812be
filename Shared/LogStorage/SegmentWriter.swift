// Writes groups of records into the last segment: one write and one sync for each group, or one for each segment that it needs.

import DurableLog
import Model
import Synchronization

struct SegmentWriter: ~Copyable, Sendable {
    private let files: SegmentFiles
    private var file: File
    private var tail: SegmentTail

    /// Goes on at the end of what was recovered.
    init(files: SegmentFiles, file: consuming File, tail: SegmentTail) {
        self.files = files
        self.file = file
        self.tail = tail
    }

    /// What became of a list of requests.
    struct Written: Sendable {
        /// The numbers of their records, for as many requests from the first on as are durable.
        var numbers: [Range<RecordNumber>] = []
        /// Why there are no more: nothing of the others is on the disk.
        var lack: StorageError?
    }

    /// Writes the requests in order, as far as there is space. Each goes whole into one segment.
    mutating func write(
        _ requests: [[NewRecord]], index: borrowing Mutex<SegmentIndex>, statistics: borrowing Mutex<SyncStatistics>
    ) throws(StorageError) -> Written {
        var written = Written()
        while written.numbers.count < requests.count {
            let rest = requests[written.numbers.count...]
            let fitting = fitting(of: rest)
            do throws(StorageError) {
                if fitting == 0 {
                    try roll(for: Self.bytes(of: rest.first ?? []), index: index)
                } else {
                    let group = rest.prefix(fitting)
                    var next = tail.next
                    try commit(group.flatMap { $0 }, index: index, statistics: statistics)
                    for request in group {
                        written.numbers.append(next..<next.advanced(by: request.count))
                        next = next.advanced(by: request.count)
                    }
                }
            } catch {
                guard case .noSpace = error else { throw error }
                written.lack = error
                return written
            }
        }
        return written
    }

    /// How many of the requests, from the first on, the segment takes.
    private func fitting(of requests: ArraySlice<[NewRecord]>) -> Int {
        var (bytes, records, count) = (0, 0, 0)
        for request in requests {
            bytes += Self.bytes(of: request)
            records += request.count
            guard bytes <= tail.room, records <= RecordFormat.batchRecords else { break }
            count += 1
        }
        return count
    }

    private static func bytes(of records: [NewRecord]) -> Int {
        records.reduce(0) { $0 + RecordFormat.encodedBytes(payload: $1.payload.count) }
    }

    /// After `.noSpace` nothing of it counts, and the next group takes its place: a file system may not keep what it reserved.
    private mutating func commit(
        _ group: [NewRecord], index: borrowing Mutex<SegmentIndex>, statistics: borrowing Mutex<SyncStatistics>
    ) throws(StorageError) {
        guard !group.isEmpty else { return }
        var end = tail
        var bytes: [UInt8] = []
        end.encode(batch: group, into: &bytes)
        try file.write(bytes, at: tail.end)
        let began = MonotonicClock.now
        try file.synchronizeData(files.flush)
        statistics.withLock { $0.completed(records: group.count, bytes: bytes.count, from: began, to: MonotonicClock.now) }
        index.withLock {
            $0.note(tail)
            $0.advance(to: end)
        }
        tail = end
    }

    private mutating func roll(for bytes: Int, index: borrowing Mutex<SegmentIndex>) throws(StorageError) {
        let header = tail.successor(capacity: files.capacity(for: bytes))
        file = try files.make(header)
        tail = SegmentTail(of: header)
        index.withLock { $0.open(header) }
    }
}
