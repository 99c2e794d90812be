package import Model

extension ColumnType: WireEnumeration {
    package var wire: ProtoColumnType {
        switch self {
        case .integer: .integer
        case .text: .text
        case .bytes: .bytes
        case .boolean: .boolean
        case .double: .double
        case .timestamp: .timestamp
        }
    }
}

extension Column: WireCodable {
    package init(wire: ProtoColumn) throws(WireError) {
        self.init(
            name: try Check.formed(wire.name, "Column.name") { (name) throws(InvalidValue) in try RelationName(name) },
            type: try ColumnType(wire: wire.type, "Column.type"))
    }

    package var wire: ProtoColumn {
        var wire = ProtoColumn()
        wire.name = name.name
        wire.type = type.wire
        return wire
    }
}

extension TableStatus: WireEnumeration {
    package var wire: ProtoTableStatus {
        switch self {
        case .creating: .creating
        case .active: .active
        case .deleting: .deleting
        }
    }
}

extension Capacity.Mode: WireEnumeration {
    package var wire: ProtoCapacityMode {
        switch self {
        case .provisioned: .provisioned
        case .onDemand: .onDemand
        }
    }
}

extension Capacity: WireCodable {
    package init(wire: ProtoCapacity) throws(WireError) {
        self.init(
            mode: try Mode(wire: wire.mode, "Capacity.mode"),
            readUnits: wire.hasReadUnits ? try Check.counter(wire.readUnits, "Capacity.read_units") : nil,
            writeUnits: wire.hasWriteUnits ? try Check.counter(wire.writeUnits, "Capacity.write_units") : nil)
    }

    package var wire: ProtoCapacity {
        var wire = ProtoCapacity()
        wire.mode = mode.wire
        if let readUnits { wire.readUnits = readUnits }
        if let writeUnits { wire.writeUnits = writeUnits }
        return wire
    }
}

extension TableDescriptor: WireCodable {
    package init(wire: ProtoTableDescriptor) throws(WireError) {
        func name(_ text: String, _ field: String) throws(WireError) -> RelationName {
            try Check.formed(text, field) { (text) throws(InvalidValue) in try RelationName(text) }
        }
        guard wire.hasCapacity else { throw WireError("TableDescriptor.capacity", .missing) }
        self.init(
            id: try Check.identifier(wire.id, "TableDescriptor.id"),
            name: try name(wire.name, "TableDescriptor.name"),
            columns: try Check.list(wire.columns, "TableDescriptor.columns", atMost: Limits.columns, Column.init(wire:)),
            partitionKey: try name(wire.partitionKey, "TableDescriptor.partition_key"),
            sortKey: wire.hasSortKey ? try name(wire.sortKey, "TableDescriptor.sort_key") : nil,
            replicationFactor: try Check.count(
                wire.replicationFactor, "TableDescriptor.replication_factor", atMost: Limits.replicationFactor),
            minInSync: try Check.count(wire.minInSync, "TableDescriptor.min_in_sync", atMost: Limits.replicationFactor),
            status: try TableStatus(wire: wire.status, "TableDescriptor.status"),
            capacity: try Capacity(wire: wire.capacity),
            createdAt: try Check.wallTime(wire.createdAtMs, "TableDescriptor.created_at_ms"))
    }

    package var wire: ProtoTableDescriptor {
        var wire = ProtoTableDescriptor()
        wire.id = id.number
        wire.name = name.name
        wire.columns = columns.map(\.wire)
        wire.partitionKey = partitionKey.name
        if let sortKey { wire.sortKey = sortKey.name }
        wire.replicationFactor = UInt32(clamping: replicationFactor)
        wire.minInSync = UInt32(clamping: minInSync)
        wire.status = status.wire
        wire.capacity = capacity.wire
        wire.createdAtMs = createdAt.milliseconds
        return wire
    }
}
