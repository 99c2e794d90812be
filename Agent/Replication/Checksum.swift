// CRC-32C (Castagnoli; iSCSI, RFC 3720 appendix B.4), four bytes a step: the chain that ties each entry to all before it.

package enum Checksum {
    private static let tables: [[UInt32]] = {
        var tables = [[UInt32]](repeating: [UInt32](repeating: 0, count: 256), count: 4)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
            tables[0][byte] = value
        }
        for byte in 0..<256 {
            for table in 1..<4 {
                let previous = tables[table - 1][byte]
                tables[table][byte] = tables[0][Int(previous & 0xFF)] ^ (previous >> 8)
            }
        }
        return tables
    }()

    /// Continues `seed` over `bytes`; `crc32c(b, crc32c(a))` is the checksum of `a` followed by `b`.
    package static func crc32c(_ bytes: [UInt8], continuing seed: UInt32 = 0) -> UInt32 {
        let tables = Self.tables
        return bytes.withUnsafeBufferPointer { bytes in
            tables[0].withUnsafeBufferPointer { t0 in
                tables[1].withUnsafeBufferPointer { t1 in
                    tables[2].withUnsafeBufferPointer { t2 in
                        tables[3].withUnsafeBufferPointer { t3 in
                            var value = ~seed
                            var index = 0
                            while index + 4 <= bytes.count {
                                value ^=
                                    UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8
                                    | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
                                value =
                                    t3[Int(value & 0xFF)] ^ t2[Int(value >> 8 & 0xFF)] ^ t1[Int(value >> 16 & 0xFF)]
                                    ^ t0[Int(value >> 24)]
                                index += 4
                            }
                            while index < bytes.count {
                                value = t0[Int((value ^ UInt32(bytes[index])) & 0xFF)] ^ (value >> 8)
                                index += 1
                            }
                            return ~value
                        }
                    }
                }
            }
        }
    }
}
