import Engine
import Model
import Synchronization

/// Which storages wait for their disk or for SQLite, and why. None of them is damaged.
final class EngineTroubles: Sendable {
    struct Trouble: Hashable, Sendable {
        let error: EngineError
        /// Whether entries wait for it to be over; else only what may be done at any time.
        let holdsEntries: Bool
    }

    private let troubles = Mutex<[StorageID: Trouble]>([:])

    func set(_ trouble: Trouble?, of storage: StorageID) { troubles.withLock { $0[storage] = trouble } }

    /// By storage.
    var all: [(storage: StorageID, trouble: Trouble)] {
        troubles.withLock { $0.sorted { $0.key < $1.key } }.map { ($0.key, $0.value) }
    }

    /// Why writes to the storage must not be ordered now: they could not be applied before there is room again.
    func lackOfRoom(in storage: StorageID) -> EngineError? {
        guard let trouble = troubles.withLock({ $0[storage] }), trouble.holdsEntries, trouble.error.remedy == .room else {
            return nil
        }
        return trouble.error
    }
}
