package import Membership
package import Model
package import Transport

/// Everything that an agent says about itself at one moment: for its status endpoint, its metrics, and the report that it sends to
/// the coordinators.
package struct AgentStatus: Sendable {
    package var node: NodeID
    package var cluster: ClusterID
    package var zone: ZoneName
    package var store: StoreID
    package var generation: Generation
    /// `.none` until the coordinators have committed the registration of this start.
    package var session: SessionID
    package var addresses: NodeAddresses
    package var version: String
    /// Since the start of the process.
    package var uptime: Span
    /// All other members that SWIM holds, in the order of their names.
    package var members: [MemberBelief]
    package var localHealth: Int64
    /// Nobody answers this member's pings: its network is cut, more likely than all others are gone.
    package var isIsolated: Bool
    package var swim: Swim.Counters
    /// Another process lives under this node's name, and its life is the later one, or the same.
    package var isNameInUse: Bool
    /// Nil until the socket is open.
    package var datagrams: GossipSocket.Counters?
    package var streams: StreamProber.Counters?
    /// Messages of gossip, and rumours in them, that had no effect here, by the reason.
    package var ignoredGossip: [Swim.DropReason: UInt64]
    /// With what gossip is opened and sealed here.
    package var gossipKeys: HeldGossipKeys?
    /// The applied routing revision.
    package var revision: Revision
    /// The newest revision that anybody has told of; greater than `revision` while this agent is behind.
    package var newestRevision: Revision
    /// How long ago a coordinator last confirmed that `revision` is current.
    package var revisionAge: Span
    /// Whether a session with a coordinator stands.
    package var connectedTo: NodeID?
    /// The replicas on this node, in the order of their partitions.
    package var partitions: [PartitionReport]
    /// Operations that this node drives or takes part in.
    package var operations: [OperationReport]
    package var engine: EngineHealth
    /// Replicas that do not hold what they acknowledged, and what was found, in the order of their partitions.
    package var damaged: [(partition: PartitionID, detail: String)] = []
    /// Storages that could not be opened at the start and are still there, and why, in their order: also those in which the topology
    /// knows of nothing, and which nobody fills anew.
    package var unreadable: [(storage: StorageID, detail: String)] = []
    /// Partitions led here that refuse writes behind a fence, and those that wait for a lease.
    package var fenced: [PartitionID]
    /// Those of them whose fence has outlived its bound: nobody has a quorum to end it (rule M4).
    package var fencedWithoutQuorum: [PartitionID] = []
    package var withoutLease: [PartitionID]
    /// Storages in which work waits for room on the disk, or for something else that may pass.
    package var waitingStorages: Int
    /// What is on the disk, beside what should be.
    package var inventory: Inventory?
    package var machine: MachineLoad
    package var fsyncs: UInt64
    package var logBytes: UInt64

    package init(
        node: NodeID, cluster: ClusterID, zone: ZoneName, store: StoreID, generation: Generation, session: SessionID,
        addresses: NodeAddresses, version: String, uptime: Span, members: [MemberBelief] = [], localHealth: Int64 = 0,
        isIsolated: Bool = false,
        swim: Swim.Counters = Swim.Counters(), isNameInUse: Bool = false, datagrams: GossipSocket.Counters? = nil,
        streams: StreamProber.Counters? = nil, ignoredGossip: [Swim.DropReason: UInt64] = [:],
        gossipKeys: HeldGossipKeys? = nil,
        revision: Revision, newestRevision: Revision, revisionAge: Span,
        connectedTo: NodeID? = nil, partitions: [PartitionReport] = [], operations: [OperationReport] = [],
        engine: EngineHealth = .healthy, fenced: [PartitionID] = [], withoutLease: [PartitionID] = [],
        waitingStorages: Int = 0, inventory: Inventory? = nil, machine: MachineLoad = MachineLoad(), fsyncs: UInt64 = 0,
        logBytes: UInt64 = 0
    ) {
        self.node = node
        self.cluster = cluster
        self.zone = zone
        self.store = store
        self.generation = generation
        self.session = session
        self.addresses = addresses
        self.version = version
        self.uptime = uptime
        self.members = members
        self.localHealth = localHealth
        self.isIsolated = isIsolated
        self.swim = swim
        self.isNameInUse = isNameInUse
        self.datagrams = datagrams
        self.gossipKeys = gossipKeys
        self.streams = streams
        self.ignoredGossip = ignoredGossip
        self.revision = revision
        self.newestRevision = newestRevision
        self.revisionAge = revisionAge
        self.connectedTo = connectedTo
        self.partitions = partitions
        self.operations = operations
        self.engine = engine
        self.fenced = fenced
        self.withoutLease = withoutLease
        self.waitingStorages = waitingStorages
        self.inventory = inventory
        self.machine = machine
        self.fsyncs = fsyncs
        self.logBytes = logBytes
    }
}
