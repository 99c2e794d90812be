// Keys are bytes whose order is the order of the values that they encode (module KeyEncoding). A range is half-open; its upper
// end may be absent, which means "to the end of the table".

/// An encoded key: compares byte by byte, shorter first.
package struct Key: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    /// The least key of all; the lower end of a table.
    package static let least = Key([])

    package static func < (a: Self, b: Self) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }

    package var description: String {
        bytes.isEmpty ? "-inf" : bytes.prefix(32).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// The keys `low <= key < high`; no `high` means every key from `low` on.
package struct KeyRange: Hashable, Sendable, CustomStringConvertible {
    package let low: Key
    package let high: Key?

    /// - Precondition: `low < high`. Bounds from outside are checked with `KeyRange(checking:)`.
    package init(low: Key, high: Key?) {
        precondition(high.map { low < $0 } ?? true, "empty key range \(low) ..< \(high.map(\.description) ?? "+inf")")
        self.low = low
        self.high = high
    }

    /// The range, or nil when it would be empty.
    package init?(checkingLow low: Key, high: Key?) {
        if let high, high <= low { return nil }
        self.low = low
        self.high = high
    }

    package static let all = KeyRange(low: .least, high: nil)

    package func contains(_ key: Key) -> Bool {
        low <= key && (high.map { key < $0 } ?? true)
    }

    package func contains(_ other: KeyRange) -> Bool {
        guard low <= other.low else { return false }
        guard let high else { return true }
        guard let otherHigh = other.high else { return false }
        return otherHigh <= high
    }

    package func overlaps(_ other: KeyRange) -> Bool {
        (other.high.map { low < $0 } ?? true) && (high.map { other.low < $0 } ?? true)
    }

    /// The two halves of a split at `key`, or nil when `key` does not lie strictly inside.
    package func split(at key: Key) -> (lower: KeyRange, upper: KeyRange)? {
        guard low < key, high.map({ key < $0 }) ?? true else { return nil }
        return (KeyRange(low: low, high: key), KeyRange(low: key, high: high))
    }

    /// What of this range a split left to the other half, where `half` is one; nil when `half` is none.
    package func remainder(beside half: KeyRange) -> KeyRange? {
        if half.high == high { return split(at: half.low)?.lower }
        guard half.low == low, let end = half.high else { return nil }
        return split(at: end)?.upper
    }

    package var description: String { "[\(low), \(high.map(\.description) ?? "+inf"))" }
}
