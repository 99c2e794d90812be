import FoundationEssentials
package import Model

extension PartitionProposal: WireCodable {
    package init(wire: ProtoPartitionProposal) throws(WireError) {
        switch try Check.present(wire.proposal, "PartitionProposal.proposal") {
        case .replicaReady(let ready):
            self = .replicaReady(
                try Check.identifier(ready.partition, "ReplicaReady.partition"),
                expecting: try Check.epoch(ready.expecting, "ReplicaReady.expecting"))
        case .evict(let evict):
            self = .evict(
                try Check.identifier(evict.partition, "Evict.partition"), node: try Check.node(evict.node, "Evict.node"),
                expecting: try Check.epoch(evict.expecting, "Evict.expecting"))
        case .joinInSync(let join):
            self = .joinInSync(
                try Check.identifier(join.partition, "JoinInSync.partition"),
                node: try Check.node(join.node, "JoinInSync.node"),
                store: StoreID(join.store), expecting: try Check.epoch(join.expecting, "JoinInSync.expecting"))
        case .switchPrimary(let change):
            self = .switchPrimary(
                try Check.identifier(change.partition, "SwitchPrimary.partition"),
                to: try Check.node(change.to, "SwitchPrimary.to"), store: StoreID(change.store),
                operation: try Check.identifier(change.operation, "SwitchPrimary.operation"),
                expecting: try Check.epoch(change.expecting, "SwitchPrimary.expecting"))
        case .removeReplica(let removal):
            self = .removeReplica(
                try Check.identifier(removal.partition, "RemoveReplica.partition"),
                node: try Check.node(removal.node, "RemoveReplica.node"),
                operation: try Check.identifier(removal.operation, "RemoveReplica.operation"),
                expecting: try Check.epoch(removal.expecting, "RemoveReplica.expecting"))
        case .commitSplit(let split):
            guard split.hasAt else { throw WireError("CommitSplit.at", .missing) }
            self = .commitSplit(
                try Check.identifier(split.partition, "CommitSplit.partition"),
                operation: try Check.identifier(split.operation, "CommitSplit.operation"),
                at: try Position(wire: split.at), checksum: split.checksum,
                inSync: try Check.list(split.inSync, "CommitSplit.in_sync", atMost: 2 * Limits.replicationFactor) {
                    (name) throws(WireError) in try Check.node(name, "CommitSplit.in_sync")
                },
                expecting: try Check.epoch(split.expecting, "CommitSplit.expecting"))
        case .commitMerge(let merge):
            guard merge.hasLeft, merge.hasRight else { throw WireError("CommitMerge.left, right", .missing) }
            self = .commitMerge(
                try Check.identifier(merge.operation, "CommitMerge.operation"), left: try PartitionEnd(wire: merge.left),
                right: try PartitionEnd(wire: merge.right),
                inSync: try Check.list(merge.inSync, "CommitMerge.in_sync", atMost: 2 * Limits.replicationFactor) {
                    (name) throws(WireError) in try Check.node(name, "CommitMerge.in_sync")
                })
        case .abort(let abort):
            self = .abort(
                try Check.identifier(abort.operation, "Abort.operation"),
                partition: try Check.identifier(abort.partition, "Abort.partition"),
                reason: try Check.text(abort.reason, "Abort.reason"),
                expecting: try Check.epoch(abort.expecting, "Abort.expecting"))
        case .cleaned(let cleaned):
            guard cleaned.hasCleanup else { throw WireError("Cleaned.cleanup", .missing) }
            self = .cleaned(
                try Check.identifier(cleaned.operation, "Cleaned.operation"), try Cleanup(wire: cleaned.cleanup))
        case .requestSplit(let request):
            self = .requestSplit(
                try Check.identifier(request.partition, "RequestSplit.partition"),
                at: try Check.key(request.at, "RequestSplit.at"),
                expecting: try Check.epoch(request.expecting, "RequestSplit.expecting"))
        }
    }

