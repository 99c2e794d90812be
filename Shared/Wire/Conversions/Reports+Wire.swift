package import Model

extension EngineHealth: WireCodable {
    package init(wire: ProtoEngineHealth) throws(WireError) {
        switch try Check.present(wire.health, "EngineHealth.health") {
        case .healthy(let marker):
            try Check.marker(marker, "EngineHealth.healthy")
            self = .healthy
        case .degraded(let reason): self = .degraded(try Check.text(reason, "EngineHealth.degraded"))
        case .failed(let reason): self = .failed(try Check.text(reason, "EngineHealth.failed"))
        }
    }

    package var wire: ProtoEngineHealth {
        var wire = ProtoEngineHealth()
        switch self {
        case .healthy: wire.healthy = true
        case .degraded(let reason): wire.degraded = reason
        case .failed(let reason): wire.failed = reason
        }
        return wire
    }
}

extension PartitionReport: WireCodable {
    package init(wire: ProtoPartitionReport) throws(WireError) {
        self.init(
            partition: try Check.identifier(wire.partition, "PartitionReport.partition"),
            epoch: try Check.epoch(wire.epoch, "PartitionReport.epoch"), isPrimary: wire.isPrimary,
            role: try ReplicaRole(wire: wire.role, "PartitionReport.role"),
            rows: try Check.counter(wire.rows, "PartitionReport.rows"),
            bytes: try Check.counter(wire.bytes, "PartitionReport.bytes"),
            readsPerSecond: try Check.quantity(wire.readsPerSecond, "PartitionReport.reads_per_second"),
            writesPerSecond: try Check.quantity(wire.writesPerSecond, "PartitionReport.writes_per_second"),
            lag: try Check.span(wire.lagUs, "PartitionReport.lag_us"),
            last: try Position(wire: wire.last), applied: try Position(wire: wire.applied),
            servingFor: wire.hasServingUs ? try Check.span(wire.servingUs, "PartitionReport.serving_us") : nil)
    }

    package var wire: ProtoPartitionReport {
        var wire = ProtoPartitionReport()
        wire.partition = partition.number
        wire.epoch = epoch.number
        wire.isPrimary = isPrimary
        wire.role = role.wire
        wire.rows = rows
        wire.bytes = bytes
        wire.readsPerSecond = readsPerSecond
        wire.writesPerSecond = writesPerSecond
        wire.lagUs = lag.microseconds
        wire.last = last.wire
        wire.applied = applied.wire
        if let servingFor { wire.servingUs = servingFor.microseconds }
        return wire
    }
}

extension OperationReport: WireCodable {
    package init(wire: ProtoOperationReport) throws(WireError) {
        self.init(
            operation: try Check.identifier(wire.operation, "OperationReport.operation"),
            stage: try Check.text(wire.stage, "OperationReport.stage"),
            bytes: try Check.counter(wire.bytes, "OperationReport.bytes"),
            totalBytes: try Check.counter(wire.totalBytes, "OperationReport.total_bytes"),
            wireBytes: try Check.counter(wire.wireBytes, "OperationReport.wire_bytes"),
            bytesPerSecond: try Check.quantity(wire.bytesPerSecond, "OperationReport.bytes_per_second"),
            writePause: try Check.span(wire.writePauseUs, "OperationReport.write_pause_us"))
    }

    package var wire: ProtoOperationReport {
        var wire = ProtoOperationReport()
        wire.operation = operation.number
        wire.stage = stage
        wire.bytes = bytes
        wire.totalBytes = totalBytes
        wire.wireBytes = wireBytes
        wire.bytesPerSecond = bytesPerSecond
        wire.writePauseUs = writePause.microseconds
        return wire
    }
}

extension StrayReplica: WireCodable {
    package init(wire: ProtoStrayReplica) throws(WireError) {
        self.init(
            partition: try Check.identifier(wire.partition, "StrayReplica.partition"),
            storage: try Check.identifier(wire.storage, "StrayReplica.storage"),
            epoch: try Check.epoch(wire.epoch, "StrayReplica.epoch"), isBeingRemoved: wire.isBeingRemoved)
    }

    package var wire: ProtoStrayReplica {
        var wire = ProtoStrayReplica()
        wire.partition = partition.number
        wire.storage = storage.number
        wire.epoch = epoch.number
        wire.isBeingRemoved = isBeingRemoved
        return wire
    }
}

extension Inventory: WireCodable {
    package init(wire: ProtoInventory) throws(WireError) {
        self.init(
            revision: try Revision(wire: wire.revision), replicas: Int(wire.replicas), strayCount: Int(wire.strayCount),
            strays: try Check.list(wire.strays, "Inventory.strays", atMost: Inventory.most, StrayReplica.init(wire:)))
    }

    package var wire: ProtoInventory {
        var wire = ProtoInventory()
        wire.revision = revision.wire
        wire.replicas = UInt32(clamping: replicas)
        wire.strayCount = UInt32(clamping: strayCount)
        wire.strays = strays.map(\.wire)
        return wire
    }
}

extension NodeReport: WireCodable {
    package init(wire: ProtoNodeReport) throws(WireError) {
        guard wire.hasEngine else { throw WireError("NodeReport.engine", .missing) }
        self.init(
            node: try Check.node(wire.node, "NodeReport.node"),
            session: try Check.identifier(wire.session, "NodeReport.session"),
            revision: try Revision(wire: wire.revision),
            machine: MachineLoad(
                cpuPercent: try Check.quantity(wire.cpuPercent, "NodeReport.cpu_percent"),
                memoryTotalBytes: try Check.counter(wire.memoryTotalBytes, "NodeReport.memory_total_bytes"),
                memoryFreeBytes: try Check.counter(wire.memoryFreeBytes, "NodeReport.memory_free_bytes"),
                diskTotalBytes: try Check.counter(wire.diskTotalBytes, "NodeReport.disk_total_bytes"),
                diskFreeBytes: try Check.counter(wire.diskFreeBytes, "NodeReport.disk_free_bytes")),
            operationsPerSecond: try Check.quantity(wire.operationsPerSecond, "NodeReport.operations_per_second"),
            replicationLag: try Check.span(wire.replicationLagUs, "NodeReport.replication_lag_us"),
            engine: try EngineHealth(wire: wire.engine),
            partitions: try Check.list(wire.partitions, "NodeReport.partitions", PartitionReport.init(wire:)),
            operations: try Check.list(wire.operations, "NodeReport.operations", OperationReport.init(wire:)),
            gossipKeys: wire.hasGossipKeys ? try HeldGossipKeys(wire: wire.gossipKeys) : nil,
            inventory: wire.hasInventory ? try Inventory(wire: wire.inventory) : nil)
    }

    package var wire: ProtoNodeReport {
        var wire = ProtoNodeReport()
        wire.node = node.name
        wire.session = session.number
        wire.revision = revision.wire
        wire.cpuPercent = machine.cpuPercent
        wire.memoryTotalBytes = machine.memoryTotalBytes
        wire.memoryFreeBytes = machine.memoryFreeBytes
        wire.diskTotalBytes = machine.diskTotalBytes
        wire.diskFreeBytes = machine.diskFreeBytes
        wire.operationsPerSecond = operationsPerSecond
        wire.replicationLagUs = replicationLag.microseconds
        wire.engine = engine.wire
        wire.partitions = partitions.map(\.wire)
        wire.operations = operations.map(\.wire)
        if let gossipKeys { wire.gossipKeys = gossipKeys.wire }
        if let inventory { wire.inventory = inventory.wire }
        return wire
    }
}
