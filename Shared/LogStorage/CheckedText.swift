import Model

/// Small files of a few lines that a person can read, the last of which is a checksum of the others.
package enum CheckedText {
    package static func encode(_ lines: [String]) -> [UInt8] {
        let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
        return bytes + Array("crc32c \(String(CRC32C.of(bytes), radix: 16))\n".utf8)
    }

    /// The lines without the last one; nil unless these are the very bytes that `encode` gives for them.
    package static func decode(_ bytes: [UInt8]) -> [Substring]? {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).dropLast(2)
        return encode(lines.map(String.init)) == bytes ? Array(lines) : nil
    }

    /// The number in a line that begins with `name` and a space.
    static func number(_ name: String, in line: Substring, radix: Int = 10) -> UInt64? {
        line.hasPrefix(name + " ") ? UInt64(line.dropFirst(name.count + 1), radix: radix) : nil
    }
}
