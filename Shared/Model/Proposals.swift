// What agents ask the coordinator group to commit about partitions. Each names the epoch that it expects (rule E1); a mismatch is
// refused and changes nothing.

/// A change of one partition, proposed by the agent that holds it.
package enum PartitionProposal: Hashable, Sendable {
    /// The new table's replica on the proposing node exists, empty and durable.
    case replicaReady(PartitionID, expecting: Epoch)
    /// `node` did not acknowledge in time (rule R3).
    case evict(PartitionID, node: NodeID, expecting: Epoch)
    /// The learner on `node` holds everything and was compared (rules R4, M6). Needs the learner's store (rule M5).
    case joinInSync(PartitionID, node: NodeID, store: StoreID, expecting: Epoch)
    /// The fenced primary gives its role to `target`, whose log is equal (rules M2, M5). The proposer stays in sync.
    case switchPrimary(PartitionID, to: NodeID, store: StoreID, operation: OperationID, expecting: Epoch)
    /// A move's source leaves the descriptor; the operation goes on to `dropSource`.
    case removeReplica(PartitionID, node: NodeID, operation: OperationID, expecting: Epoch)
    /// The split record stands at `at` in every in-sync log: children start there (rule M2).
    case commitSplit(PartitionID, operation: OperationID, at: Position, checksum: UInt32, inSync: [NodeID], expecting: Epoch)
    /// The merge records of both partitions stand in every in-sync log: what they become starts behind them (rule M2).
    case commitMerge(OperationID, left: PartitionEnd, right: PartitionEnd, inSync: [NodeID])
    /// Ends an operation before its switch and raises the epoch (rules E1, M4).
    case abort(OperationID, partition: PartitionID, reason: String, expecting: Epoch)
    /// The data that a cleanup names is gone from the proposing node.
    case cleaned(OperationID, Cleanup)
    /// The primary asks for a split at a key that halves its load.
    case requestSplit(PartitionID, at: Key, expecting: Epoch)

    /// Whether writers may be waiting behind a fence for what becomes of it (rule M4).
    package var mayEndFence: Bool {
        switch self {
        case .switchPrimary, .commitSplit, .commitMerge, .abort: true
        case .replicaReady, .evict, .joinInSync, .removeReplica, .cleaned, .requestSplit: false
        }
    }
}

/// Where a partition's log ends, if the operation that has ordered the record there is committed.
package struct PartitionEnd: Hashable, Sendable {
    package let partition: PartitionID
    package let at: Position
    package let checksum: UInt32
    /// The epoch at which the record was ordered and held.
    package let expecting: Epoch

    package init(partition: PartitionID, at: Position, checksum: UInt32, expecting: Epoch) {
        self.partition = partition
        self.at = at
        self.checksum = checksum
        self.expecting = expecting
    }
}

/// What became of a proposal.
package enum ProposalOutcome: Hashable, Sendable {
    /// Committed; the topology shows it at `revision` or later.
    case accepted(Revision)
    /// Committed as a refusal: nothing changed. `code` is stable, `detail` is for people.
    case refused(code: String, detail: String)
    /// Not committed as far as is known (no leader, lost contact): ask again under the same request id.
    case unavailable
}
