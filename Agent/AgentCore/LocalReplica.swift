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
    /// The children of a split are being put in its place.
    var isInstalling = false
    var isDropping = false
    var damage: String?

    /// It serves no more, and only a new copy will.
    var isDamaged: Bool { damage != nil || replica?.haltReason != nil }

    init(storage: StorageID, replica: Replica?, driver: Driver) {
        self.storage = storage
        self.replica = replica
        self.driver = driver
    }
}
