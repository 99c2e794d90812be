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
        /// It was, or is being, built from a snapshot in this primary's life.
        package var cameBySnapshot: Bool
        /// Bytes of log that the peer has not yet on disk.
        package var lagBytes: Int
        /// Whether its rows were equal to the primary's at the last comparison for this operation; nil: not compared.
        package var isEqual: Bool?
        /// Its engine takes in nothing, as on a full disk: as primary it would serve nothing.
        package var isStuck: Bool

        package init(
            store: StoreID, needsSnapshot: Bool, isFollowing: Bool, isCopying: Bool, cameBySnapshot: Bool, lagBytes: Int,
            isEqual: Bool?, isStuck: Bool = false
        ) {
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
    /// The fence is on disk, and every in-sync member has the whole log.
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

    package struct SplitRecord: Hashable, Sendable {
        package let position: Position
        package let checksum: UInt32

        package init(position: Position, checksum: UInt32) {
            self.position = position
            self.checksum = checksum
        }
    }

    package init(
        fence: OperationID?, isDrained: Bool, splitRecord: SplitRecord?, peers: [NodeID: Peer], uncommittedBytes: Int,
        hasLease: Bool, quorumConfirmedAt: LogicalInstant?
    ) {
        self.fence = fence
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
        for (node, peer) in other.peers {
            if whole.peers[node].map({ $0.lagBytes < peer.lagBytes }) ?? true { whole.peers[node] = peer }
        }
        whole.isDrained = isDrained && other.isDrained
        whole.splitRecord = nil
        whole.uncommittedBytes += other.uncommittedBytes
        whole.hasLease = hasLease && other.hasLease
        return whole
    }
}

package struct MovementSettings: Hashable, Sendable {
    /// A learner may be compared, and then proposed, when it lags by no more.
    package var smallLag = 128 * 1_024
    /// The gate before a fence: so many looks in a row must be good, so far apart (rule M4).
    package var gateLooks = 3
    package var gateInterval: Span = .milliseconds(20)
    /// No fence starts unless the quorum was confirmed so recently.
    package var quorumFreshness: Span = .milliseconds(200)

    package init() {}
}
