import Model
import Movement
import Replication

/// One replica on this node: a place in the engine, and the machine that keeps it.
struct LocalReplica: Sendable {
    let storage: StorageID
    /// What it covers. Nil where only the node's log, or a record of its removal, tells of it.
    let range: KeyRange?
    /// Nil until the engine has made the storage, or when it is damaged.
    var replica: Replica?
    var driver: Driver
    /// Learners to which a snapshot is on its way.
    var copying: Set<NodeID> = []
    /// Those of them whose snapshot was told to stop.
    var stopping: Set<NodeID> = []
    /// Learners to which the last snapshot failed, and until when none is tried again.
    private var pauses: [NodeID: (backoff: Backoff, until: LogicalInstant)] = [:]
    /// The newest epoch that the disk proved at the start; the replica itself knows better, if there is one.
    var provenEpoch = Epoch(0)
    /// The children of a split that are being put in its place, or what it is being merged into.
    var installation: Installation?
    /// How far this one, which a split or a merge has ended, has come on the way to what takes its place, and since when no further.
    var ending: (progress: EndingProgress, since: LogicalInstant)?
    var isDropping = false
    /// The append that gives it up.
    var dropTicket: UInt64?
    /// Its removal was cut off by the end of the process.
    var isLeftOver = false
    /// Nothing in the log says where it starts.
    var lacksFirstRecord = false
    var damage: String?
    /// The engine failed at it: before that nothing is tried again.
    var retryAt: LogicalInstant?

    /// It serves no more, and only a new copy will.
    var isDamaged: Bool { damage != nil || replica?.haltReason != nil }

    struct EndingProgress: Hashable, Sendable {
        let applied: UInt64
        let isOrdered: Bool
    }

    struct Installation: Sendable {
        /// Sorted by partition.
        let children: [PartitionDescriptor]
        /// In whose place: one that was split, or all that were merged. The first is named to the engine.
        let parents: [PartitionID]
        /// The append of their first records: once it is on disk, the engine may have them.
        let ticket: UInt64
        /// The engine was told. Until it has said what came of it, neither children nor parents are made or removed here: nobody
        /// knows which of them are there.
        var isOrdered = false
    }

    func mayCopy(to peer: NodeID, at now: LogicalInstant) -> Bool {
        !copying.contains(peer) && pauses[peer].map { now >= $0.until } ?? true
    }

    mutating func copyEnded(to peer: NodeID, isWhole: Bool, at now: LogicalInstant) {
        copying.remove(peer)
        let isStopped = stopping.remove(peer) != nil
        guard !isWhole, !isStopped else { return pauses[peer] = nil }
        var backoff = pauses[peer]?.backoff ?? Backoff(first: .milliseconds(100), most: .seconds(30))
        let wait = backoff.next()
        pauses[peer] = (backoff, now + wait)
    }

    init(storage: StorageID, range: KeyRange?, replica: Replica?, driver: Driver) {
        self.storage = storage
        self.range = range
        self.replica = replica
        self.driver = driver
    }
}
