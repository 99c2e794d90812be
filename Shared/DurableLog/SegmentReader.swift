// Walks over one segment's records, and judges what stands after the last good one.

package struct SegmentReader {
    private let bytes: UnsafeRawBufferPointer
    private let salt: UInt32
    package private(set) var tail: SegmentTail

    /// What a disk writes whole or not at all.
    private static let sectorBytes = 512

    /// - Parameter tail: where to start: a record's offset, number and the checksum before it.
    /// - Precondition: `bytes` stay valid as long as the reader is used.
    package init(_ bytes: UnsafeRawBufferPointer, from tail: SegmentTail) {
        self.bytes = bytes
        self.tail = tail
        self.salt = tail.header.salt
    }

    /// The next good record, or nil where none stands.
    package mutating func next() -> (record: LogRecord, start: SegmentTail)? {
        guard let header = RecordFormat.Header(bytes, at: tail.end, salt: salt), header.number == tail.next,
            header.previous == tail.chain, let checksum = header.checksum(in: bytes, salt: salt)
        else { return nil }
        let start = tail
        let record = LogRecord(
            number: header.number, kind: header.kind, payload: Whitening(salt: salt).plain(bytes, in: header.payload))
        tail = SegmentTail(
            header: tail.header, end: header.end, next: header.number.advanced(by: 1), chain: checksum, salt: salt)
        return (record, start)
    }

    /// What the bytes after the last good record mean; to be asked when `next` has answered nil.
    func verdict(isLast: Bool) -> SegmentVerdict {
        let hole = min(tail.end, bytes.count)
        let dataEnd = bytes.endOfData(in: hole..<bytes.count)
        func damaged(_ cause: LogDamage.Cause) -> SegmentVerdict {
            .damaged(LogDamage(segment: tail.header.segment, offset: hole, record: tail.next, cause: cause))
        }
        // In a segment that is not the last one the next one's header says whether records went with the end.
        let capacity = tail.header.capacity
        if isLast, bytes.count < capacity, bytes.count - dataEnd < RecordFormat.headerBytes, tail.hasRoomForRecord {
            return damaged(.wrongLength(bytes.count, reserved: capacity))
        }
        guard dataEnd > hole else { return .clean }
        guard isLast else { return damaged(.unreadableInside) }
        if let later = firstRecordOfLaterBatch(in: hole..<dataEnd) { return damaged(.holeBefore(later)) }
        guard looksInterrupted(at: hole, dataEnd: dataEnd) else { return damaged(.unreadableLast) }
        return .torn(TornTail(bytes: hole..<dataEnd, record: tail.next))
    }

    /// A good record that was written after the unreadable one had been synced, or that cannot stand here at all.
    private func firstRecordOfLaterBatch(in range: Range<Int>) -> RecordNumber? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            if let header = RecordFormat.Header(bytes, at: offset, salt: salt), header.checksum(in: bytes, salt: salt) != nil {
                let isOfSameBatch = header.number > tail.next && header.batchStart <= tail.next.value
                if !isOfSameBatch { return header.number }
                offset = header.end
                continue
            }
            // Its beginning may be gone; that it was written after others had been synced shows at its end too.
            if let batch = RecordFormat.batch(endingAt: offset, of: bytes, salt: salt), batch > tail.next { return batch }
            offset += 8
        }
        return nil
    }

    /// Whether the record at `hole` is missing bytes (zeros, or the end of the file) rather than holding wrong ones.
    private func looksInterrupted(at hole: Int, dataEnd: Int) -> Bool {
        guard bytes.count - hole >= RecordFormat.headerBytes else { return true }
        let end: Int
        if let header = RecordFormat.Header(bytes, at: hole, salt: salt) {
            // A writer never begins what does not fit.
            if header.end > tail.header.capacity { return false }
            if header.end > bytes.count { return true }
            if bytes.isZero(in: header.closing) { return true }
            end = header.end
        } else {
            if bytes.isZero(in: hole + 16..<hole + RecordFormat.headerBytes) { return true }
            end = dataEnd
        }
        return hasMissingSector(in: hole..<end)
    }

    /// Whether one of the sectors that `range` touches holds only zeros inside it.
    private func hasMissingSector(in range: Range<Int>) -> Bool {
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min((start / Self.sectorBytes + 1) * Self.sectorBytes, range.upperBound)
            if bytes.isZero(in: start..<end) { return true }
            start = end
        }
        return false
    }
}
