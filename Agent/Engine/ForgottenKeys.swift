package import Model

/// The times at which keys were made that are forgotten (rule R8): one made then, of which no write is remembered, may have been used.
///
/// Spans of time, not all time before the last: where clocks were ahead for a while, keys were made and forgotten that were of the
/// future still when the clocks were right again, and what was made before them must not be refused for that.
package struct ForgottenKeys: Hashable, Sendable {
    /// Beyond so many the oldest two are taken for one.
    package static let most = 16
    /// Those that are no further apart are one: a key that was made between is too old by the time that both are forgotten.
    private static let gap = Limits.writeKeyAge

    /// In the order of time.
    package private(set) var spans: [Range<WallTime>] = []

    package init() {}

    package init(_ spans: [Range<WallTime>]) { spans.forEach { insert($0) } }

    /// All that was made before a time, as older versions told it.
    package init(before end: WallTime) { insert(min(WallTime(milliseconds: 0), end)..<end) }

    package var end: WallTime { spans.last?.upperBound ?? WallTime(milliseconds: 0) }

    package func contains(_ time: WallTime) -> Bool { spans.contains { $0.contains(time) } }

    package mutating func insert(_ span: Range<WallTime>) {
        guard !span.isEmpty else { return }
        var (low, high) = (span.lowerBound, span.upperBound)
        spans.removeAll { other in
            guard other.lowerBound <= span.upperBound + Self.gap, span.lowerBound <= other.upperBound + Self.gap else {
                return false
            }
            (low, high) = (min(low, other.lowerBound), max(high, other.upperBound))
            return true
        }
        spans.append(low..<high)
        spans.sort { $0.lowerBound < $1.lowerBound }
        while spans.count > Self.most { spans.replaceSubrange(0..<2, with: [spans[0].lowerBound..<spans[1].upperBound]) }
    }
}
