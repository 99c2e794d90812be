package import Model

/// What the primary's replica says of itself at one moment: all that the driver of an operation may look at beside the committed
/// descriptor and operation.
package struct LeaderView: Hashable, Sendable {
    /// One peer, as its primary knows it.
    package struct Peer: Hashable, Sendable {
        package var store: StoreID
        /// The log no longer reaches back to where the peer stands.
        package var needsSnapshot: Bool
        /// Its log agrees with the primary's, and it is sent what comes.
        package var isFollowing: Bool
        /// A snapshot is on its way to it.
        package var isCopying: Bool
        /// It was, or is being, built from a snapshot in this primary's life, or was before it and says so.
        package var cameBySnapshot: Bool
        /// Bytes of log that the peer has not yet on disk.
        package var lagBytes: Int
        /// Whether its rows were equal to the primary's at the last comparison for this operation; nil: not compared.
        package var isEqual: Bool?
        /// Its engine takes in nothing, as on a full disk: as primary it would serve nothing.
        package var isStuck: Bool
        /// Bytes that are committed, and that its engine has not taken in yet.
        package var unappliedBytes: Int

        package init(
            store: StoreID, needsSnapshot: Bool, isFollowing: Bool, isCopying: Bool, cameBySnapshot: Bool, lagBytes: Int,
            isEqual: Bool?, isStuck: Bool = false, unappliedBytes: Int = 0
        ) {
            self.unappliedBytes = unappliedBytes
            self.store = store
            self.needsSnapshot = needsSnapshot
            self.isFollowing = isFollowing
            self.isCopying = isCopying
            self.cameBySnapshot = cameBySnapshot
            self.lagBytes = lagBytes
            self.isEqual = isEqual
            self.isStuck = isStuck
        }
    }

    /// The operation for which writes are fenced.
    package var fence: OperationID?
    /// The fence is on disk; writes that were ordered before it may be under way.
    package var isFenceOnDisk: Bool
    /// It is, and every in-sync member has the whole log.
    package var isDrained: Bool
    /// The operation's split or merge record, once it is committed.
    package var splitRecord: SplitRecord?
    package var peers: [NodeID: Peer]
    /// Bytes ordered but not yet committed.
    package var uncommittedBytes: Int
    /// Whether strong reads would be served now.
    package var hasLease: Bool
    /// When the coordinators' leader is known to have had its quorum.
    package var quorumConfirmedAt: LogicalInstant?
    /// The primary's own engine takes in nothing.
    package var isStuck: Bool
    /// Bytes that are committed, and that the primary's own engine has not taken in yet.
    package var unappliedBytes: Int

    package struct SplitRecord: Hashable, Sendable {
        package let position: Position
        package let checksum: UInt32

        package init(position: Position, checksum: UInt32) {
            self.position = position
            self.checksum = checksum
        }
    }

    package init(
        fence: OperationID?, isFenceOnDisk: Bool, isDrained: Bool, splitRecord: SplitRecord?, peers: [NodeID: Peer],
        uncommittedBytes: Int,
        hasLease: Bool, quorumConfirmedAt: LogicalInstant?, isStuck: Bool = false, unappliedBytes: Int = 0
    ) {
        self.isStuck = isStuck
        self.unappliedBytes = unappliedBytes
        self.fence = fence
        self.isFenceOnDisk = isFenceOnDisk
        self.isDrained = isDrained
        self.splitRecord = splitRecord
        self.peers = peers
        self.uncommittedBytes = uncommittedBytes
        self.hasLease = hasLease
        self.quorumConfirmedAt = quorumConfirmedAt
    }
}

extension LeaderView {
    /// Two partitions of one primary, seen as one by a gate: the worse of the two counts.
    func joined(with other: LeaderView) -> LeaderView {
        var whole = self
        whole.peers.merge(other.peers) { one, two in
            var worse = one.lagBytes < two.lagBytes ? two : one
            worse.isStuck = one.isStuck || two.isStuck
            worse.unappliedBytes = one.unappliedBytes + two.unappliedBytes
            return worse
        }
        whole.isStuck = isStuck || other.isStuck
        whole.unappliedBytes += other.unappliedBytes
        whole.isFenceOnDisk = isFenceOnDisk && other.isFenceOnDisk
        whole.isDrained = isDrained && other.isDrained
        whole.splitRecord = nil
        whole.uncommittedBytes += other.uncommittedBytes
        whole.hasLease = hasLease && other.hasLease
        return whole
    }

    /// Whether the coordinators' leader was sure of its quorum a moment ago: what is fenced without it may be fenced for long.
    func isQuorumConfirmed(at now: LogicalInstant, by settings: MovementSettings) -> Bool {
        quorumConfirmedAt.map { now < $0 + settings.quorumFreshness } ?? false
    }
}

package struct MovementSettings: Hashable, Sendable {
    /// A learner may be compared, and then proposed, when it lags by no more.
    package var smallLag = 128 * 1_024
    /// An engine that has more of the log still to take in keeps a fence from starting: whoever opens next waits for it. More than
    /// `smallLag`, for an engine stands a round trip behind the disks.
    package var engineLag = 512 * 1_024
    /// The gate before a fence: so many looks in a row must be good, so far apart (rule M4).
    package var gateLooks = 3
    package var gateInterval: Span = .milliseconds(20)
    /// No fence starts unless the quorum was confirmed so recently.
    package var quorumFreshness: Span = .milliseconds(200)
    /// How long a split that an agent asked for may stand before its gate: nobody waits for it, and while it stands nothing
    /// else begins on its partition.
    package var gatePatience: Span = .seconds(60)

    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    package init() {}
}

extension MovementSettings {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
