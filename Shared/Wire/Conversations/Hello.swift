package import Model

/// What a link is for; one link carries one conversation.
package enum Conversation: String, Hashable, Sendable, CaseIterable, WireEnumeration {
    /// One-way consensus messages; each side dials its own.
    case raft
    /// An agent's session with a coordinator, both ways.
    case session
    /// One-way replication messages between agents.
    case replication
    /// One snapshot from a primary to a learner, both ways.
    case copy
    /// Nothing but the two first frames: a silent member's process shows that it is there.
    case probe
    /// One question of an agent to another for what the coordinators have decided, and its answer.
    case topology

    package var wire: ProtoConversation {
        switch self {
        case .raft: .raft
        case .session: .session
        case .replication: .replication
        case .copy: .copy
        case .probe: .probe
        case .topology: .topology
        }
    }
}

/// The first frame of a link, from each side: who speaks, for which cluster, about what.
package struct Hello: Hashable, Sendable, WireCodable {
    /// Raised when a conversation changes so that an older program would misread it.
    package static let protocolVersion: UInt32 = 1

    package let version: UInt32
    package let cluster: ClusterID
    package let node: NodeID
    package let store: StoreID
    package let generation: Generation
    package let conversation: Conversation

    package init(
        version: UInt32 = Hello.protocolVersion, cluster: ClusterID, node: NodeID, store: StoreID, generation: Generation,
        conversation: Conversation
    ) {
        self.version = version
        self.cluster = cluster
        self.node = node
        self.store = store
        self.generation = generation
        self.conversation = conversation
    }

    package init(wire: ProtoHello) throws(WireError) {
        self.init(
            version: wire.protocolVersion,
            cluster: try Check.formed(wire.clusterID, "Hello.cluster_id", as: ClusterID.init(_:)),
            node: try Check.node(wire.nodeID, "Hello.node_id"), store: StoreID(wire.store),
            generation: try Check.identifier(wire.generation, "Hello.generation"),
            conversation: try Conversation(wire: wire.conversation, "Hello.conversation"))
    }

    package var wire: ProtoHello {
        var wire = ProtoHello()
        wire.protocolVersion = version
        wire.clusterID = cluster.text
        wire.nodeID = node.name
        wire.store = store.number
        wire.generation = generation.number
        wire.conversation = conversation.wire
        return wire
    }
}
