// Where a log is written on: the end of its last segment, as a value.

package struct SegmentTail: Hashable, Sendable {
    package let header: SegmentHeader
    /// The first free byte.
    package private(set) var end: Int
    /// The number that the next record gets.
    package private(set) var next: RecordNumber
    /// The last record's checksum.
    package private(set) var chain: UInt32
    private let salt: UInt32

    /// The tail of a segment that holds no record yet.
    package init(of header: SegmentHeader) {
        self.init(header: header, end: SegmentHeader.bytes, next: header.firstRecord, chain: header.chain, salt: header.salt)
    }

    init(header: SegmentHeader, end: Int, next: RecordNumber, chain: UInt32, salt: UInt32) {
        self.header = header
        self.end = end
        self.next = next
        self.chain = chain
        self.salt = salt
    }

    /// The same place for a reader whose bytes start here and not at the segment's start.
    package var rebased: SegmentTail { SegmentTail(header: header, end: 0, next: next, chain: chain, salt: salt) }

    /// The header of the segment that continues this one.
    package func successor(capacity: Int) -> SegmentHeader {
        SegmentHeader(
            store: header.store, segment: header.segment + 1, firstRecord: next, chain: chain, capacity: capacity)
    }

    /// The bytes that are still free in the segment.
    package var room: Int { header.capacity - end }

    var hasRoomForRecord: Bool { room >= RecordFormat.encodedBytes(payload: 0) }

    /// Appends the bytes of one batch: to be written at `end` (as it was before) with one write and synced before the next batch.
    ///
    /// - Precondition: at most `RecordFormat.batchRecords` records.
    package mutating func encode(batch: some Collection<NewRecord>, into buffer: inout [UInt8]) {
        precondition(batch.count <= RecordFormat.batchRecords, "a batch of \(batch.count) records")
        let start = buffer.count
        for (place, record) in batch.enumerated() {
            chain = RecordFormat.encode(record, number: next, place: place, previous: chain, salt: salt, into: &buffer)
            next = next.advanced(by: 1)
        }
        end += buffer.count - start
    }
}
