// What makes a write happen once, however often it is sent.

/// Names one write of one client (rule R8): a version 7 UUID (RFC 9562, section 5.7), whose first 48 bits say when it was made.
///
/// Ordered by that time. The time is what lets old keys be forgotten: whoever has forgotten all keys made before some moment can
/// still tell that a key is one of them. It needs no clock to be right, only each key to keep its own.
package struct IdempotencyKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The two halves, most significant first.
    package let high: UInt64
    package let low: UInt64

    /// - Returns: nil when the version or the variant is another one.
    package init?(high: UInt64, low: UInt64) {
        guard high >> 12 & 0xF == 7, low >> 62 == 0b10 else { return nil }
        (self.high, self.low) = (high, low)
    }

    /// - Parameter time: of the wall clock; before 1970 counts as 1970.
    package init(madeAt time: WallTime, random: inout some RandomNumberGenerator) {
        let milliseconds = UInt64(max(0, time.milliseconds)) & 0xFFFF_FFFF_FFFF
        high = milliseconds << 16 | 7 << 12 | UInt64.random(in: 0...0xFFF, using: &random)
        low = 0b10 << 62 | UInt64.random(in: 0..<1 << 62, using: &random)
    }

    /// - Throws: `InvalidValue` unless `text` is a version 7 UUID in its usual form of 36 characters.
    package init(_ text: String) throws(InvalidValue) {
        let utf8 = Array(text.utf8)
        var (high, low, digits) = (UInt64(0), UInt64(0), 0)
        for (index, character) in utf8.prefix(36).enumerated() {
            if [8, 13, 18, 23].contains(index), character == UInt8(ascii: "-") { continue }
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { break }
            (high, low) = (high << 4 | low >> 60, low << 4 | UInt64(digit))
            digits += 1
        }
        guard utf8.count == 36, digits == 32, let key = IdempotencyKey(high: high, low: low) else {
            throw InvalidValue(field: "Idempotency-Key", detail: "a write's key is a version 7 UUID (RFC 9562)")
        }
        self = key
    }

    /// - Returns: nil unless `bytes` are the 16 of a version 7 UUID.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self.init(high: Self.number(bytes[..<8]), low: Self.number(bytes[8...]))
    }

    /// In the order of the keys themselves.
    package var bytes: [UInt8] { Self.bytes(of: high, 8) + Self.bytes(of: low, 8) }

    /// Bytes that no key made at `time` or later comes before, and every older one does.
    package static func prefix(madeAt time: WallTime) -> [UInt8] {
        bytes(of: UInt64(max(0, time.milliseconds)) << 16, 6)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func bytes(of number: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
    }

    package var madeAt: WallTime { WallTime(milliseconds: Int64(high >> 16)) }

    package static func < (a: Self, b: Self) -> Bool { (a.high, a.low) < (b.high, b.low) }

    package var description: String {
        func hex(_ number: UInt64, _ digits: Int) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        return [
            hex(high >> 32, 8), hex(high >> 16 & 0xFFFF, 4), hex(high & 0xFFFF, 4), hex(low >> 48, 4),
            hex(low & 0xFFFF_FFFF_FFFF, 12),
        ].joined(separator: "-")
    }
}
