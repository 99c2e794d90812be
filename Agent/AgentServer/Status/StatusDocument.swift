import Membership
import Model

/// `/status` as JSON. Field names are snake_case, as everywhere in the API; durations are whole milliseconds.
struct StatusDocument: Encodable {
    struct Identity: Encodable {
        let nodeID: String
        let cluster: String
        let zone: String
        let store: String
        let generation: UInt64
        let session: UInt64
        let version: String
        let gateway: String
        let link: String
        let gossip: String
        let uptimeMs: Int64

        private enum CodingKeys: String, CodingKey {
            case nodeID = "node_id"
            case cluster, zone, store, generation, session, version, gateway, link, gossip
            case uptimeMs = "uptime_ms"
        }
    }

    struct MemberEntry: Encodable {
        let nodeID: String
        let kind: String
        let status: String
        let zone: String
        let generation: UInt64
        let incarnation: UInt64
        /// For how long it has had this status.
        let ageMs: Int64
        let roundTripMs: Double?
        /// Who accuses it, or accused it until it was held dead.
        let accusers: [String]

        private enum CodingKeys: String, CodingKey {
            case nodeID = "node_id"
            case kind, status, zone, generation, incarnation
            case ageMs = "age_ms"
            case roundTripMs = "rtt_ms"
            case accusers
        }

        init(_ belief: MemberBelief) {
            let member = belief.member
            nodeID = member.node.name
            kind = "\(member.profile.kind)"
            status = "\(member.status)"
            zone = member.profile.zone.name
            generation = member.record.life.generation.number
            incarnation = member.record.life.incarnation
            ageMs = belief.age.milliseconds
            roundTripMs = belief.roundTrip.map { Double($0.microseconds) / 1_000 }
            accusers = member.accusers.map(\.name)
        }
    }

    struct Routing: Encodable {
        let revision: String
        let newestRevisionHeard: String
        let ageMs: Int64
        let coordinator: String?

        private enum CodingKeys: String, CodingKey {
            case revision
            case newestRevisionHeard = "newest_revision_heard"
            case ageMs = "age_ms"
            case coordinator
        }
    }

    struct PartitionEntry: Encodable {
        let partitionID: UInt64
        let role: String
        let epoch: UInt64
        let lagMs: Int64
        let operationsPerSecond: Double
        let rows: UInt64
        let bytes: UInt64
        let last: String
        let applied: String
        let fenced: Bool
        /// `FENCED_NO_QUORUM` where that is why writes are still refused.
        let finding: String?
        let lease: Bool

        private enum CodingKeys: String, CodingKey {
            case partitionID = "partition_id"
            case role, epoch
            case lagMs = "lag_ms"
            case operationsPerSecond = "ops_per_sec"
            case rows, bytes, last, applied, fenced, finding, lease
        }
    }

    struct OperationEntry: Encodable {
        let operationID: String
        let stage: String
        let bytes: UInt64
        let totalBytes: UInt64
        let wireBytes: UInt64
        let bytesPerSecond: Double
        let writePauseMs: Double

        private enum CodingKeys: String, CodingKey {
            case operationID = "operation_id"
            case stage, bytes
            case totalBytes = "total_bytes"
            case wireBytes = "wire_bytes"
            case bytesPerSecond = "bytes_per_second"
            case writePauseMs = "write_pause_ms"
        }
    }

    struct Damage: Encodable {
        let partitionID: UInt64
        let detail: String

        private enum CodingKeys: String, CodingKey {
            case partitionID = "partition_id"
            case detail
        }
    }

    struct UnreadableStorage: Encodable {
        let storageID: UInt64
        let detail: String

        private enum CodingKeys: String, CodingKey {
            case storageID = "storage_id"
            case detail
        }
    }

    struct Engine: Encodable {
        let health: String
        let detail: String?
        let damaged: [Damage]
        let unreadable: [UnreadableStorage]
        let fsyncs: UInt64
        let logBytes: UInt64

        private enum CodingKeys: String, CodingKey {
            case health, detail, damaged, unreadable, fsyncs
            case logBytes = "log_bytes"
        }
    }

