package import Model

extension NodeStatus: WireEnumeration {
    package var wire: ProtoNodeStatus {
        switch self {
        case .healthy: .healthy
        case .suspected: .suspected
        case .failed: .failed
        case .draining: .draining
        case .decommissioned: .decommissioned
        }
    }
}

extension NodeAddresses: WireCodable {
    package init(wire: ProtoNodeAddresses) throws(WireError) {
        self.init(
            gossip: try Check.text(wire.gossip, "NodeAddresses.gossip"),
            link: try Check.text(wire.link, "NodeAddresses.link"),
            service: try Check.text(wire.service, "NodeAddresses.service"))
    }

    package var wire: ProtoNodeAddresses {
        var wire = ProtoNodeAddresses()
        wire.gossip = gossip
        wire.link = link
        wire.service = service
        return wire
    }
}

extension NodeDescriptor: WireCodable {
    package init(wire: ProtoNodeDescriptor) throws(WireError) {
        guard wire.hasAddresses else { throw WireError("NodeDescriptor.addresses", .missing) }
        self.init(
            id: try Check.node(wire.id, "NodeDescriptor.id"),
            // Random, so every number is legal.
            store: StoreID(wire.store),
            session: try Check.identifier(wire.session, "NodeDescriptor.session"),
            generation: try Check.identifier(wire.generation, "NodeDescriptor.generation"),
            zone: try Check.formed(wire.zone, "NodeDescriptor.zone", as: ZoneName.init(_:)),
            addresses: try NodeAddresses(wire: wire.addresses),
            status: try NodeStatus(wire: wire.status, "NodeDescriptor.status"), isDrainWanted: wire.isDrainWanted,
            instanceType: try Check.text(wire.instanceType, "NodeDescriptor.instance_type"),
            version: try Check.text(wire.version, "NodeDescriptor.version"))
    }

    package var wire: ProtoNodeDescriptor {
        var wire = ProtoNodeDescriptor()
        wire.id = id.name
        wire.store = store.number
        wire.session = session.number
        wire.generation = generation.number
        wire.zone = zone.name
        wire.addresses = addresses.wire
        wire.status = status.wire
        wire.isDrainWanted = isDrainWanted
        wire.instanceType = instanceType
        wire.version = version
        return wire
    }
}

extension AgentRegistration: WireCodable {
    package init(wire: ProtoAgentRegistration) throws(WireError) {
        guard wire.hasAddresses else { throw WireError("AgentRegistration.addresses", .missing) }
        self.init(
            store: StoreID(wire.store),
            generation: try Check.generation(wire.generation, "AgentRegistration.generation"),
            zone: try Check.formed(wire.zone, "AgentRegistration.zone", as: ZoneName.init(_:)),
            addresses: try NodeAddresses(wire: wire.addresses),
            instanceType: try Check.text(wire.instanceType, "AgentRegistration.instance_type"),
            version: try Check.text(wire.version, "AgentRegistration.version"),
            isLogIntact: wire.isLogIntact,
            damaged: try Check.list(wire.damaged, "AgentRegistration.damaged", atMost: AgentRegistration.mostDamaged) {
                (id) throws(WireError) in try Check.identifier(id, "AgentRegistration.damaged")
            }, canBeginLater: wire.canBeginLater)
    }

    package var wire: ProtoAgentRegistration {
        var wire = ProtoAgentRegistration()
        wire.store = store.number
        wire.generation = generation.number
        wire.zone = zone.name
        wire.addresses = addresses.wire
        wire.instanceType = instanceType
        wire.version = version
        wire.isLogIntact = isLogIntact
        wire.damaged = damaged.map(\.number)
        wire.canBeginLater = canBeginLater
        return wire
    }
}
