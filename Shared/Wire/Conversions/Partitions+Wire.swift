package import Model

extension ReplicaRole: WireEnumeration {
    package var wire: ProtoReplicaRole {
        switch self {
        case .inSync: .inSync
        case .learner: .learner
        }
    }
}

extension ReplicaDescriptor: WireCodable {
    package init(wire: ProtoReplicaDescriptor) throws(WireError) {
        self.init(
            node: try Check.node(wire.node, "ReplicaDescriptor.node"), store: StoreID(wire.store),
            storage: try Check.identifier(wire.storage, "ReplicaDescriptor.storage"),
            role: try ReplicaRole(wire: wire.role, "ReplicaDescriptor.role"), isDamaged: wire.isDamaged)
    }

    package var wire: ProtoReplicaDescriptor {
        var wire = ProtoReplicaDescriptor()
        wire.node = node.name
        wire.store = store.number
        wire.storage = storage.number
        wire.role = role.wire
        wire.isDamaged = isDamaged
        return wire
    }
}

extension PartitionStatus: WireEnumeration {
    package var wire: ProtoPartitionStatus {
        switch self {
        case .creating: .creating
        case .active: .active
        case .deleting: .deleting
        }
    }
}

extension PartitionDescriptor: WireCodable {
    package init(wire: ProtoPartitionDescriptor) throws(WireError) {
        guard wire.hasRange else { throw WireError("PartitionDescriptor.range", .missing) }
        guard wire.hasOrigin else { throw WireError("PartitionDescriptor.origin", .missing) }
        self.init(
            id: try Check.identifier(wire.id, "PartitionDescriptor.id"),
            table: try Check.identifier(wire.table, "PartitionDescriptor.table"),
            range: try KeyRange(wire: wire.range),
            epoch: try Check.epoch(wire.epoch, "PartitionDescriptor.epoch"),
            primary: wire.hasPrimary ? try Check.node(wire.primary, "PartitionDescriptor.primary") : nil,
            // A move may hold one more than the factor, a repair under way another.
            replicas: try Check.list(
                wire.replicas, "PartitionDescriptor.replicas", atMost: 2 * Limits.replicationFactor,
                ReplicaDescriptor.init(wire:)),
            status: try PartitionStatus(wire: wire.status, "PartitionDescriptor.status"),
            origin: try Position(wire: wire.origin), originChecksum: wire.originChecksum,
            parents: try Check.list(
                wire.parents, "PartitionDescriptor.parents", atMost: 2, MergedPartition.init(wire:)),
            operation: wire.hasOperation ? try Check.identifier(wire.operation, "PartitionDescriptor.operation") : nil,
            forcedAt: wire.hasForcedAt ? try Check.epoch(wire.forcedAt, "PartitionDescriptor.forced_at") : nil)
    }

    package var wire: ProtoPartitionDescriptor {
        var wire = ProtoPartitionDescriptor()
        wire.id = id.number
        wire.table = table.number
        wire.range = range.wire
        wire.epoch = epoch.number
        if let primary { wire.primary = primary.name }
        wire.replicas = replicas.map(\.wire)
        wire.status = status.wire
        wire.origin = origin.wire
        wire.originChecksum = originChecksum
        wire.parents = parents.map(\.wire)
        if let operation { wire.operation = operation.number }
        if let forcedAt { wire.forcedAt = forcedAt.number }
        return wire
    }
}

extension MergedPartition: WireCodable {
    package init(wire: ProtoMergedPartition) throws(WireError) {
        guard wire.hasEnd else { throw WireError("MergedPartition.end", .missing) }
        self.init(
            partition: try Check.identifier(wire.partition, "MergedPartition.partition"), end: try Position(wire: wire.end))
    }

    package var wire: ProtoMergedPartition {
        var wire = ProtoMergedPartition()
        wire.partition = partition.number
        wire.end = end.wire
        return wire
    }
}

extension RetiredPartition: WireCodable {
    package init(wire: ProtoRetiredPartition) throws(WireError) {
        self.init(
            id: try Check.identifier(wire.id, "RetiredPartition.id"),
            epoch: try Check.epoch(wire.epoch, "RetiredPartition.epoch"),
            children: try Check.list(wire.children, "RetiredPartition.children", atMost: 16) { (id) throws(WireError) in
                try Check.identifier(id, "RetiredPartition.children")
            })
    }

    package var wire: ProtoRetiredPartition {
        var wire = ProtoRetiredPartition()
        wire.id = id.number
        wire.epoch = epoch.number
        wire.children = children.map(\.number)
        return wire
    }
}
