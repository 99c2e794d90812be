package import Model

/// How long the other end of a copy has kept silent while this one waits for it.
///
/// Only waiting counts: what this end does meanwhile with its own disk, or to keep within its rate, says nothing of the other.
/// Nothing is asked in return. An end that is alive and at work says so with the next chunk or the next credit; one whose engine
/// hangs is no better than one that is dead, so a heartbeat would tell too little.
package struct SilenceWatch: Hashable, Sendable {
    package let limit: Span
    private var waitingSince: LogicalInstant?

    /// - Parameter limit: what is waited at most for one frame, or for room to send one.
    package init(limit: Span) { self.limit = limit }

    /// This end begins to wait for the other.
    package mutating func waits(at now: LogicalInstant) { waitingSince = waitingSince ?? now }

    /// What it waited for has come.
    package mutating func heard() { waitingSince = nil }

    /// Whether it has waited for too long.
    package func isOver(at now: LogicalInstant) -> Bool { waitingSince.map { now >= $0 + limit } ?? false }
}
