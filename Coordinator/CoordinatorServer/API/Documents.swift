import Catalog
import CoordinatorCore
import FoundationEssentials
import KeyEncoding
import Membership
import Model

/// How the catalog's values look to callers: names and forms that clients rely on.
enum Documents {
    static func time(_ time: WallTime?) -> JSONNode {
        .string(
            time.map { time in
                // What is formatted is cut off behind the millisecond, below which seconds are not exact.
                Date(timeIntervalSince1970: (Double(time.milliseconds) + 0.5) / 1_000)
                    .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            })
    }

    static func status(_ node: NodeDescriptor) -> String {
        node.session == .none && node.status == .healthy ? "JOINING" : node.status.rawValue.uppercased()
    }

    static func node(_ node: NodeDescriptor, in topology: Topology, report reading: LoadReading?, belief: MemberBelief? = nil)
        -> JSONNode
    {
        let report = reading.flatMap { $0.isFresh ? $0.report : nil }
        return .object([
            "node_id": .string(node.id.name), "endpoint": .string(node.addresses.service), "status": .string(status(node)),
            "drain": drain(node, in: topology),
            "partitions_owned": .number(topology.tally.primaries[node.id] ?? 0),
            "replicas": .number(topology.tally.replicas[node.id] ?? 0),
            "zone": .string(node.zone.name), "instance_type": .string(node.instanceType), "version": .string(node.version),
            "generation": .number(node.generation.number), "session": .number(node.session.number),
            "addresses": .object([
                "gossip": .string(node.addresses.gossip), "link": .string(node.addresses.link),
                "gateway": .string(node.addresses.service),
            ]),
            "metrics": metrics(report), "engine": report.map { engine($0.engine) } ?? .null,
            "reported_seconds_ago": .measure(reading?.age.seconds), "gossip": belief.map(gossip) ?? .null,
        ])
    }

    /// The four that clients rely on, and ours; null where nobody has reported lately.
    private static func metrics(_ report: NodeReport?) -> JSONNode {
        guard let report else {
            return .object(["cpu_pct": .null, "disk_pct": .null, "ops_per_sec": .null, "replication_lag_ms": .null])
        }
        let machine = report.machine
        var members: [String: JSONNode] = [:]
        members["cpu_pct"] = .measure(machine.cpuPercent)
        members["disk_pct"] = .measure(machine.diskPercent)
        members["ops_per_sec"] = .measure(report.operationsPerSecond)
        members["replication_lag_ms"] = .number(report.replicationLag.milliseconds)
        members["memory_pct"] = .measure(machine.memoryPercent)
        members["memory_total_bytes"] = .number(machine.memoryTotalBytes)
        members["memory_free_bytes"] = .number(machine.memoryFreeBytes)
        members["disk_total_bytes"] = .number(machine.diskTotalBytes)
        members["disk_free_bytes"] = .number(machine.diskFreeBytes)
        return .object(members)
    }

    /// What the member that answers believes of the node, and who says so. The catalog's word is `status`.
    private static func gossip(_ belief: MemberBelief) -> JSONNode {
        .object([
            "status": .string("\(belief.member.status)"), "seconds": .measure(belief.age.seconds),
            "accusers": .array(belief.member.accusers.map { .string($0.name) }),
            "rtt_ms": .measure(belief.roundTrip.map { Double($0.microseconds) / 1_000 }),
            "incarnation": .number(belief.member.record.life.incarnation),
        ])
    }

    private static func engine(_ health: EngineHealth) -> JSONNode {
        switch health {
        case .healthy: .object(["health": .string("healthy")])
        case .degraded(let why): .object(["health": .string("degraded"), "detail": .string(why)])
        case .failed(let why): .object(["health": .string("failed"), "detail": .string(why)])
        }
    }

    static func arn(_ table: TableDescriptor, cluster: String) -> String { "coxswain:\(cluster):table/\(table.name)" }

    static func table(_ table: TableDescriptor, in topology: Topology, cluster: String) -> JSONNode {
        .object([
            "table_arn": .string(arn(table, cluster: cluster)), "table_name": .string(table.name.name),
            "status": .string(table.status.rawValue.uppercased()),
            "partition_count": .number(topology.partitions(of: table.id).count), "capacity": capacity(table.capacity),
            "created_at": time(table.createdAt), "partition_key": .string(table.partitionKey.name),
            "sort_key": .string(table.sortKey?.name), "replication_factor": .number(table.replicationFactor),
            "min_in_sync": .number(table.minInSync), "id": .number(table.id.number),
            "schema": .object([
                "attributes": .array(
                    table.columns.map { .object(["name": .string($0.name.name), "type": .string($0.type.rawValue)]) })
            ]),
        ])
    }