    struct Machine: Encodable {
        let cpuPercent: Double
        let memoryTotalBytes: UInt64
        let memoryFreeBytes: UInt64
        let diskTotalBytes: UInt64
        let diskFreeBytes: UInt64

        private enum CodingKeys: String, CodingKey {
            case cpuPercent = "cpu_pct"
            case memoryTotalBytes = "memory_total_bytes"
            case memoryFreeBytes = "memory_free_bytes"
            case diskTotalBytes = "disk_total_bytes"
            case diskFreeBytes = "disk_free_bytes"
        }
    }

    let identity: Identity
    let members: [MemberEntry]
    let localHealth: Int64
    /// Whether nobody answers. Where it is false and no coordinator is connected, the node is well and its peers know it (rule R7).
    let isolated: Bool
    let routing: Routing
    let partitions: [PartitionEntry]
    let operations: [OperationEntry]
    let engine: Engine
    let machine: Machine

    private enum CodingKeys: String, CodingKey {
        case identity, members
        case localHealth = "local_health"
        case isolated, routing, partitions, operations, engine, machine
    }

    init(_ status: AgentStatus) {
        identity = Identity(
            nodeID: status.node.name, cluster: status.cluster.text, zone: status.zone.name,
            store: String(status.store.number, radix: 16), generation: status.generation.number, session: status.session.number,
            version: status.version, gateway: status.addresses.service, link: status.addresses.link,
            gossip: status.addresses.gossip, uptimeMs: status.uptime.milliseconds)
        members = status.members.map(MemberEntry.init)
        localHealth = status.localHealth
        isolated = status.isIsolated
        routing = Routing(
            revision: status.revision.description, newestRevisionHeard: status.newestRevision.description,
            ageMs: status.revisionAge.milliseconds, coordinator: status.connectedTo?.name)
        partitions = status.partitions.map { report in
            PartitionEntry(
                partitionID: report.partition.number, role: report.roleName, epoch: report.epoch.number,
                lagMs: report.lag.milliseconds, operationsPerSecond: report.readsPerSecond + report.writesPerSecond,
                rows: report.rows, bytes: report.bytes, last: report.last.description, applied: report.applied.description,
                fenced: status.fenced.contains(report.partition),
                finding: status.fencedWithoutQuorum.contains(report.partition) ? "FENCED_NO_QUORUM" : nil,
                lease: !status.withoutLease.contains(report.partition))
        }
        operations = status.operations.map {
            OperationEntry(
                operationID: $0.operation.description, stage: $0.stage, bytes: $0.bytes, totalBytes: $0.totalBytes,
                wireBytes: $0.wireBytes, bytesPerSecond: $0.bytesPerSecond,
                writePauseMs: Double($0.writePause.microseconds) / 1_000)
        }
        engine = Engine(
            health: status.engine.name, detail: status.engine.detail,
            damaged: status.damaged.map { Damage(partitionID: $0.partition.number, detail: $0.detail) },
            unreadable: status.unreadable.map { UnreadableStorage(storageID: $0.storage.number, detail: $0.detail) },
            fsyncs: status.fsyncs, logBytes: status.logBytes)
        machine = Machine(
            cpuPercent: status.machine.cpuPercent, memoryTotalBytes: status.machine.memoryTotalBytes,
            memoryFreeBytes: status.machine.memoryFreeBytes, diskTotalBytes: status.machine.diskTotalBytes,
            diskFreeBytes: status.machine.diskFreeBytes)
    }
}

extension PartitionReport {
    var roleName: String {
        if isPrimary { return "primary" }
        switch role {
        case .inSync: return "in-sync"
        case .learner: return "learner"
        }
    }
}

extension EngineHealth {
    var name: String {
        switch self {
        case .healthy: "healthy"
        case .degraded: "degraded"
        case .failed: "failed"
        }
    }

    var detail: String? {
        switch self {
        case .healthy: nil
        case .degraded(let detail), .failed(let detail): detail
        }
    }
}
