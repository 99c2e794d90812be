import Model

/// How long one coordinator is stayed with that lacks something: twice as long each time that those before it lacked it too.
struct Patience: Hashable, Sendable {
    static let first = Span.seconds(1)
    private static let doublings = 4

    private var since: LogicalInstant?
    /// Coordinators left for it, one after the other.
    private var rounds = 0

    /// It lacks it now, and perhaps for a while already.
    mutating func begin(at now: LogicalInstant) { since = since ?? now }

    /// There is hope: another coordinator, or something that arrives from this one.
    mutating func pause() { since = nil }

    /// Nothing lacks.
    mutating func end() { self = Patience() }

    /// Whether it has been lacking for too long here; if so, the next coordinator has longer.
    mutating func isOver(at now: LogicalInstant) -> Bool {
        guard let since, now - since >= Self.first * Int64(1 << min(rounds, Self.doublings)) else { return false }
        self.since = nil
        rounds += 1
        return true
    }
}
