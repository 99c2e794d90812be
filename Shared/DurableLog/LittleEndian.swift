// Integers in little-endian bytes, as the log's files hold them.

extension [UInt8] {
    package mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

extension UnsafeRawBufferPointer {
    /// - Precondition: the integer's bytes lie inside; callers have compared with `count`.
    func littleEndian<Integer: FixedWidthInteger>(_: Integer.Type = Integer.self, at offset: Int) -> Integer {
        Integer(littleEndian: loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }

    /// Whether `range` holds zeros only. Takes words, because most of a young segment is zeros.
    func isZero(in range: Range<Int>) -> Bool { firstNonZero(in: range) == nil }

    func firstNonZero(in range: Range<Int>) -> Int? {
        var offset = range.lowerBound
        while range.upperBound - offset >= 32 {
            let first = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let second = loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
            let third = loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self)
            let fourth = loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)
            if first | second | third | fourth != 0 { break }
            offset += 32
        }
        while offset < range.upperBound {
            if self[offset] != 0 { return offset }
            offset += 1
        }
        return nil
    }

    /// The end of the last byte in `range` that is not zero; the range's start when all are.
    func endOfData(in range: Range<Int>) -> Int {
        var end = range.upperBound
        while end - range.lowerBound >= 8, loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0 { end -= 8 }
        while end > range.lowerBound, self[end - 1] == 0 { end -= 1 }
        return end
    }
}
