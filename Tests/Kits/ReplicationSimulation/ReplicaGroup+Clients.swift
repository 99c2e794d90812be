// Who writes and reads in that world, and who helps its learners.

import Model
import Replication

extension ReplicaGroup {
    static func payload(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
    static func number(_ payload: [UInt8]) -> UInt64 { payload.reversed().reduce(0) { $0 << 8 | UInt64($1) } }

    @discardableResult
    func write(at id: NodeID) -> UInt64 {
        nextCaller += 1
        let number = nextCaller
        give(id, [.write(CallerID(number), Self.payload(number))])
        return number
    }

    @discardableResult
    func read(at id: NodeID) -> UInt64 {
        nextCaller += 1
        pendingReads[nextCaller] = Set(acknowledged.keys)
        give(id, [.read(CallerID(nextCaller))])
        return nextCaller
    }

    /// A strong read sees every write that was acknowledged before it began.
    func checkRead(_ caller: CallerID, at node: Node) {
        guard let before = pendingReads.removeValue(forKey: caller.number) else { return }
        guard node.replica.refusalOfReads(at: now, leases: node.leases) == nil else { return }
        goodReads += 1
        let missing = before.subtracting(node.rows)
        if !missing.isEmpty { violations.append("\(node.id) read without \(missing.count) acknowledged writes at \(now)") }
    }

    /// The driver of learners: a snapshot for whoever needs one, then the join (module Movement does this in the agent).
    func helpLearners() {
        guard let primary = primaryNode, primary.isUp, primary.replica.isServing else { return }
        for learner in primary.replica.descriptor?.learners ?? [] {
            guard let progress = primary.replica.progress(of: learner, at: now), let peer = nodes[learner] else { continue }
            if progress.needsSnapshot {
                let applied = primary.applied.sequence
                guard let point = primary.replica.log.point(at: applied), chance(0.2) else { continue }
                give(primary.id, [.snapshotSending(to: learner, at: applied)])
                push(.snapshot(point, primary.rows, to: learner, from: primary.id), after: delay(.milliseconds(30)))
            } else if primary.replica.log.lastSequence - min(progress.durable, primary.replica.log.lastSequence) < 20 {
                give(primary.id, [.ordered(.join(learner, peer.store))])
            }
        }
    }
}