    static func capacity(_ capacity: Capacity) -> JSONNode {
        .object([
            "mode": .string(capacity.mode == .provisioned ? "PROVISIONED" : "ON_DEMAND"),
            "read_units": capacity.readUnits.map { .number($0) } ?? .null,
            "write_units": capacity.writeUnits.map { .number($0) } ?? .null,
        ])
    }

    /// A bound as a JSON array of key values; null at the table's ends.
    private static func bound(_ key: Key?, _ table: TableDescriptor?) -> JSONNode {
        guard let key, key != .least, let table, let values = try? KeyLayout(table).leadingValues(of: key) else { return .null }
        return .array(values.map { .scalar($0.json) })
    }

    /// For people, with the bounds as the API writes them.
    static func range(_ range: KeyRange, of table: TableDescriptor) -> String {
        let low = bound(range.low, table), high = bound(range.high, table)
        return "the range from \(low == .null ? "the beginning" : low.text) to \(high == .null ? "the end" : high.text)"
    }

    static func partition(_ partition: PartitionDescriptor, in topology: Topology) -> JSONNode {
        let table = topology.tables[partition.table]
        return .object([
            "id": .number(partition.id.number), "table": .string(table?.name.name), "epoch": .number(partition.epoch.number),
            "low": bound(partition.range.low, table), "high": bound(partition.range.high, table),
            "primary": .string(partition.primary?.name), "in_sync": .array(partition.inSync.map { .string($0.name) }),
            "learners": .array(partition.learners.map { .string($0.name) }),
            "replicas": .array(
                partition.replicas.map { replica in
                    .object([
                        "node": .string(replica.node.name),
                        "role": .string(replica.role == .learner ? "learner" : "in_sync"),
                        "storage": .number(replica.storage.number),
                    ])
                }), "status": .string(partition.status.rawValue.uppercased()),
            "operation": partition.operation.map { .number($0.number) } ?? .null,
            "forced_at": partition.forcedAt.map { .number($0.number) } ?? .null,
        ])
    }

    /// - Parameter reports: who drives the operation says how far it is.
    static func operation(_ operation: OperationDescriptor, in state: CatalogState, reports: [NodeID: LoadReading]) -> JSONNode
    {
        let report = reports.values.lazy.flatMap(\.report.operations).filter { $0.operation == operation.id }
            .max { ($0.bytes, $0.writePause) < ($1.bytes, $1.writePause) }
        let steps = steps(of: operation.kind)
        let place = steps.firstIndex(of: operation.step) ?? steps.count - 1
        let isOver = operation.phase != .running
        var percent =
            isOver ? (operation.phase == .succeeded ? 100.0 : 0) : 100 * Double(place) / Double(max(1, steps.count - 1))
        if operation.step == .copy, let report, report.totalBytes > 0 {
            percent = 50 * min(1, Double(report.bytes) / Double(report.totalBytes))
        }
        var members: [String: JSONNode] = [
            "id": .string(operation.id.description), "kind": .string(operation.kind.name),
            "phase": .string(operation.phase.rawValue), "step": .string(operation.step.rawValue),
            "steps": .array(
                steps.enumerated().map { number, step in
                    let done = number < place || (isOver && operation.phase == .succeeded)
                    return .object([
                        "name": .string(step.rawValue),
                        "status": .string(done ? "done" : number == place && !isOver ? "running" : "pending"),
                    ])
                }), "error": .string(operation.failure), "epoch": .number(operation.epoch.number),
            "created_by": .string(operation.createdBy.name), "reason": .string(operation.reason),
            "cancellable": .boolean(isCancellable(operation, in: state.topology)), "created_at": time(operation.createdAt),
            "paused": operation.pause.map { .object(["by": .string($0.by.name), "at": time($0.at)]) } ?? .null,
            "ended_at": time(operation.endedAt), "cleanups_left": .number(operation.cleanups.count),
            "result": .null,
        ]
        members["progress"] = .object([
            "bytes": .number(report?.bytes ?? 0), "total": .number(report?.totalBytes ?? 0),
            "wire_bytes": .number(report?.wireBytes ?? 0), "percent": .measure(percent),
            "bytes_per_second": .measure(report?.bytesPerSecond ?? 0), "stage": .string(report?.stage),
            "write_pause_ms": .measure(report.map { Double($0.writePause.microseconds) / 1_000 }),
            "eta_seconds": eta(report),
        ])
        switch operation.kind {
        case .createTable(let table), .dropTable(let table):
            members["table"] = .string(state.topology.tables[table]?.name.name)
        case .move(let partition, let source, let target):
            members["partition"] = .number(partition.number)
            members["source"] = .string(source?.name)
            members["target"] = .string(target.name)
        case .split(let partition, _, let lower, let upper):
            members["partition"] = .number(partition.number)
            if operation.phase == .succeeded {
                members["result"] = .object(["lower": .number(lower.number), "upper": .number(upper.number)])
            }
        case .merge(let left, let right, let merged):
            members["partition"] = .number(left.number)
            members["with"] = .number(right.number)
            if operation.phase == .succeeded { members["result"] = .object(["partition": .number(merged.number)]) }
        case .removeOrphan(let partition, let node):
            members["partition"] = .number(partition.number)
            members["source"] = .string(node.name)
        case .transferPrimary(let partition, let target):
            members["partition"] = .number(partition.number)
            members["target"] = .string(target.name)
        }
        return .object(members)
    }

