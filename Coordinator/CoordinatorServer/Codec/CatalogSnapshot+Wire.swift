package import Catalog
import FoundationEssentials
import Model
package import Wire

// The catalog as the body of a Raft snapshot. Dictionaries are written in the order of their keys: equal states have equal bytes.

extension CommandResult: WireCodable {
    package init(wire: ProtoCatalogResult) throws(WireError) {
        switch try Check.present(wire.result, "CatalogResult.result") {
        case .nothing(let marker):
            try Check.marker(marker, "CatalogResult.nothing")
            self = .accepted(.nothing)
        case .session(let number): self = .accepted(.session(try Check.identifier(number, "CatalogResult.session")))
        case .table(let made):
            self = .accepted(
                .table(try Check.identifier(made.table, "Table.table"), try Check.identifier(made.operation, "Table.operation"))
            )
        case .operation(let number): self = .accepted(.operation(try Check.identifier(number, "CatalogResult.operation")))
        case .version(let number): self = .accepted(.version(try Check.counter(number, "CatalogResult.version")))
        case .refused(let refusal):
            guard let code = CatalogRejection.Code(rawValue: refusal.code) else {
                throw WireError("Refusal.code", .invalid("'\(refusal.code.prefix(64))' is not a known code"))
            }
            self = .refused(
                CatalogRejection(
                    code, try Check.text(refusal.detail, "Refusal.detail"),
                    field: refusal.hasField ? try Check.text(refusal.field, "Refusal.field") : nil))
        }
    }

    package var wire: ProtoCatalogResult {
        var wire = ProtoCatalogResult()
        switch self {
        case .accepted(.nothing): wire.nothing = true
        case .accepted(.session(let session)): wire.session = session.number
        case .accepted(.table(let table, let operation)):
            wire.table.table = table.number
            wire.table.operation = operation.number
        case .accepted(.operation(let operation)): wire.operation = operation.number
        case .accepted(.version(let version)): wire.version = version
        case .refused(let rejection):
            wire.refused.code = rejection.code.rawValue
            wire.refused.detail = rejection.detail
            if let field = rejection.field { wire.refused.field = field }
        }
        return wire
    }
}

extension RequestRecord: WireCodable {
    package init(wire: ProtoCatalogSnapshot.Request) throws(WireError) {
        self.init(
            id: try Check.formed(wire.id, "Request.id", as: RequestID.init(_:)),
            fingerprint: try Check.bytes(wire.fingerprint, "Request.fingerprint", atMost: 64),
            index: try Check.counter(wire.index, "Request.index"), time: try Check.wallTime(wire.timeMs, "Request.time_ms"),
            result: try CommandResult(wire: wire.result))
    }

    package var wire: ProtoCatalogSnapshot.Request {
        var wire = ProtoCatalogSnapshot.Request()
        wire.id = id.text
        wire.fingerprint = Data(fingerprint)
        wire.index = index
        wire.timeMs = time.milliseconds
        wire.result = result.wire
        return wire
    }
}

extension AuditRecord: WireCodable {
    package init(wire: ProtoCatalogSnapshot.Audit) throws(WireError) {
        self.init(
            index: try Check.counter(wire.index, "Audit.index"), time: try Check.wallTime(wire.timeMs, "Audit.time_ms"),
            actor: try principalName(wire.actor, "Audit.actor"), command: try Check.text(wire.command, "Audit.command"),
            subject: try Check.text(wire.subject, "Audit.subject"), reason: try Check.text(wire.reason, "Audit.reason"),
            requestID: try Check.formed(wire.requestID, "Audit.request_id", as: RequestID.init(_:)),
            traceID: try Check.text(wire.traceID, "Audit.trace_id"), outcome: try Check.text(wire.outcome, "Audit.outcome"),
            hash: try Check.bytes(wire.hash, "Audit.hash", atMost: 64))
    }

