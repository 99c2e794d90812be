// What a log holds: records, numbered without a gap from the first one ever written in a data folder.

package import Model

/// A record's place in its log; the first one ever is 1.
package struct RecordNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value }
    package static let first = RecordNumber(1)

    package func advanced(by count: Int) -> RecordNumber { RecordNumber(value &+ UInt64(count)) }
    package static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    package var description: String { "#\(value)" }
}

/// A record that has no place yet. What its bytes mean is its owner's business; `kind` is a number of the owner's, never zero.
package struct NewRecord: Hashable, Sendable {
    package let kind: UInt8
    package let payload: [UInt8]

    /// - Precondition: `kind` is not zero (zeros are what an empty segment is made of) and the payload fits
    ///   `RecordFormat.payloadBytes`.
    package init(kind: UInt8, payload: [UInt8]) {
        precondition(kind != 0, "kind 0 is kept for empty space")
        precondition(payload.count <= RecordFormat.payloadBytes, "a record of \(payload.count) bytes is too long")
        self.kind = kind
        self.payload = payload
    }
}

/// A record as it was read back, every checksum of it and before it being right.
package struct LogRecord: Hashable, Sendable {
    package let number: RecordNumber
    package let kind: UInt8
    package let payload: [UInt8]

    package init(number: RecordNumber, kind: UInt8, payload: [UInt8]) {
        self.number = number
        self.kind = kind
        self.payload = payload
    }
}

/// Why a log cannot be read back whole. Nothing was changed; what stands before the damage is good (rule C2).
package struct LogDamage: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Cause: Hashable, Sendable {
        /// The segment's header is cut short, has another magic number, or fails its checksum.
        case unreadableHeader
        /// Written by another version of this program. Nothing is wrong with it, and this version cannot judge it.
        case unknownVersion(UInt32)
        /// The segment was written in another data folder.
        case wrongStore(StoreID)
        /// The file holds another segment than its name says.
        case wrongSegment(UInt64)
        /// A segment between two others is gone.
        case missingSegment(UInt64)
        /// The segment does not continue the one before it.
        case brokenChain
        /// An unreadable record, but not the last thing written: good records of a later batch follow.
        case holeBefore(RecordNumber)
        /// An unreadable record or stray bytes in a segment that is not the last one.
        case unreadableInside
        /// The last record is unreadable, and not as an interrupted write leaves it.
        case unreadableLast
        /// The file is longer than its segment, or its end is gone and may have held records.
        case wrongLength(Int, reserved: Int)
    }

    package let segment: UInt64
    /// Where in the segment.
    package let offset: Int
    /// The first record that cannot be served.
    package let record: RecordNumber
    package let cause: Cause

    package init(segment: UInt64, offset: Int, record: RecordNumber, cause: Cause) {
        self.segment = segment
        self.offset = offset
        self.record = record
        self.cause = cause
    }

    package var description: String { "log damaged at record \(record), segment \(segment), byte \(offset): \(cause)" }
}

extension LogDamage.Cause: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreadableHeader: "the segment's header is cut short or fails its checksum"
        case .unknownVersion(let version): "format \(version), and this program reads format \(SegmentHeader.version)"
        case .wrongStore(let store): "the segment belongs to store \(store)"
        case .wrongSegment(let segment): "the file holds segment \(segment)"
        case .missingSegment(let segment): "segment \(segment) is missing"
        case .brokenChain: "the segment does not continue the one before it"
        case .holeBefore(let record): "an unreadable record, with good ones of a later write behind it, \(record) the first"
        case .unreadableInside: "an unreadable record, though later segments follow"
        case .unreadableLast: "the last record is unreadable, and not as an interrupted write leaves it"
        case .wrongLength(let length, let reserved): "the file has \(length) bytes of the \(reserved) that were reserved"
        }
    }
}
