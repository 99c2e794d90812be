// How one record lies in a segment. Every record starts at a multiple of eight bytes:
//
//      0  length    u32 bytes of payload
//      4  kind      u8  the owner's; never zero
//      5  place     u24 how many records of the same batch stand before it
//      8  number    u64
//     16  previous  u32 checksum of the record before: the chain
//     20  header    u32 CRC-32C of the 20 bytes before, started from the segment's salt; at least two bits are set
//     24  payload   whitened
//      …  zeros, up to a multiple of eight bytes
//      …  batch     u64 number of the first record of the batch
//      …  trailer   u32 CRC-32C of the eight bytes before, started from the salt; at least two bits are set
//      …  checksum  u32 CRC-32C of all of the above, started from the salt; at least two bits are set
//
// A header proves itself, so that a reader finds good records behind a bad one, and so does the end of a record whose beginning is
// gone. Both tell which records were synced together: a batch is written with one write and one sync, and the next one only after
// it, so a gap inside the last batch is an interrupted write, and a gap before a later batch is damage.
//
// Zeros are how an interrupted write shows, so a whole record must not show any: no checksum is zero or one flipped bit away from
// it, and the payload is whitened, for its owner's bytes may well be zeros by the sector.

import Model

package enum RecordFormat {
    package static let headerBytes = 24
    /// What one record's payload may take: a batch of rows (`Limits.batchBytes`), a frame of a link, and room around it.
    package static let payloadBytes = 16 * 1_024 * 1_024
    /// What the place in a batch can count.
    package static let batchRecords = 1 << 24

    /// The bytes that a record takes in a segment.
    package static func encodedBytes(payload: Int) -> Int { (headerBytes + payload + 7) & ~7 + trailerBytes }

    private static let trailerBytes = 16

    static func encode(
        _ record: NewRecord, number: RecordNumber, place: Int, previous: UInt32, salt: UInt32, into buffer: inout [UInt8]
    ) -> UInt32 {
        let start = buffer.count
        buffer.appendLittleEndian(UInt32(record.payload.count))
        buffer.appendLittleEndian(UInt32(record.kind) | UInt32(place) << 8)
        buffer.appendLittleEndian(number.value)
        buffer.appendLittleEndian(previous)
        let header = buffer.withUnsafeBytes { sum($0, in: start..<start + 20, salt: salt) }
        buffer.appendLittleEndian(header)
        buffer.append(contentsOf: record.payload)
        Whitening(salt: salt).apply(to: &buffer, from: start + headerBytes)
        let end = start + encodedBytes(payload: record.payload.count)
        buffer.append(contentsOf: repeatElement(0, count: end - trailerBytes - buffer.count))
        buffer.appendLittleEndian(number.value - UInt64(place))
        let trailer = buffer.withUnsafeBytes { sum($0, in: end - trailerBytes..<end - 8, salt: salt) }
        buffer.appendLittleEndian(trailer)
        let checksum = buffer.withUnsafeBytes { sum($0, in: start..<$0.count, salt: salt) }
        buffer.appendLittleEndian(checksum)
        return checksum
    }

    /// A header whose own checksum is right, at `offset` of a segment.
    struct Header {
        let offset: Int
        let length: Int
        let kind: UInt8
        let place: Int
        let number: RecordNumber
        let previous: UInt32

        init?(_ bytes: UnsafeRawBufferPointer, at offset: Int, salt: UInt32) {
            guard bytes.count - offset >= RecordFormat.headerBytes else { return nil }
            let length: UInt32 = bytes.littleEndian(at: offset)
            let kindAndPlace: UInt32 = bytes.littleEndian(at: offset + 4)
            let header: UInt32 = bytes.littleEndian(at: offset + 20)
            guard kindAndPlace & 0xFF != 0, length <= RecordFormat.payloadBytes,
                header == sum(bytes, in: offset..<offset + 20, salt: salt)
            else { return nil }
            self.offset = offset
            self.length = Int(length)
            self.kind = UInt8(kindAndPlace & 0xFF)
            self.place = Int(kindAndPlace >> 8)
            self.number = RecordNumber(bytes.littleEndian(at: offset + 8))
            self.previous = bytes.littleEndian(at: offset + 16)
        }

        private var checksumOffset: Int { end - 4 }
        /// The last aligned word of the record, which is never zeros.
        var closing: Range<Int> { end - 8..<end }
        /// Where the next record starts.
        var end: Int { offset + RecordFormat.encodedBytes(payload: length) }
        var payload: Range<Int> { offset + RecordFormat.headerBytes..<offset + RecordFormat.headerBytes + length }
        /// The number of the first record of this one's batch.
        var batchStart: UInt64 { number.value &- UInt64(place) }

        /// The record's checksum, or nil when the record is cut short or does not match it.
        func checksum(in bytes: UnsafeRawBufferPointer, salt: UInt32) -> UInt32? {
            guard end <= bytes.count else { return nil }
            let stored: UInt32 = bytes.littleEndian(at: checksumOffset)
            return stored == sum(bytes, in: offset..<checksumOffset, salt: salt) ? stored : nil
        }
    }

    /// The number of the first record of the batch whose record ends with the 16 bytes at `offset`; nil when no record ends so.
    static func batch(endingAt offset: Int, of bytes: UnsafeRawBufferPointer, salt: UInt32) -> RecordNumber? {
        guard bytes.count - offset >= trailerBytes else { return nil }
        let stored: UInt32 = bytes.littleEndian(at: offset + 8)
        return stored == sum(bytes, in: offset..<offset + 8, salt: salt)
            ? RecordNumber(bytes.littleEndian(at: offset)) : nil
    }
}

/// A checksum that no flipped bit makes zero.
private func sum(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>, salt: UInt32) -> UInt32 {
    var sum = CRC32C(continuing: salt)
    sum.update(UnsafeRawBufferPointer(rebasing: bytes[range]))
    return sum.value.nonzeroBitCount < 2 ? ~sum.value : sum.value
}

/// Payloads on disk differ from what their owner gave by one word of eight bytes, repeated, that the segment's salt gives.
struct Whitening {
    private let word: UInt64

    init(salt: UInt32) { word = (UInt64(~salt) << 32 | UInt64(salt)).littleEndian }

    func apply(to buffer: inout [UInt8], from start: Int) {
        buffer.withUnsafeMutableBytes { apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
    }

    /// The owner's bytes.
    func plain(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            let plain = UnsafeMutableRawBufferPointer(buffer)
            plain.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
            apply(to: UnsafeMutableRawBufferPointer(rebasing: plain[..<range.count]))
            count = range.count
        }
    }

    private func apply(to bytes: UnsafeMutableRawBufferPointer) {
        let whole = bytes.count & ~7
        for offset in stride(from: 0, to: whole, by: 8) {
            let mixed = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ word
            bytes.storeBytes(of: mixed, toByteOffset: offset, as: UInt64.self)
        }
        withUnsafeBytes(of: word) { word in
            for offset in whole..<bytes.count { bytes[offset] ^= word[offset - whole] }
        }
    }
}
