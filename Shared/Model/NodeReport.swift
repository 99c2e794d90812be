// What an agent tells the coordinator leader about itself every few seconds: hints for planners and for people, never decisions.
// It stays outside the log; a lost report costs nothing but freshness (rule C7).

/// Whether the storage engine and its disk do their work (rule F6).
package enum EngineHealth: Hashable, Sendable {
    case healthy
    /// It serves, but worse than it should.
    case degraded(String)
    /// It cannot serve; the node is to be treated as failed for its partitions.
    case failed(String)
}

/// The load of one replica, measured by the agent that holds it.
package struct PartitionReport: Hashable, Sendable {
    package let partition: PartitionID
    /// The epoch under which it was measured.
    package let epoch: Epoch
    package let isPrimary: Bool
    package var role: ReplicaRole
    package var rows: UInt64
    package var bytes: UInt64
    package var readsPerSecond: Double
    package var writesPerSecond: Double
    /// How long ago the newest applied entry was known committed.
    package var lag: Span
    /// Last position in the log, and last position applied to the engine.
    package var last: Position
    package var applied: Position
    /// For how long it has served as primary, without a break; nil while it does not, and where its program does not say.
    package var servingFor: Span?

    package init(
        partition: PartitionID, epoch: Epoch, isPrimary: Bool, role: ReplicaRole, rows: UInt64, bytes: UInt64,
        readsPerSecond: Double, writesPerSecond: Double, lag: Span, last: Position, applied: Position, servingFor: Span? = nil
    ) {
        self.partition = partition
        self.epoch = epoch
        self.isPrimary = isPrimary
        self.role = role
        self.rows = rows
        self.bytes = bytes
        self.readsPerSecond = readsPerSecond
        self.writesPerSecond = writesPerSecond
        self.lag = lag
        self.last = last
        self.applied = applied
        self.servingFor = servingFor
    }
}

/// How far an operation has come on the node that drives it.
package struct OperationReport: Hashable, Sendable {
    package let operation: OperationID
    /// What it is doing now, in a few words for people: `copy 3 of 12`.
    package var stage: String
    /// Uncompressed bytes done, and expected in all (zero: not known).
    package var bytes: UInt64
    package var totalBytes: UInt64
    /// Bytes that crossed the network, compressed.
    package var wireBytes: UInt64
    package var bytesPerSecond: Double
    /// How long writes have been refused by its fence, in all.
    package var writePause: Span

    package init(
        operation: OperationID, stage: String, bytes: UInt64, totalBytes: UInt64, wireBytes: UInt64, bytesPerSecond: Double,
        writePause: Span
    ) {
        self.operation = operation
        self.stage = stage
        self.bytes = bytes
        self.totalBytes = totalBytes
        self.wireBytes = wireBytes
        self.bytesPerSecond = bytesPerSecond
        self.writePause = writePause
    }
}

/// What an agent's machine has and uses.
package struct MachineLoad: Hashable, Sendable {
    /// Of all processors together.
    package var cpuPercent: Double
    package var memoryTotalBytes: UInt64
    /// What programs could still get.
    package var memoryFreeBytes: UInt64
    /// The disk of the data folder.
    package var diskTotalBytes: UInt64
    package var diskFreeBytes: UInt64

    package init(
        cpuPercent: Double = 0, memoryTotalBytes: UInt64 = 0, memoryFreeBytes: UInt64 = 0, diskTotalBytes: UInt64 = 0,
        diskFreeBytes: UInt64 = 0
    ) {
        self.cpuPercent = cpuPercent
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryFreeBytes = memoryFreeBytes
        self.diskTotalBytes = diskTotalBytes
        self.diskFreeBytes = diskFreeBytes
    }

    package var diskPercent: Double { Self.share(diskFreeBytes, of: diskTotalBytes) }
    package var memoryPercent: Double { Self.share(memoryFreeBytes, of: memoryTotalBytes) }

    private static func share(_ free: UInt64, of total: UInt64) -> Double {
        total == 0 ? 0 : 100 * (1 - Double(min(free, total)) / Double(total))
    }
}

/// One agent's load and health.
package struct NodeReport: Hashable, Sendable {
    package let node: NodeID
    package let session: SessionID
    /// The agent's routing revision.
    package var revision: Revision
    package var machine: MachineLoad
    package var operationsPerSecond: Double
    /// The largest lag among its replicas.
    package var replicationLag: Span
    package var engine: EngineHealth
    package var partitions: [PartitionReport]
    package var operations: [OperationReport]
    /// With what it opens and seals gossip; nil where its program does not say.
    package var gossipKeys: HeldGossipKeys?
    /// What it holds; nil where its program does not say.
    package var inventory: Inventory?

    package init(
        node: NodeID, session: SessionID, revision: Revision, machine: MachineLoad, operationsPerSecond: Double,
        replicationLag: Span, engine: EngineHealth, partitions: [PartitionReport],
        operations: [OperationReport], gossipKeys: HeldGossipKeys? = nil, inventory: Inventory? = nil
    ) {
        self.node = node
        self.session = session
        self.revision = revision
        self.machine = machine
        self.operationsPerSecond = operationsPerSecond
        self.replicationLag = replicationLag
        self.engine = engine
        self.partitions = partitions
        self.operations = operations
        self.gossipKeys = gossipKeys
        self.inventory = inventory
    }
}

/// What an agent says of itself when it registers a new session (rules E4, E6). Its name comes from its certificate.
package struct AgentRegistration: Hashable, Sendable {
    package let store: StoreID
    package var generation: Generation
    package let zone: ZoneName
    package let addresses: NodeAddresses
    package let instanceType: String
    package let version: String
    /// Whether every replica was read back whole.
    package var isLogIntact: Bool
    /// If not: the partitions whose replicas were not. The node leaves their in-sync sets, and keeps its places in the others. Where
    /// none is named it vouches for none.
    package var damaged: [PartitionID]
    /// Whether it can take a later generation, where the node is known to have had this one.
    package let canBeginLater: Bool

    /// More are not named one by one.
    package static let mostDamaged = 4_096

    package init(
        store: StoreID, generation: Generation, zone: ZoneName, addresses: NodeAddresses, instanceType: String, version: String,
        isLogIntact: Bool, damaged: [PartitionID] = [], canBeginLater: Bool
    ) {
        self.store = store
        self.generation = generation
        self.zone = zone
        self.addresses = addresses
        self.instanceType = instanceType
        self.version = version
        self.isLogIntact = isLogIntact
        self.damaged = damaged
        self.canBeginLater = canBeginLater
    }
}
