// Time comes with each call. Cores know a monotonic instant and durations; wall-clock time appears only in what people read and
// in tokens, and decides nothing about safety (rule L2).

/// A span of time in microseconds. Never negative on the wire; arithmetic saturates rather than traps.
package struct Span: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }
    package static func microseconds(_ count: Int64) -> Span { Span(microseconds: count) }
    package static func milliseconds(_ count: Int64) -> Span { Span(microseconds: count.saturatingMultiplied(by: 1_000)) }
    package static func seconds(_ count: Int64) -> Span { Span(microseconds: count.saturatingMultiplied(by: 1_000_000)) }
    package static let zero = Span(microseconds: 0)

    package var milliseconds: Int64 { microseconds / 1_000 }
    /// For metrics and people.
    package var seconds: Double { Double(microseconds) / 1_000_000 }

    package static func < (a: Self, b: Self) -> Bool { a.microseconds < b.microseconds }
    package static func + (a: Self, b: Self) -> Self { Span(microseconds: a.microseconds.saturatingAdded(to: b.microseconds)) }
    package static func - (a: Self, b: Self) -> Self {
        Span(microseconds: a.microseconds.saturatingSubtracted(by: b.microseconds))
    }
    package static func * (a: Self, b: Int64) -> Self { Span(microseconds: a.microseconds.saturatingMultiplied(by: b)) }
    package static func / (a: Self, b: Int64) -> Self { Span(microseconds: a.microseconds / b) }

    package var description: String {
        microseconds % 1_000 == 0 ? "\(microseconds / 1_000)ms" : "\(microseconds)us"
    }
}

/// A point on a monotonic clock that counts suspend (CLOCK_BOOTTIME), in microseconds since an arbitrary origin.
package struct LogicalInstant: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }
    package static let origin = LogicalInstant(microseconds: 0)

    package static func < (a: Self, b: Self) -> Bool { a.microseconds < b.microseconds }
    package static func + (a: Self, b: Span) -> Self {
        LogicalInstant(microseconds: a.microseconds.saturatingAdded(to: b.microseconds))
    }
    package static func - (a: Self, b: Span) -> Self {
        LogicalInstant(microseconds: a.microseconds.saturatingSubtracted(by: b.microseconds))
    }
    package static func - (a: Self, b: Self) -> Span {
        Span(microseconds: a.microseconds.saturatingSubtracted(by: b.microseconds))
    }

    package var description: String { "t+\(Span(microseconds: microseconds))" }
}

/// Milliseconds since 1970-01-01 UTC, by somebody's wall clock: for people, tokens and certificates, never for safety.
package struct WallTime: Hashable, Comparable, Sendable {
    package let milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }
    package static func < (a: Self, b: Self) -> Bool { a.milliseconds < b.milliseconds }
    package static func + (time: Self, span: Span) -> Self {
        WallTime(milliseconds: time.milliseconds.saturatingAdded(to: span.milliseconds))
    }
    package static func - (time: Self, span: Span) -> Self {
        WallTime(milliseconds: time.milliseconds.saturatingSubtracted(by: span.milliseconds))
    }
    package var seconds: Int64 { milliseconds / 1_000 }
}

extension Int64 {
    func saturatingAdded(to other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }

    func saturatingSubtracted(by other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    func saturatingMultiplied(by other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self > 0) == (other > 0) ? .max : .min) : product
    }
}

/// A small, fast, seedable source of random numbers for cores (SplitMix64, Steele, Lea and Flood 2014). Not for secrets.
package struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
