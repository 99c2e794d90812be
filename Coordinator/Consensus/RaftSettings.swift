package import Model

/// The group's times and limits; equal at all members.
package struct RaftSettings: Hashable, Sendable {
    /// The least time without a leader after which a member asks for votes; the actual one is drawn between it and its double.
    package var electionTimeout: Span
    package var heartbeatInterval: Span
    /// How long word of a commit may wait for an append to travel with. Members apply that much later where nothing follows; where
    /// proposals follow each other, half of all messages are spared.
    package var commitNewsDelay: Span
    /// Appends on their way to one follower.
    package var inFlightMessages: Int
    package var inFlightBytes: Int
    package var appendBytes: Int
    /// Beyond this much that is appended and not committed, proposals are refused.
    package var uncommittedBytes: Int
    package var commandBytes: Int
    package var snapshotChunkBytes: Int
    package var snapshotBytes: Int
    /// Entries kept behind a snapshot, for followers that are a little late.
    package var trailingEntries: UInt64
    package var trailingBytes: Int
    /// Reads that may wait for a confirmation.
    package var waitingReads: Int
    /// The longest that a member's own write may take before it counts as unable to lead: it stops leading, and does not campaign.
    package var diskTimeout: Span
    /// How far a learner may be behind, at the most, to be promoted.
    package var promotionEntries: UInt64

    #if MUTANTS
        package var mutant: Mutant?
    #endif

    package init(
        electionTimeout: Span = .milliseconds(500), heartbeatInterval: Span = .milliseconds(100),
        commitNewsDelay: Span = .zero, inFlightMessages: Int = 128, inFlightBytes: Int = 8 << 20, appendBytes: Int = 1 << 20,
        uncommittedBytes: Int = 64 << 20, commandBytes: Int = 4 << 20,
        snapshotChunkBytes: Int = 1 << 20, snapshotBytes: Int = 1 << 30, trailingEntries: UInt64 = 5_000,
        trailingBytes: Int = 16 << 20, waitingReads: Int = 65_536, diskTimeout: Span? = nil, promotionEntries: UInt64 = 1_000
    ) {
        precondition(heartbeatInterval > .zero && electionTimeout >= heartbeatInterval * 2, "heartbeats must outpace elections")
        self.electionTimeout = electionTimeout
        self.heartbeatInterval = heartbeatInterval
        self.commitNewsDelay = commitNewsDelay
        self.inFlightMessages = inFlightMessages
        self.inFlightBytes = inFlightBytes
        self.appendBytes = appendBytes
        self.uncommittedBytes = uncommittedBytes
        self.commandBytes = commandBytes
        self.snapshotChunkBytes = snapshotChunkBytes
        self.snapshotBytes = snapshotBytes
        self.trailingEntries = trailingEntries
        self.trailingBytes = trailingBytes
        self.waitingReads = waitingReads
        self.diskTimeout = diskTimeout ?? electionTimeout * 4
        self.promotionEntries = promotionEntries
    }
}
