// The end of a history: everything heals, and what must hold then is looked at.

import Model
import Replication

extension ReplicaGroup {
    /// Heals everything and waits until all members are equal; then states what must hold.
    func settle() -> [String] {
        fault = .none
        cut = []
        coordinatorsUp = true
        for id in order where !nodes[id]!.isUp { restart(id) }
        let isDone: (ReplicaGroup) -> Bool = { cluster in
            guard let primary = cluster.primaryNode, primary.replica.isServing else { return false }
            return cluster.descriptor.learners.isEmpty
                && cluster.descriptor.replicas.allSatisfy { replica in
                    let node = cluster.nodes[replica.node]!
                    return node.applied.sequence == primary.replica.log.lastSequence
                        && node.knownEpoch == cluster.descriptor.epoch
                }
        }
        let end = now + .seconds(30)
        while now < end, !isDone(self) { run(.milliseconds(50)) { $0.helpLearners() } }
        var found = violations + halts
        guard isDone(self), let primary = primaryNode else {
            return found + ["does not come to rest: \(describe())"]
        }
        let lost = Set(acknowledged.keys).subtracting(primary.rows)
        if !lost.isEmpty { found.append("\(lost.count) acknowledged writes are lost") }
        for replica in descriptor.replicas where nodes[replica.node]!.rows != primary.rows {
            found.append("\(replica.node) differs from the primary")
        }
        return found
    }

    func describe() -> String {
        let states = order.map { id in
            let replica = nodes[id]!.replica
            return
                "\(id): up=\(nodes[id]!.isUp) epoch=\(nodes[id]!.knownEpoch) last=\(replica.log.last) commit=\(replica.commit) "
                + "durable=\(replica.durable) applied=\(nodes[id]!.applied) primary=\(replica.isPrimary) serving=\(replica.isServing) "
                + "hard=\(replica.hard)"
        }
        return "\(descriptor.epoch) primary=\(descriptor.primary?.name ?? "-") inSync=\(descriptor.inSync)\n"
            + states.joined(separator: "\n")
    }
}
