package import Engine
package import Model
package import Replication
package import Transport

/// A snapshot that this node, as primary, is to send to a learner.
package struct CopyOrder: Hashable, Sendable {
    package let partition: PartitionID
    package let epoch: Epoch
    package let storage: StorageID
    package let target: NodeID
    /// Where the target's links are accepted.
    package let targetAddress: String
    package let targetStorage: StorageID
    package let operation: OperationID?
}

/// What a copy needs of the agent around it, on the learner's side.
package protocol CopyHost: Sendable {
    /// Makes room for a snapshot that stands at `start`, if this node waits for one of that partition into that storage from
    /// `sender`, its primary, in this epoch (rule M5).
    ///
    /// - Returns: what is imported, and how far an earlier try had come; nil: refuse.
    func beginCopy(
        of partition: PartitionID, at epoch: Epoch, start: LogPoint, into storage: StorageID, from sender: NodeID
    ) async throws(EngineError) -> ImportState?

    /// The snapshot is whole and on disk; the replica's log starts at `start`.
    func copyFinished(of partition: PartitionID, start: LogPoint, in storage: StorageID) async

    /// On the sender's side, from time to time.
    func copyProgressed(_ progress: CopyProgress) async
}

/// Streams snapshots, one link for each (conversation `copy`).
package protocol SnapshotStreams: Sendable {
    /// Sends one snapshot and returns when the learner has it on disk, or throws.
    func send(_ order: CopyOrder) async throws
    /// Receives what a primary sends on an accepted link, until it ends.
    func receive(on link: Link) async
}
