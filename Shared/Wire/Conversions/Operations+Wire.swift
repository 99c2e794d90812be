import FoundationEssentials
package import Model

extension OperationKind: WireCodable {
    package init(wire: ProtoOperationKind) throws(WireError) {
        switch try Check.present(wire.kind, "OperationKind.kind") {
        case .createTable(let id): self = .createTable(try Check.identifier(id, "OperationKind.create_table"))
        case .dropTable(let id): self = .dropTable(try Check.identifier(id, "OperationKind.drop_table"))
        case .move(let move):
            self = .move(
                partition: try Check.identifier(move.partition, "OperationKind.Move.partition"),
                source: move.hasSource ? try Check.node(move.source, "OperationKind.Move.source") : nil,
                target: try Check.node(move.target, "OperationKind.Move.target"))
        case .split(let split):
            self = .split(
                partition: try Check.identifier(split.partition, "OperationKind.Split.partition"),
                at: try Check.key(split.at, "OperationKind.Split.at"),
                lower: try Check.identifier(split.lower, "OperationKind.Split.lower"),
                upper: try Check.identifier(split.upper, "OperationKind.Split.upper"))
        case .merge(let merge):
            self = .merge(
                left: try Check.identifier(merge.left, "OperationKind.Merge.left"),
                right: try Check.identifier(merge.right, "OperationKind.Merge.right"),
                into: try Check.identifier(merge.into, "OperationKind.Merge.into"))
        case .transferPrimary(let transfer):
            self = .transferPrimary(
                partition: try Check.identifier(transfer.partition, "OperationKind.TransferPrimary.partition"),
                target: try Check.node(transfer.target, "OperationKind.TransferPrimary.target"))
        case .removeOrphan(let orphan):
            self = .removeOrphan(
                partition: try Check.identifier(orphan.partition, "OperationKind.RemoveOrphan.partition"),
                node: try Check.node(orphan.node, "OperationKind.RemoveOrphan.node"))
        }
    }

    package var wire: ProtoOperationKind {
        var wire = ProtoOperationKind()
        switch self {
        case .createTable(let id): wire.createTable = id.number
        case .dropTable(let id): wire.dropTable = id.number
        case .move(let partition, let source, let target):
            wire.move.partition = partition.number
            if let source { wire.move.source = source.name }
            wire.move.target = target.name
        case .split(let partition, let key, let lower, let upper):
            wire.split.partition = partition.number
            wire.split.at = Data(key.bytes)
            wire.split.lower = lower.number
            wire.split.upper = upper.number
        case .merge(let left, let right, let merged):
            wire.merge.left = left.number
            wire.merge.right = right.number
            wire.merge.into = merged.number
        case .transferPrimary(let partition, let target):
            wire.transferPrimary.partition = partition.number
            wire.transferPrimary.target = target.name
        case .removeOrphan(let partition, let node):
            wire.removeOrphan.partition = partition.number
            wire.removeOrphan.node = node.name
        }
        return wire
    }
}

extension OperationPhase: WireEnumeration {
    package var wire: ProtoOperationPhase {
        switch self {
        case .running: .running
        case .succeeded: .succeeded
        case .aborted: .aborted
        }
    }
}

extension OperationStep: WireEnumeration {
    package var wire: ProtoOperationStep {
        switch self {
        case .replicas: .replicas
        case .copy: .copy
        case .handOver: .handOver
        case .dropSource: .dropSource
        case .fence: .fence
        case .done: .done
        }
    }
}

extension Cleanup: WireCodable {
    package init(wire: ProtoCleanup) throws(WireError) {
        self.init(
            node: try Check.node(wire.node, "Cleanup.node"), storage: try Check.identifier(wire.storage, "Cleanup.storage"),
            partition: try Check.identifier(wire.partition, "Cleanup.partition"))
    }

    package var wire: ProtoCleanup {
        var wire = ProtoCleanup()
        wire.node = node.name
        wire.storage = storage.number
        wire.partition = partition.number
        return wire
    }
}

extension OperationPause: WireCodable {
    package init(wire: ProtoOperationPause) throws(WireError) {
        self.init(
            by: try Check.formed(wire.by, "OperationPause.by", as: Principal.init(_:)),
            at: try Check.wallTime(wire.atMs, "OperationPause.at_ms"))
    }

    package var wire: ProtoOperationPause {
        var wire = ProtoOperationPause()
        wire.by = by.name
        wire.atMs = at.milliseconds
        return wire
    }
}

extension OperationDescriptor: WireCodable {
    package init(wire: ProtoOperationDescriptor) throws(WireError) {
        guard wire.hasKind else { throw WireError("OperationDescriptor.kind", .missing) }
        self.init(
            id: try Check.identifier(wire.id, "OperationDescriptor.id"),
            kind: try OperationKind(wire: wire.kind),
            step: try OperationStep(wire: wire.step, "OperationDescriptor.step"),
            phase: try OperationPhase(wire: wire.phase, "OperationDescriptor.phase"),
            epoch: try Check.epoch(wire.epoch, "OperationDescriptor.epoch"),
            cleanups: try Check.list(wire.cleanups, "OperationDescriptor.cleanups", Cleanup.init(wire:)),
            createdBy: try Check.formed(wire.createdBy, "OperationDescriptor.created_by", as: Principal.init(_:)),
            reason: try Check.text(wire.reason, "OperationDescriptor.reason"),
            createdAt: try Check.wallTime(wire.createdAtMs, "OperationDescriptor.created_at_ms"),
            endedAt: wire.hasEndedAtMs ? try Check.wallTime(wire.endedAtMs, "OperationDescriptor.ended_at_ms") : nil,
            failure: wire.hasFailure ? try Check.text(wire.failure, "OperationDescriptor.failure") : nil,
            pause: wire.hasPause ? try OperationPause(wire: wire.pause) : nil)
    }

    package var wire: ProtoOperationDescriptor {
        var wire = ProtoOperationDescriptor()
        wire.id = id.number
        wire.kind = kind.wire
        wire.step = step.wire
        wire.phase = phase.wire
        wire.epoch = epoch.number
        wire.cleanups = cleanups.map(\.wire)
        wire.createdBy = createdBy.name
        wire.reason = reason
        wire.createdAtMs = createdAt.milliseconds
        if let endedAt { wire.endedAtMs = endedAt.milliseconds }
        if let failure { wire.failure = failure }
        if let pause { wire.pause = pause.wire }
        return wire
    }
}
