// CRC-32C (Castagnoli), by which logs, copies and replicas notice damage. Pure Swift has no intrinsic for the processor's own
// instruction; eight tables ("slicing by 8", Kounavis and Berry 2005) take eight bytes a step instead.

/// A running CRC-32C. Guards against accidents, not against people.
package struct CRC32C: Hashable, Sendable {
    /// The checksum of all bytes so far; zero of none.
    package private(set) var value: UInt32

    /// - Parameter value: the checksum of what came before: checksums chain.
    package init(continuing value: UInt32 = 0) { self.value = value }

    package static func of(_ bytes: [UInt8], continuing value: UInt32 = 0) -> UInt32 {
        var crc = CRC32C(continuing: value)
        bytes.withUnsafeBytes { crc.update($0) }
        return crc.value
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let before = ~value
        value = Self.tables.withUnsafeBufferPointer { table in ~Self.advance(before, over: bytes, by: table) }
    }

    private static func advance(
        _ start: UInt32, over bytes: UnsafeRawBufferPointer, by table: UnsafeBufferPointer<UInt32>
    ) -> UInt32 {
        var crc = start
        var offset = 0
        let count = bytes.count
        while count - offset >= 8 {
            let low = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) ^ crc
            let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            let early = table[1_792 + Int(low & 0xFF)] ^ table[1_536 + Int(low >> 8 & 0xFF)]
            let middle = table[1_280 + Int(low >> 16 & 0xFF)] ^ table[1_024 + Int(low >> 24)]
            let late = table[768 + Int(high & 0xFF)] ^ table[512 + Int(high >> 8 & 0xFF)]
            crc = early ^ middle ^ late ^ table[256 + Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
            offset += 8
        }
        while offset < count {
            crc = table[Int((crc ^ UInt32(bytes[offset])) & 0xFF)] ^ crc >> 8
            offset += 1
        }
        return crc
    }

    /// Table `k` (256 entries from `256 * k`) advances a byte over `k` zero bytes after it.
    private static let tables: [UInt32] = {
        var all = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            all[byte] = crc
        }
        for index in 256..<all.count {
            let shorter = all[index - 256]
            all[index] = all[Int(shorter & 0xFF)] ^ shorter >> 8
        }
        return all
    }()
}