    static func orphan(_ orphan: Orphan) -> JSONNode {
        let fate =
            switch orphan.standing {
            case .over:
                orphan.isConfirmed ? "removal due: the leader orders a few at a time" : "removed after orphan_grace_seconds"
            case .unknown: "kept: the catalog never knew of it; coxctl node remove-orphan removes it"
            case .ahead: "kept: its disk proves a later epoch than the catalog knows"
            case .wanted, .recorded: "none"
            }
        return .object([
            "node": .string(orphan.node.name), "partition": .string(orphan.held.partition.description),
            "storage": .string(orphan.held.storage.description), "epoch": .number(orphan.held.epoch.number),
            "standing": .string(orphan.standing.rawValue), "seen_for_seconds": .measure(orphan.age.seconds),
            "fate": .string(fate),
        ])
    }

    private static func eta(_ report: OperationReport?) -> JSONNode {
        guard let report, report.bytesPerSecond > 0, report.totalBytes >= report.bytes, report.totalBytes > 0 else {
            return .null
        }
        return .measure(Double(report.totalBytes - report.bytes) / report.bytesPerSecond)
    }

    private static func steps(of kind: OperationKind) -> [OperationStep] {
        switch kind {
        case .createTable, .dropTable: [.replicas, .done]
        case .move(_, nil, _): [.copy, .done]
        case .move: [.copy, .handOver, .dropSource, .done]
        case .split, .merge, .transferPrimary: [.fence, .done]
        case .removeOrphan: [.dropSource, .done]
        }
    }

    static func isCancellable(_ operation: OperationDescriptor, in topology: Topology) -> Bool {
        guard operation.phase == .running, let id = operation.kind.partition, let partition = topology.partitions[id],
            partition.operation == operation.id
        else { return false }
        if case .move(_, _, let target) = operation.kind { return partition.primary != target }
        return true
    }

    /// One name of the configuration table.
    static func rule(_ rule: some ConfigurationRule, in topology: Topology) -> JSONNode {
        let entry = topology.configuration[ConfigurationKey(scope: .global, key: rule.name)]
        return .object([
            "key": .string(rule.name), "values": .string(rule.expectation), "standard": .string("\(rule.standard)"),
            "scopes": .array((rule.reach == .cluster ? ["global"] : ["global", "zones", "nodes"]).map { .string($0) }),
            "meaning": .string(rule.meaning), "value": entry.map(value) ?? .null,
        ])
    }

    static func entry(_ entry: ConfigurationEntry) -> JSONNode {
        .object([
            "scope": .string(entry.scope.description), "key": .string(entry.key), "value": value(entry),
            "version": .number(entry.version),
        ])
    }

    /// What is stored is JSON text that was written from a tree, so it is whole.
    static func value(_ entry: ConfigurationEntry) -> JSONNode { .verbatim(entry.value) }
}
