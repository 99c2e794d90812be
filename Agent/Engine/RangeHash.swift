import Model

/// A rolling 64-bit hash of rows in key order. It finds accidents and bugs, not forgery: both sides are ours. Lengths and types are
/// mixed in, so that no two sequences of rows read as the same bytes.
struct RangeHash {
    private(set) var rows: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

    var checksum: RangeChecksum { RangeChecksum(rows: rows, bytes: bytes, hash: state) }

    mutating func add(_ row: Row) {
        rows += 1
        bytes += UInt64(row.byteCount)
        mix(row.key.bytes)
        for value in row.values {
            switch value {
            case .null: mix(0)
            case .integer(let number): mix(1, UInt64(bitPattern: number))
            case .text(let text):
                mix(2)
                var text = text
                text.withUTF8 { mix(UnsafeRawBufferPointer($0)) }
            case .bytes(let bytes):
                mix(3)
                mix(bytes)
            case .boolean(let flag): mix(4, flag ? 1 : 0)
            case .double(let number): mix(5, number == 0 ? 0 : number.bitPattern)
            case .timestamp(let microseconds): mix(6, UInt64(bitPattern: microseconds))
            }
        }
    }

    private mutating func mix(_ words: UInt64...) {
        for word in words { step(word) }
    }

    private mutating func mix(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { mix($0) }
    }

    private mutating func mix(_ bytes: UnsafeRawBufferPointer) {
        step(UInt64(bytes.count))
        let whole = bytes.count & ~7
        for offset in stride(from: 0, to: whole, by: 8) {
            step(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
        }
        var tail: UInt64 = 0
        for byte in bytes[whole...] { tail = tail << 8 | UInt64(byte) }
        step(tail)
    }

    private mutating func step(_ word: UInt64) {
        state = (state ^ word) &* 0xFF51_AFD7_ED55_8CCD
        state ^= state >> 32
    }
}
