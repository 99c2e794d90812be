/// Where a node is reached. Each is `host:port`.
package struct NodeAddresses: Hashable, Sendable {
    /// SWIM, over UDP.
    package var gossip: String
    /// Links between our processes: TCP with mTLS.
    package var link: String
    /// What clients call, over HTTPS: an agent's gateway, a coordinator's API.
    package var service: String

    package init(gossip: String, link: String, service: String) {
        self.gossip = gossip
        self.link = link
        self.service = service
    }
}

/// The committed standing of a node.
package enum NodeStatus: String, Hashable, Sendable, CaseIterable {
    case healthy, suspected, failed, draining, decommissioned
}

/// What the catalog knows of a database node and its agent.
package struct NodeDescriptor: Hashable, Sendable {
    package let id: NodeID
    /// The data folder under which the node is registered (rule E4).
    package var store: StoreID
    package var session: SessionID
    package var generation: Generation
    package var zone: ZoneName
    package var addresses: NodeAddresses
    package var status: NodeStatus
    /// An operator has had it drained: what a failure in between does not change, and a return does not end.
    package var isDrainWanted: Bool
    /// Whether it is to be drained, failed meanwhile or not. What was written before the wish had a field of its own has it in the status.
    package var wantsDrain: Bool { isDrainWanted || status == .draining }
    /// As the registrant said; empty when it did not.
    package var instanceType: String
    package var version: String

    package init(
        id: NodeID, store: StoreID, session: SessionID, generation: Generation, zone: ZoneName, addresses: NodeAddresses,
        status: NodeStatus, isDrainWanted: Bool = false, instanceType: String = "", version: String = ""
    ) {
        self.id = id
        self.store = store
        self.session = session
        self.generation = generation
        self.zone = zone
        self.addresses = addresses
        self.status = status
        self.isDrainWanted = isDrainWanted
        self.instanceType = instanceType
        self.version = version
    }
}
