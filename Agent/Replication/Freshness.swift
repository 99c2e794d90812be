// How old what a follower has applied may be, without comparing two clocks. The follower says when it spoke, by its own clock; the
// primary repeats that beside its commit point, if it may read strongly at that moment; and once the follower has applied that much, it
// holds all that was acknowledged before it spoke. After a closed timestamp's use for follower reads (Taft et al., CockroachDB, 2020),
// with the question's own time in the place of a synchronised clock.

package import Model

/// Words of a follower, repeated to it.
package struct Voucher: Hashable, Sendable {
    /// Of which of the follower's logs they were, and thereby of which of its lives.
    package let incarnation: UInt64
    /// When it spoke, by its own clock.
    package let spokenAt: LogicalInstant

    package init(incarnation: UInt64, spokenAt: LogicalInstant) {
        self.incarnation = incarnation
        self.spokenAt = spokenAt
    }
}

struct Freshness: Hashable, Sendable {
    /// Everything acknowledged before this is applied here.
    private(set) var asOf: LogicalInstant?
    /// The oldest voucher whose commit point is not applied yet. Newer ones are passed over until it is: each beacon brings another.
    private var awaited: Awaited?

    private struct Awaited: Hashable, Sendable {
        let spokenAt: LogicalInstant
        let commit: UInt64
    }

    mutating func take(_ spokenAt: LogicalInstant, through commit: UInt64, applied: UInt64) {
        if commit <= applied {
            asOf = max(asOf ?? spokenAt, spokenAt)
        } else if awaited == nil {
            awaited = Awaited(spokenAt: spokenAt, commit: commit)
        }
    }

    mutating func hasApplied(_ applied: UInt64) {
        guard let awaited, awaited.commit <= applied else { return }
        asOf = max(asOf ?? awaited.spokenAt, awaited.spokenAt)
        self.awaited = nil
    }
}
