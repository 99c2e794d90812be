package import Model
package import RoutingTable

/// What the gateway and the status endpoint ask of the running agent. Every call names the epoch of the route by which it came
/// (rule E2); the owner checks it against what it holds (rule E3).
package protocol DataPlane: Sendable {
    /// Whose gateway this is.
    var node: NodeID { get }

    /// The current routing table: taken once per request, never waited for (rule T4).
    var routes: Routes { get }

    /// Orders a batch and returns when every member of the in-sync set has it on disk (rule R1).
    ///
    /// - Parameter key: under which the write is applied once, however often it is asked for (rule R8); nil: each time.
    func write(
        _ mutations: [Mutation], under key: IdempotencyKey?, to partition: PartitionID, at epoch: Epoch
    ) async throws(DataRefusal) -> Position

    /// Waits while a partition changes hands here, after a write to it was refused because of that: while it is fenced, and while this node
    /// takes up its role, or installs it as what a split or merge has made.
    ///
    /// - Parameter bytes: about what the write holds in memory meanwhile.
    /// - Returns: whether it is worth while to look for the row's place anew, and to ask again; false: it takes too long, or too many wait.
    func awaitHandOver(of partition: PartitionID, holding bytes: Int, until deadline: LogicalInstant) async -> Bool

    /// Waits until the engine has applied the commit point of this moment, and checks the lease after the wait (rule R2).
    func strongRead(of partition: PartitionID, at epoch: Epoch) async throws(DataRefusal) -> ReplicaLocation

    /// Confirms, after the engine was read, that the right to serve still stands.
    func confirmStrongRead(of partition: PartitionID, at epoch: Epoch) async throws(DataRefusal)

    /// Any replica that this node holds, whatever its lag (rule M9).
    func localRead(of partition: PartitionID) async throws(DataRefusal) -> ReplicaLocation

    /// Confirms, after the engine was read, that the replica was not dropped, or its storage given to another copy, beneath the read.
    func confirmLocalRead(of partition: PartitionID, in storage: StorageID) async throws(DataRefusal)

    /// A replica that this node holds and that has everything acknowledged up to `age` ago: at the primary, now (rule M9). Counted when
    /// it is asked.
    func boundedRead(of partition: PartitionID, at epoch: Epoch, within age: Span) async throws(DataRefusal) -> ReplicaLocation

    /// A read of a row, or of rows from a key on, was asked for here.
    func readAsked(of partition: PartitionID, at key: Key)

    /// A read has found that the replica here does not hold what was written to it (rule F6).
    func damageFound(in partition: PartitionID, _ what: String)

    func status() async -> AgentStatus
}

/// Where on this node the rows of a partition are.
package struct ReplicaLocation: Sendable {
    package let partition: PartitionDescriptor
    package let table: TableDescriptor
    package let storage: StorageID
    package let range: KeyRange

    package init(partition: PartitionDescriptor, table: TableDescriptor, storage: StorageID, range: KeyRange) {
        self.partition = partition
        self.table = table
        self.storage = storage
        self.range = range
    }
}

/// Why the agent does not serve a request.
package enum DataRefusal: Error, Hashable, Sendable {
    /// Lives elsewhere; the descriptor mends the caller's route. Nothing was done.
    case notHere(PartitionDescriptor?)
    /// The caller's epoch is not the present one. Nothing was done.
    case staleEpoch(PartitionDescriptor)
    /// Writes are stopped for a moment by an operation (rule M4). Nothing was done.
    case fenced
    /// Below `minInSync` (rule R3). Nothing was done.
    case notEnoughInSync(have: Int, need: Int)
    /// The right to serve is not proved at this moment (rule L1). Nothing was done.
    case noLease
    /// Nobody has vouched that the replica here is as new as was asked; nil: for any age. Nothing was done.
    case tooStale(age: Span?)
    /// The replica is not ready yet: it compares, catches up or applies. Nothing was done.
    case recovering
    /// This node's disk has too little room left for more; the text says how much. Nothing was done.
    case diskFull(String)
    /// Too many requests wait already. Nothing was done.
    case overloaded
    /// The write's key counts for another one (rule R8). Nothing was done.
    case keyReused
    /// The write's key was made too long ago, or at a time that has not come yet. This request did nothing; whether an earlier one
    /// under the key did is not known any more.
    case keyExpired(age: Span)
    /// The write may or may not have happened; the text says why.
    case outcomeUnknown(String)
    case unavailable(String)
}
