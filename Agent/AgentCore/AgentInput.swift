package import Model
package import Movement
package import Replication

/// What agents say to each other about partitions.
package enum PeerMessage: Hashable, Sendable {
    case replication(ReplicationMessage)
    case leaseRequest(LeaseRequest)
    case leaseGrant(LeaseGrant)
}

/// What happened.
package enum AgentInput: Hashable, Sendable {
    /// A whole topology from the coordinators.
    case topology(Topology)
    case delta(TopologyDelta)
    /// The mirror of the topology is on disk, at this revision or a later one.
    case topologySaved(Revision)
    case received(PeerMessage, from: NodeID)
    /// The append with this ticket, and all before it, are on disk.
    case persisted(ticket: UInt64)
    /// The engine has applied, and has on disk, up to these sequences.
    case applied(PartitionID, UInt64)
    case synced(PartitionID, UInt64)
    case checksummed(PartitionID, Position, UInt64)
    case write(CallerID, PartitionID, Epoch, [UInt8], WriteOnceRequest? = nil)
    case read(CallerID, PartitionID, Epoch)
    /// An empty replica exists, on disk.
    case created(PartitionID, StorageID)
    /// The engine has put the children in the parent's place, on disk; of several that were merged, the first is named.
    case childrenInstalled(parent: PartitionID)
    /// The engine could not, and has what it had. Nothing else ends an installation that was ordered, but this life.
    case installationFailed(parent: PartitionID, String)
    case dropped(PartitionID, StorageID)
    /// The engine cannot go on with this replica (rule F6).
    case failed(PartitionID, String)
    /// The storage's file does not hold what was written to it, and these partitions in it cannot be read whole; none: all of them.
    case storageDamaged(StorageID, [PartitionID], String)
    /// A snapshot to this learner has ended, whole or not.
    case copyEnded(PartitionID, to: NodeID, isWhole: Bool)
    /// What this learner holds of the snapshot that is on its way stands at this sequence.
    case copyStands(PartitionID, on: NodeID, at: UInt64)
    /// The engine is about to take in a snapshot for a learner here; `copy` tells it from every other one.
    case snapshotBegun(PartitionID, StorageID, copy: UInt64)
    /// A snapshot for a replica here is whole and on disk.
    case snapshotInstalled(PartitionID, StorageID, LogPoint, copy: UInt64)
    case answered(PartitionProposal, ProposalOutcome)
    /// The coordinators' leader was sure of its quorum at this moment of this node's clock, or later; the topology was at `revision`
    /// then, unless the coordinator is of a version that does not tell.
    case quorumConfirmed(LogicalInstant, revision: Revision?)
    /// What was measured of all partitions here, every few seconds.
    case loadMeasured([PartitionLoad])
    /// The key that would halve what a partition holds, or what is asked of it; nil: there is none.
    case splitKeyFound(PartitionID, Key?)
    case tick
}

/// Why a request is refused here.
package enum RequestRefusal: Error, Hashable, Sendable {
    /// Another node leads, as far as this one knows.
    case notHere(PartitionDescriptor?)
    case staleEpoch(PartitionDescriptor)
    case replica(Replica.Refusal)
}

/// What is to be done, in order.
package enum AgentAction: Hashable, Sendable {
    case append([PartitionRecord], ticket: UInt64)
    case send(PeerMessage, to: NodeID)
    case apply(PartitionID, StorageID, [Entry])
    /// Checksum the rows as they are after the entry at this position, with which the `apply` before ends.
    case checksum(PartitionID, StorageID, Position)
    case acknowledge(CallerID, Position)
    case readable(CallerID)
    case refuse(CallerID, RequestRefusal)
    case propose(PartitionProposal, RequestID)
    /// For the node's log: this member is asked to leave the in-sync set, in the proposal that follows.
    case evicting(PartitionID, NodeID, EvictionCause)
    /// Make an empty replica, on disk.
    case create(PartitionDescriptor, StorageID)
    /// Put the children in the parent's place, on disk, in one transaction; or a single one that names its parents in theirs, of which this
    /// is the first.
    case installChildren(parent: PartitionID, StorageID, children: [PartitionDescriptor])
    case drop(PartitionID, StorageID)
    /// Stream a snapshot to a learner, in the name of this run of the primary (rule M5).
    case copy(PartitionID, StorageID, to: NodeID, targetStorage: StorageID, term: Term)
    /// Stop sending it: nobody wants it any more, or not now. Its end is told as that of one that failed.
    case stopCopy(PartitionID, to: NodeID)
    /// Ask whether the coordinators' leader is sure of its quorum: a fence is about to start (rule M4), or a primary stands alone (R6).
    case confirmQuorum
    /// Find a key that halves what the partition holds, or what is asked of it.
    case findSplitKey(PartitionID, StorageID, KeyRange, SplitCause)
    /// The mirror of the topology moved, by a delta or, without one, to another as a whole: publish routes, write it to disk.
    case topologyChanged(by: TopologyDelta?)
    /// Somebody knows more than this node: ask the coordinators again.
    case askTopology
    /// A replica is damaged and serves no more (rules E4, F6).
    case damaged(PartitionID, String)
}

extension PartitionProposal {
    /// The partition that the proposal is about.
    package var partition: PartitionID? {
        switch self {
        case .replicaReady(let id, _), .evict(let id, _, _), .joinInSync(let id, _, _, _), .switchPrimary(let id, _, _, _, _),
            .removeReplica(let id, _, _, _), .commitSplit(let id, _, _, _, _, _), .abort(_, let id, _, _),
            .requestSplit(let id, _, _):
            id
        case .commitMerge(_, let left, _, _): left.partition
        case .cleaned(_, let cleanup): cleanup.partition
        }
    }
}
