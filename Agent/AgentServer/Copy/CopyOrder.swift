package import Engine
package import Model
package import Replication
package import Transport

/// A snapshot that this node, as primary, is to send to a learner.
package struct CopyOrder: Hashable, Sendable {
    package let partition: PartitionID
    package let epoch: Epoch
    /// In which this node leads.
    package let term: Term
    package let storage: StorageID
    package let target: NodeID
    /// Where the target's links are accepted.
    package let targetAddress: String
    package let targetStorage: StorageID
    package let operation: OperationID?
}

/// What a sender says of a copy before it begins.
package struct CopyStart: Hashable, Sendable {
    package let partition: PartitionID
    /// At which the sender leads, and in which run of it (rule M5).
    package let epoch: Epoch
    package let term: Term
    package let storage: StorageID
    /// Where the snapshot stands.
    package let start: LogPoint
    /// Whether the sender can bring what an earlier try has stored to where the snapshot stands.
    package let advances: Bool
    /// The pages that the sender offers in the place of rows.
    package var image: PageImage?
}

/// A copy that may arrive here.
package struct BegunCopy: Sendable {
    /// Tells it from every other one that this process has begun.
    package let number: UInt64
    /// What is imported, and how far it has come.
    package var state: ImportState
}

/// What a copy needs of the agent around it, on the learner's side.
package protocol CopyHost: Sendable {
    /// How long the other end of a copy may be silent.
    var copySilence: Span { get }

    /// Bytes in a second, above zero, that all copies together may send, and as many that they may take in.
    var copyRate: Int64 { get }

    /// Makes room for a snapshot, if this node waits for one of that partition into that storage from `sender`, its primary, in this
    /// epoch and run (rule M5).
    ///
    /// - Parameter advancing: what an earlier try has stored stays, wherever it stands; else only if that is where this copy starts.
    /// - Returns: nil: refuse.
    func begin(_ copy: CopyStart, from sender: NodeID, advancing: Bool) async throws(EngineError) -> BegunCopy?

    /// The snapshot is whole and on disk; the replica's log starts where it stands.
    func finished(_ copy: CopyStart, number: UInt64) async

    /// What was copied into here does not read back (rule F6).
    func damageFound(in partition: PartitionID, _ what: String)

    /// On the sender's side: the log from one point of the partition's history to another.
    ///
    /// - Returns: nil: it does not reach back so far, has another entry at one of the points, or is led elsewhere or in another term.
    func changes(
        of partition: PartitionID, after point: LogPoint, through end: LogPoint, in term: Term
    ) async -> [Entry]?

    /// On the sender's side: what the receiver holds stands there, and the log from there on is needed, should this try fail too.
    func copyStands(_ partition: PartitionID, on target: NodeID, at point: LogPoint) async

    /// On the sender's side: whether a snapshot that has been held for so long is to be held on. One whose pages are copied has none to
    /// take its place: the copy would begin anew.
    func mayHold(_ partition: PartitionID, for span: Duration, isImage: Bool) async -> Bool

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
