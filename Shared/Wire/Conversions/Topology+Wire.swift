package import Model

extension TopologyChange: WireCodable {
    package init(wire: ProtoTopologyChange) throws(WireError) {
        switch try Check.present(wire.change, "TopologyChange.change") {
        case .node(let node): self = .node(try NodeDescriptor(wire: node))
        case .nodeRemoved(let name): self = .nodeRemoved(try Check.node(name, "TopologyChange.node_removed"))
        case .table(let table): self = .table(try TableDescriptor(wire: table))
        case .tableRemoved(let id): self = .tableRemoved(try Check.identifier(id, "TopologyChange.table_removed"))
        case .partition(let partition): self = .partition(try PartitionDescriptor(wire: partition))
        case .partitionRetired(let retired):
            let retired = try RetiredPartition(wire: retired)
            self = .partitionRetired(retired.id, epoch: retired.epoch, children: retired.children)
        case .operation(let operation): self = .operation(try OperationDescriptor(wire: operation))
        case .operationRemoved(let id): self = .operationRemoved(try Check.identifier(id, "TopologyChange.operation_removed"))
        case .signingKey(let key): self = .signingKey(try SigningKey(wire: key))
        case .signingKeyRemoved(let id): self = .signingKeyRemoved(try Check.text(id, "TopologyChange.signing_key_removed"))
        case .tokenRevoked(let token): self = .tokenRevoked(try RevokedToken(wire: token))
        case .tokenForgotten(let id): self = .tokenForgotten(try Check.text(id, "TopologyChange.token_forgotten"))
        case .policy(let policy): self = .policy(try AccessPolicy(wire: policy))
        case .policyRemoved(let key):
            let key = try PolicyKey(wire: key)
            self = .policyRemoved(key.table, key.principal)
        case .configuration(let entry): self = .configuration(try ConfigurationEntry(wire: entry))
        case .configurationRemoved(let key):
            let key = try ConfigurationKey(wire: key)
            self = .configurationRemoved(key.scope, key.key)
        case .gossipKeys(let keys): self = .gossipKeys(try GossipKeys(wire: keys))
        }
    }

    package var wire: ProtoTopologyChange {
        var wire = ProtoTopologyChange()
        switch self {
        case .node(let node): wire.node = node.wire
        case .nodeRemoved(let id): wire.nodeRemoved = id.name
        case .table(let table): wire.table = table.wire
        case .tableRemoved(let id): wire.tableRemoved = id.number
        case .partition(let partition): wire.partition = partition.wire
        case .partitionRetired(let id, let epoch, let children):
            wire.partitionRetired = RetiredPartition(id: id, epoch: epoch, children: children).wire
        case .operation(let operation): wire.operation = operation.wire
        case .operationRemoved(let id): wire.operationRemoved = id.number
        case .signingKey(let key): wire.signingKey = key.wire
        case .signingKeyRemoved(let id): wire.signingKeyRemoved = id
        case .tokenRevoked(let token): wire.tokenRevoked = token.wire
        case .tokenForgotten(let id): wire.tokenForgotten = id
        case .policy(let policy): wire.policy = policy.wire
        case .policyRemoved(let table, let principal): wire.policyRemoved = PolicyKey(table: table, principal: principal).wire
        case .configuration(let entry): wire.configuration = entry.wire
        case .configurationRemoved(let scope, let key):
            wire.configurationRemoved = ConfigurationKey(scope: scope, key: key).wire
        case .gossipKeys(let keys): wire.gossipKeys = keys.wire
        }
        return wire
    }
}

extension TopologyDelta: WireCodable {
    package init(wire: ProtoTopologyDelta) throws(WireError) {
        self.init(
            from: try Revision(wire: wire.from), to: try Revision(wire: wire.to),
            changes: try Check.list(wire.changes, "TopologyDelta.changes", TopologyChange.init(wire:)),
            stampedAt: wire.hasStampedAtMs ? try Check.wallTime(wire.stampedAtMs, "TopologyDelta.stamped_at_ms") : nil)
    }

    package var wire: ProtoTopologyDelta {
        var wire = ProtoTopologyDelta()
        wire.from = from.wire
        wire.to = to.wire
        wire.changes = changes.map(\.wire)
        if let stampedAt { wire.stampedAtMs = stampedAt.milliseconds }
        return wire
    }
}

extension Topology: WireCodable {
    package init(wire: ProtoTopology) throws(WireError) {
        self.init(
            revision: try Revision(wire: wire.revision),
            changes: try Check.list(wire.changes, "Topology.changes", atMost: 1 << 24, TopologyChange.init(wire:)))
    }

    package var wire: ProtoTopology {
        var wire = ProtoTopology()
        wire.revision = revision.wire
        wire.changes = changes.map(\.wire)
        return wire
    }
}
