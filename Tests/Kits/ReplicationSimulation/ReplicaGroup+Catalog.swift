// The coordinators of that world: one descriptor, compared and set.

import Model
import Replication

extension ReplicaGroup {
    func decide(_ proposal: PartitionProposal) -> ProposalOutcome {
        guard proposal.expectedEpoch == descriptor.epoch else { return .refused(code: "stale_epoch", detail: "") }
        switch proposal {
        case .evict(_, let node, _):
            let heir = node == descriptor.primary ? descriptor.inSync.first { $0 != node } : descriptor.primary
            guard heir != nil, descriptor.replica(on: node) != nil else { return .refused(code: "no", detail: "") }
            commit {
                $0.replicas = $0.replicas.map { $0.node == node ? Self.with($0, .learner) : $0 }
                $0.primary = heir
            }
        case .joinInSync(_, let node, _, _):
            guard descriptor.learners.contains(node) else { return .refused(code: "no", detail: "") }
            // What was acknowledged since the proposal waited for the learner too (rule R4).
            let acknowledged = acknowledgedUntil.furthest(before: now)
            if let learner = nodes[node], learner.replica.durable < acknowledged {
                violations.append("\(node) joins with \(learner.replica.durable) on disk, and \(acknowledged) is acknowledged")
            }
            commit { $0.replicas = $0.replicas.map { $0.node == node ? Self.with($0, .inSync) : $0 } }
        case .abort(let operation, _, _, _):
            guard descriptor.operation == operation else { return .refused(code: "no", detail: "") }
            commit { $0.operation = nil }
        case .switchPrimary(_, let target, _, let operation, _):
            guard descriptor.operation == operation, descriptor.inSync.contains(target) else {
                return .refused(code: "no", detail: "")
            }
            commit {
                $0.primary = target
                $0.operation = nil
            }
        default: return .refused(code: "no", detail: "")
        }
        return .accepted(Revision(history: 1, index: descriptor.epoch.number))
    }

    func commit(_ change: (inout PartitionDescriptor) -> Void) {
        change(&descriptor)
        descriptor.epoch = descriptor.epoch.next
        guard coordinatorsUp else { return }
        for id in order { push(.topology(descriptor, to: id), after: delay(fault.maxDelay * 3)) }
    }

    static func with(_ replica: ReplicaDescriptor, _ role: ReplicaRole) -> ReplicaDescriptor {
        ReplicaDescriptor(node: replica.node, store: replica.store, storage: replica.storage, role: role)
    }

    /// What the coordinators do when a node is dead (rule F2): it comes back as a learner.
    func nodeFailed(_ id: NodeID) {
        guard coordinatorsUp else { return }
        if descriptor.inSync == [id] {
            if descriptor.primary != nil { commit { $0.primary = nil } }
            return
        }
        guard descriptor.inSync.contains(id) else { return }
        commit { d in
            d.replicas = d.replicas.map { $0.node == id ? Self.with($0, .learner) : $0 }
            if d.primary == id {
                let members = d.inSync
                d.primary = members[Int.random(in: 0..<members.count, using: &random)]
            }
        }
    }

    /// It dies, leaves the in-sync set, and is back for long enough to be known.
    func returnAsLearner(_ id: NodeID) {
        crash(id)
        nodeFailed(id)
        restart(id)
        run(.milliseconds(500))
    }
}
