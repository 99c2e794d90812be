package import Model

/// How long to leave alone what has just failed: a wait that doubles.
package struct Backoff: Hashable, Sendable {
    private let first: Span
    private let most: Span
    package private(set) var failures = 0

    package init(first: Span, most: Span) {
        self.first = first
        self.most = most
    }

    /// The wait after one more failure.
    package mutating func next() -> Span {
        defer { failures += 1 }
        return min(most, first * (1 << Int64(min(failures, 20))))
    }
}
