package import Model

/// Spreads bytes over time: so many in a second at most, over any span, but for one burst. First come, first served.
///
/// Who wants to use bytes takes a ticket, and may use them once `delay` is zero. A ticket is counted from where the one before it
/// ends, and may begin as soon as what lies before it is covered: a demand above the burst is served too, and the next one waits for
/// it to be paid. The rate may change at any time; whoever waits then had better ask again.
package struct TokenBucket: Hashable, Sendable {
    /// A place in the order of all bytes that were ever taken.
    package struct Ticket: Hashable, Sendable {
        /// Bytes taken before it.
        fileprivate let start: Int64
    }

    /// In a second.
    package private(set) var rate: Int64
    /// What may be used at once after a rest.
    package let burst: Int64
    private var taken: Int64 = 0
    /// Bytes that time has covered; never more than `burst` beyond what was taken.
    private var covered: Int64
    /// Up to when that is counted. Parts of a byte stay in it.
    private var countedUntil: LogicalInstant

    /// - Precondition: `rate` and `burst` are above zero.
    package init(rate: Int64, burst: Int64, at now: LogicalInstant) {
        precondition(
            rate > 0 && burst > 0, "a bucket of \(rate) bytes in a second, and of \(burst) at once, lets nothing through")
        self.rate = rate
        self.burst = burst
        covered = burst
        countedUntil = now
    }

    /// From now on so many in a second.
    ///
    /// - Precondition: it is above zero.
    package mutating func set(rate: Int64, at now: LogicalInstant) {
        precondition(rate > 0, "a rate of \(rate) lets nothing through")
        guard rate != self.rate else { return }
        refill(at: now)
        self.rate = rate
    }

    package mutating func take(_ bytes: Int, at now: LogicalInstant) -> Ticket {
        refill(at: now)
        defer { taken += Int64(max(0, bytes)) }
        return Ticket(start: taken)
    }

    /// How long to wait before the ticket's bytes may be used; zero: they may be.
    package mutating func delay(of ticket: Ticket, at now: LogicalInstant) -> Span {
        refill(at: now)
        guard covered < ticket.start else { return .zero }
        return .microseconds(Self.time(of: ticket.start - covered, at: rate))
    }

    private mutating func refill(at now: LogicalInstant) {
        guard now > countedUntil else { return }
        let most = taken + burst
        let (product, overflow) = (now - countedUntil).microseconds.multipliedReportingOverflow(by: rate)
        let earned = overflow ? .max : product / 1_000_000
        if earned >= most - covered {
            covered = max(covered, most)
            countedUntil = now
        } else if earned > 0 {
            covered += earned
            countedUntil = countedUntil + .microseconds(Self.time(of: earned, at: rate))
        }
    }

    /// Microseconds, rounded up.
    private static func time(of bytes: Int64, at rate: Int64) -> Int64 {
        let (product, overflow) = bytes.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? bytes / rate * 1_000_000 : product / rate + (product % rate == 0 ? 0 : 1)
    }
}