    package var wire: ProtoPartitionProposal {
        var wire = ProtoPartitionProposal()
        switch self {
        case .replicaReady(let partition, let expecting):
            wire.replicaReady.partition = partition.number
            wire.replicaReady.expecting = expecting.number
        case .evict(let partition, let node, let expecting):
            wire.evict.partition = partition.number
            wire.evict.node = node.name
            wire.evict.expecting = expecting.number
        case .joinInSync(let partition, let node, let store, let expecting):
            wire.joinInSync.partition = partition.number
            wire.joinInSync.node = node.name
            wire.joinInSync.store = store.number
            wire.joinInSync.expecting = expecting.number
        case .switchPrimary(let partition, let target, let store, let operation, let expecting):
            wire.switchPrimary.partition = partition.number
            wire.switchPrimary.to = target.name
            wire.switchPrimary.store = store.number
            wire.switchPrimary.operation = operation.number
            wire.switchPrimary.expecting = expecting.number
        case .removeReplica(let partition, let node, let operation, let expecting):
            wire.removeReplica.partition = partition.number
            wire.removeReplica.node = node.name
            wire.removeReplica.operation = operation.number
            wire.removeReplica.expecting = expecting.number
        case .commitSplit(let partition, let operation, let position, let checksum, let inSync, let expecting):
            wire.commitSplit.partition = partition.number
            wire.commitSplit.operation = operation.number
            wire.commitSplit.at = position.wire
            wire.commitSplit.checksum = checksum
            wire.commitSplit.inSync = inSync.map(\.name)
            wire.commitSplit.expecting = expecting.number
        case .commitMerge(let operation, let left, let right, let inSync):
            wire.commitMerge.operation = operation.number
            wire.commitMerge.left = left.wire
            wire.commitMerge.right = right.wire
            wire.commitMerge.inSync = inSync.map(\.name)
        case .abort(let operation, let partition, let reason, let expecting):
            wire.abort.operation = operation.number
            wire.abort.partition = partition.number
            wire.abort.reason = reason
            wire.abort.expecting = expecting.number
        case .cleaned(let operation, let cleanup):
            wire.cleaned.operation = operation.number
            wire.cleaned.cleanup = cleanup.wire
        case .requestSplit(let partition, let key, let expecting):
            wire.requestSplit.partition = partition.number
            wire.requestSplit.at = Data(key.bytes)
            wire.requestSplit.expecting = expecting.number
        }
        return wire
    }
}

extension PartitionEnd: WireCodable {
    package init(wire: ProtoPartitionProposal.CommitMerge.End) throws(WireError) {
        guard wire.hasAt else { throw WireError("CommitMerge.End.at", .missing) }
        self.init(
            partition: try Check.identifier(wire.partition, "CommitMerge.End.partition"), at: try Position(wire: wire.at),
            checksum: wire.checksum, expecting: try Check.epoch(wire.expecting, "CommitMerge.End.expecting"))
    }

    package var wire: ProtoPartitionProposal.CommitMerge.End {
        var wire = ProtoPartitionProposal.CommitMerge.End()
        wire.partition = partition.number
        wire.at = at.wire
        wire.checksum = checksum
        wire.expecting = expecting.number
        return wire
    }
}

extension ProposalOutcome: WireCodable {
    package init(wire: ProtoProposalOutcome) throws(WireError) {
        switch try Check.present(wire.outcome, "ProposalOutcome.outcome") {
        case .accepted(let revision): self = .accepted(try Revision(wire: revision))
        case .refused(let refusal):
            self = .refused(
                code: try Check.text(refusal.code, "Refusal.code"), detail: try Check.text(refusal.detail, "Refusal.detail"))
        case .unavailable(let marker):
            try Check.marker(marker, "ProposalOutcome.unavailable")
            self = .unavailable
        }
    }

    package var wire: ProtoProposalOutcome {
        var wire = ProtoProposalOutcome()
        switch self {
        case .accepted(let revision): wire.accepted = revision.wire
        case .refused(let code, let detail):
            wire.refused.code = code
            wire.refused.detail = detail
        case .unavailable: wire.unavailable = true
        }
        return wire
    }
}
