// One machine's monotonic clock: it runs a little fast or slow, and leaps forward when the machine was suspended. It never goes back.

package import Model

package struct SimulatedClock: Hashable, Sendable {
    private var since = LogicalInstant.origin
    private var then = LogicalInstant.origin
    /// Millionths by which it is fast; negative when it is slow.
    private var drift: Int64 = 0

    package init() {}

    package func local(at instant: LogicalInstant) -> LogicalInstant {
        let passed = (instant - since).microseconds
        return then + .microseconds(passed + passed * drift / 1_000_000)
    }

    /// When the clock will show `local` at the earliest, or a microsecond later.
    package func instant(of local: LogicalInstant) -> LogicalInstant {
        let wanted = (local - then).microseconds
        return since + .microseconds(wanted - wanted * drift / (1_000_000 + drift) + 1)
    }

    package mutating func setDrift(_ millionths: Int64, at instant: LogicalInstant) {
        precondition(abs(millionths) < 500_000, "a clock that is off by half is none")
        then = local(at: instant)
        since = instant
        drift = millionths
    }

    package mutating func leap(_ span: Span) { then = then + span }
}
