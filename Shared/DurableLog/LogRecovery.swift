// Reading a log back: bytes in, records and a verdict out (rule C2).
//
// The rule: a torn tail may be cut, a hole never. A tail is torn when an interrupted write can have left it so: it stands in the
// last segment, nothing of a later batch follows it, and zeros (or the end of the file) stand where the write did not arrive.
// Anything else that does not match its checksum is damage, the last record included: a bit that rots in an acknowledged record
// must not pass for a write that never ended. (Zeros arrive in units of a sector, because a segment is zeros before it is
// written and a disk writes sectors; or as a missing end, because a process dies in the middle of a copy, though never inside
// an aligned word.)
//
// A file that is shorter than what was reserved for it was cut by somebody else, since a segment gets its name in full length.
// Where zeros enough for a record's beginning stand behind the last record, nothing can have stood further on, and the log is
// whole; otherwise records may have gone with the end, and that is damage too.

package import Model

/// A tail that was being written when the process or the machine stopped; never acknowledged.
package struct TornTail: Hashable, Sendable {
    /// The bytes to keep aside and to overwrite with zeros.
    package let bytes: Range<Int>
    /// The number that the first of its records would have had.
    package let record: RecordNumber

    package init(bytes: Range<Int>, record: RecordNumber) {
        self.bytes = bytes
        self.record = record
    }

    /// What to overwrite with zeros, in this order, each durable before the next one is begun: without the word that closes its header
    /// the tail stays torn, whatever an interruption leaves of the rest. The tail may end within that word, where zeros are its last
    /// bytes: behind it there is nothing to overwrite.
    package var cuts: [Range<Int>] {
        let end = bytes.lowerBound + RecordFormat.headerBytes
        return end - 8 < bytes.upperBound ? [end - 8..<min(end, bytes.upperBound), bytes] : [bytes]
    }
}

package enum SegmentVerdict: Hashable, Sendable {
    /// Every record is good, and zeros follow.
    case clean
    /// Only for the last segment: good records, then what an interrupted write left. Zero it before the next append.
    case torn(TornTail)
    case damaged(LogDamage)
}

/// Takes the segments of one log in order, oldest first, and hands out their records.
package struct LogRecovery: Sendable {
    private let store: StoreID
    /// Where the log goes on; nil before the first segment.
    package private(set) var tail: SegmentTail?

    /// - Parameter store: the data folder's identity; a segment of another one is damage.
    package init(store: StoreID) { self.store = store }

    /// Reads one segment. After `.damaged`, `tail` stands before the damage and no further segment may be taken.
    ///
    /// - Parameters:
    ///   - segment: the number in the file's name.
    ///   - isLast: whether it is the newest one, the only one that may have a torn tail.
    ///   - each: is given every good record in order, with the place in the segment where it starts.
    package mutating func take(
        segment: UInt64, bytes: UnsafeRawBufferPointer, isLast: Bool, each: (LogRecord, SegmentTail) throws -> Void
    ) rethrows -> SegmentVerdict {
        switch start(segment, bytes) {
        case .failure(let damage): return .damaged(damage)
        case .success(let header): tail = SegmentTail(of: header)
        }
        guard var reader = tail.map({ SegmentReader(bytes, from: $0) }) else { return .clean }
        while let found = reader.next() { try each(found.record, found.start) }
        tail = reader.tail
        return reader.verdict(isLast: isLast)
    }

    private func start(_ segment: UInt64, _ bytes: UnsafeRawBufferPointer) -> Result<SegmentHeader, LogDamage> {
        let expected = tail?.successor(capacity: SegmentHeader.bytes)
        let record = expected?.firstRecord ?? .first
        func damage(_ cause: LogDamage.Cause, in number: UInt64) -> Result<SegmentHeader, LogDamage> {
            .failure(LogDamage(segment: number, offset: 0, record: record, cause: cause))
        }
        if let expected, segment != expected.segment {
            return damage(.missingSegment(expected.segment), in: expected.segment)
        }
        switch SegmentHeader.decode(bytes) {
        case .failure(.unreadable): return damage(.unreadableHeader, in: segment)
        case .failure(.unknownVersion(let version)): return damage(.unknownVersion(version), in: segment)
        case .success(let header):
            guard header.store == store else { return damage(.wrongStore(header.store), in: segment) }
            guard header.segment == segment else { return damage(.wrongSegment(header.segment), in: segment) }
            guard expected.map(header.continues) ?? true else { return damage(.brokenChain, in: segment) }
            guard bytes.count <= header.capacity else {
                return .failure(
                    LogDamage(
                        segment: segment, offset: header.capacity, record: header.firstRecord,
                        cause: .wrongLength(bytes.count, reserved: header.capacity)))
            }
            return .success(header)
        }
    }
}
