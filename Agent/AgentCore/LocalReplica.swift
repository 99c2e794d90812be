import Model
import Movement
import Replication

/// One replica on this node: a place in the engine, and the machine that keeps it.
struct LocalReplica: Sendable {
    let storage: StorageID
    /// Nil until the engine has made the storage, or when it is damaged.
    var replica: Replica?
    var driver: Driver
    /// Learners to which a snapshot is on its way.
    var copying: Set<NodeID> = []
    /// The newest epoch that the disk proved at the start; the replica itself knows better, if there is one.
    var provenEpoch = Epoch(0)
    /// The children of a split that are being put in its place.
    var installation: Installation?
    var isDropping = false
    /// Its removal was cut off by the end of the process.
    var isLeftOver = false
    /// Nothing in the log says where it starts.
    var lacksFirstRecord = false
    var damage: String?
    /// The engine failed at it: before that nothing is tried again.
    var retryAt: LogicalInstant?

    /// It serves no more, and only a new copy will.
    var isDamaged: Bool { damage != nil || replica?.haltReason != nil }

    struct Installation: Sendable {
        /// Sorted by partition.
        let children: [PartitionDescriptor]
        /// The append of their first records: once it is on disk, the engine may have them.
        let ticket: UInt64
        var isOrdered = false
    }

    init(storage: StorageID, replica: Replica?, driver: Driver) {
        self.storage = storage
        self.replica = replica
        self.driver = driver
    }
}
