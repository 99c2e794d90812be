// When an agent may lose what its disk holds: when nothing hangs on it alone, and nothing is on its way after which something would. The
// promise is one lost copy at a time: whoever else is in sync must not be leaving while the coordinators do not know of the loss.

import AgentCore
import Catalog
import Membership
import Model
import SimulationKit

struct AgentLosses: Sendable {
    /// Of each partition the newest epoch at which somebody has asked that a member leave.
    private var evictions: [PartitionID: Epoch] = [:]
    /// Those whom anybody has found dead: they may be failed any time.
    private var mourned: Set<SessionID> = []
    /// The agents that run, and in which session.
    private var running: [NodeID: SessionID] = [:]
    /// Disks that were lost, and at which revision of the topology each host's was last.
    private(set) var disks = 0
    private var renewals: [NodeID: Revision] = [:]
    /// Who never comes back.
    private(set) var gone: NodeID?

    // MARK: - Looking on

    mutating func ended(_ node: NodeID) { running[node] = nil }

    mutating func says(_ effects: Effects<ClusterMessage>, _ agent: AgentProcess) {
        running[agent.node] = agent.session.session
        for outgoing in effects.messages {
            switch outgoing.message {
            case .question(.propose(_, .evict(let id, _, let epoch), _), _, _):
                evictions[id] = max(evictions[id] ?? epoch, epoch)
            case .question(.deaths(let found), _, _): mourned.formUnion(found.map(\.session))
            default: break
            }
        }
    }

    mutating func mourns(_ sessions: [SessionID]) { mourned.formUnion(sessions) }

    // MARK: - Asking

    /// Whether all that `node` holds in sync is held by others who stay, whatever is on its way.
    func permitsLoss(of node: NodeID, in truth: Topology) -> Bool {
        truth.partitions.values.allSatisfy { !$0.inSync.contains(node) || permitsLoss(of: node, for: $0, in: truth) }
    }

    private func permitsLoss(of node: NodeID, for partition: PartitionDescriptor, in truth: Topology) -> Bool {
        let others = partition.inSync.filter { $0 != node }
        let copies = truth.tables[partition.table]?.replicationFactor ?? 0
        guard partition.status == .active, !others.isEmpty, partition.inSync.count >= copies else { return false }
        guard evictions[partition.id].map({ $0 < partition.epoch }) ?? true else { return false }
        return others.allSatisfy { other in
            guard let known = truth.nodes[other], known.status == .healthy || known.status == .draining else { return false }
            return running[other] == known.session && !mourned.contains(known.session)
        }
    }

    mutating func lost(_ node: NodeID, at revision: Revision) {
        disks += 1
        renewals[node] = revision
    }

    /// Those who hold something, and without whom the others can hold all copies, each of which is on another node by now.
    func spareable(in truth: Topology) -> [NodeID] {
        let copies = truth.tables.values.map(\.replicationFactor).max() ?? 0
        let healthy = Set(truth.nodes.values.filter { $0.status == .healthy }.map(\.id))
        return truth.nodes.values.filter { node in
            guard node.status == .healthy || node.status == .draining else { return false }
            guard truth.partitions.values.contains(where: { $0.inSync.contains(node.id) }) else { return false }
            return healthy.subtracting([node.id]).count >= copies && permitsLoss(of: node.id, in: truth)
        }.map(\.id).sorted()
    }

    mutating func leaves(_ node: NodeID) { gone = node }

    /// Whether a node whose topology is at `revision` may know less than its disk before this one did.
    func isBehindItsLoss(_ node: NodeID, at revision: Revision) -> Bool { renewals[node].map { revision < $0 } ?? false }
}
