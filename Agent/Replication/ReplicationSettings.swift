package import Model

/// The numbers of replication, with their reasons (PROTOCOLS, D).
package struct ReplicationSettings: Hashable, Sendable {
    /// A member that makes no progress for so long is evicted (rule R3).
    package var prepareTimeout: Span = .milliseconds(500)
    /// The same while a new primary opens its term: peers may still be starting.
    package var openingTimeout: Span = .milliseconds(2_500)
    /// An idle primary speaks so often.
    package var beaconInterval: Span = .milliseconds(100)
    /// A probe, or a window without progress, is sent again after so long.
    package var resendInterval: Span = .milliseconds(40)
    /// A proposal without an outcome is repeated after so long.
    package var proposalInterval: Span = .milliseconds(200)
    /// The holder of a fence asks for its end after so long (rule M4).
    package var fenceWatchdog: Span = .milliseconds(250)
    /// With a quorum of the coordinators it has ended by then.
    package var fenceBound: Span = .milliseconds(400)
    /// A comparison that somebody did not answer is taken again after so long; each further time after twice as long, up to a bound.
    package var verifyPatience: Span = .seconds(15)
    package var longestVerification: Span = .seconds(4 * 3_600)
    /// An engine that takes in nothing for so long, though it should, is not given the role of the primary; one that has it gives it
    /// up after so long, to one that does better (rule F6).
    package var engineHiccup: Span = .seconds(1)
    package var enginePatience: Span = .seconds(5)
    /// Bytes of entries that the engine is given at a time, but for one entry that is larger: each time that it has taken them in
    /// counts as progress.
    package var applyBytes = 1_024 * 1_024
    /// Entries in one prepare: bounded by bytes and by number.
    package var prepareBytes = 1_024 * 1_024
    package var prepareEntries = 512
    /// Bytes and prepares under way to one peer.
    package var windowBytes = 8 * 1_024 * 1_024
    package var windowPrepares = 256
    /// Ordered but uncommitted: beyond it writes are refused rather than queued.
    package var pendingBytes = 32 * 1_024 * 1_024
    package var pendingWrites = 8_192
    /// Strong reads that wait for the engine: beyond it they are refused.
    package var pendingReads = 8_192
    /// Applied entries kept for a node that comes back soon (rule F5).
    package var historyBytes = 4 * 1_024 * 1_024
    /// Applied entries kept for a learner that still needs them; past it the learner starts with a new snapshot (rule R9).
    package var learnerBytes = 64 * 1_024 * 1_024

    /// An empty learner is given so many entries from the log; when there are more, a snapshot.
    package var replayedEntries: UInt64 = 64

    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    package init() {}

    /// A quarter more than is to be kept, so that most steps forget nothing and one forgets a good deal.
    var longestHistoryBytes: Int { historyBytes + historyBytes / 4 }
    /// The most that is kept of what the engine has on disk, for whomever (rule R9).
    var keptBytes: Int { max(longestHistoryBytes, learnerBytes) }
}

extension ReplicationSettings {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