    package var wire: ProtoCatalogSnapshot.Audit {
        var wire = ProtoCatalogSnapshot.Audit()
        wire.index = index
        wire.timeMs = time.milliseconds
        wire.actor = actor.name
        wire.command = command
        wire.subject = subject
        wire.reason = reason
        wire.requestID = requestID.text
        wire.traceID = traceID
        wire.outcome = outcome
        wire.hash = Data(hash)
        return wire
    }
}

extension CatalogSnapshot: WireCodable {
    package init(wire: ProtoCatalogSnapshot) throws(WireError) {
        guard wire.hasTopology else { throw WireError("CatalogSnapshot.topology", .missing) }
        var joinTokens: [String: JoinToken] = [:]
        for token in try Check.list(wire.joinTokens, "CatalogSnapshot.join_tokens", JoinToken.init(wire:)) {
            joinTokens[token.id] = token
        }
        var awaited: [PartitionID: [NodeID]] = [:]
        for entry in wire.awaited {
            awaited[try Check.identifier(entry.partition, "Awaited.partition")] = try Check.list(
                entry.nodes, "Awaited.nodes", atMost: Limits.replicationFactor
            ) { (name) throws(WireError) in try Check.node(name, "Awaited.nodes") }
        }
        var failedAt: [NodeID: WallTime] = [:]
        for failure in wire.failedAt {
            failedAt[try Check.node(failure.node, "Failure.node")] = try Check.wallTime(failure.timeMs, "Failure.time_ms")
        }
        var coordinators: [NodeID: CoordinatorDescriptor] = [:]
        for coordinator in try Check.list(
            wire.coordinators, "CatalogSnapshot.coordinators", atMost: CatalogLimits.coordinators,
            CoordinatorDescriptor.init(wire:))
        {
            coordinators[coordinator.node] = coordinator
        }
        self.init(
            topology: try Topology(wire: wire.topology), history: try Check.counter(wire.history, "CatalogSnapshot.history"),
            index: try Check.counter(wire.index, "CatalogSnapshot.index"),
            time: try Check.wallTime(wire.timeMs, "CatalogSnapshot.time_ms"),
            requests: RequestLedger(try Check.list(wire.requests, "CatalogSnapshot.requests", RequestRecord.init(wire:))),
            proposals: RequestLedger(try Check.list(wire.proposals, "CatalogSnapshot.proposals", RequestRecord.init(wire:))),
            joinTokens: joinTokens, awaited: awaited, failedAt: failedAt, coordinators: coordinators,
            audit: AuditChain(
                count: try Check.counter(wire.auditCount, "CatalogSnapshot.audit_count"),
                head: try Check.bytes(wire.auditHead, "CatalogSnapshot.audit_head", atMost: 64),
                tail: try Check.list(wire.auditTail, "CatalogSnapshot.audit_tail", AuditRecord.init(wire:))))
    }

    package var wire: ProtoCatalogSnapshot {
        var wire = ProtoCatalogSnapshot()
        wire.topology = topology.wire
        wire.history = history
        wire.index = index
        wire.timeMs = time.milliseconds
        wire.requests = requests.records.map(\.wire)
        wire.proposals = proposals.records.map(\.wire)
        wire.joinTokens = joinTokens.sorted { $0.key < $1.key }.map(\.value.wire)
        wire.awaited = awaited.sorted { $0.key < $1.key }.map { partition, nodes in
            var entry = ProtoCatalogSnapshot.Awaited()
            entry.partition = partition.number
            entry.nodes = nodes.map(\.name)
            return entry
        }
        wire.failedAt = failedAt.sorted { $0.key < $1.key }.map { node, time in
            var failure = ProtoCatalogSnapshot.Failure()
            failure.node = node.name
            failure.timeMs = time.milliseconds
            return failure
        }
        wire.coordinators = coordinators.sorted { $0.key < $1.key }.map(\.value.wire)
        wire.auditCount = audit.count
        wire.auditHead = Data(audit.head)
        wire.auditTail = audit.tail.map(\.wire)
        return wire
    }
}
