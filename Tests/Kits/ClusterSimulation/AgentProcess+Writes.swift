// How a simulated agent takes writes that are to happen once (rule R8), as the real one does: keys that are too old, or not of this time,
// are refused; the engine is asked for the key; and a moment later the core, which looks through what its log holds since.

import AgentCore
import Model
import Replication
import SimulationKit

/// What a simulated engine remembers of a write that was made under a key.
struct RememberedWrite: Hashable, Sendable {
    let register: Int
    let value: UInt64
    let position: Position
}

extension EnginePartition {
    /// With the rows that the write changes. What is older than the horizon is forgotten, and that it was is remembered.
    mutating func remember(_ write: RememberedWrite, under once: WriteOnce) {
        writes[once.key] = write
        for key in writes.keys where key.madeAt < once.horizon {
            writes[key] = nil
            forgottenBefore = max(forgottenBefore, key.madeAt + .milliseconds(1))
        }
    }

    /// Of the same rows, as they go on elsewhere.
    mutating func inherit(_ other: EnginePartition, where isHere: (Int) -> Bool = { _ in true }) {
        writes.merge(other.writes.filter { isHere($0.value.register) }) { $1 }
        forgottenBefore = max(forgottenBefore, other.forgottenBefore)
    }
}

extension AgentProcess {
    /// How far a client's clock may be ahead for its keys to be taken.
    private static let writeKeyLead = Span.seconds(2)

    /// Nobody's safety rests on it: one that differs from machine to machine.
    private func wall(at now: LogicalInstant) -> WallTime {
        ClusterOptions.wall(at: now) + .milliseconds(Int64(host % 3 - 1) * 300)
    }

    /// What the engine knows of a write under the caller's key. What it does not know is looked for in the log, by the core.
    mutating func recall(for caller: UInt64, at now: LogicalInstant, _ effects: inout Sending) {
        guard let known = callers[caller], case .write(let value, let key?) = known.request.operation else { return }
        let (time, id) = (wall(at: now), known.request.partition)
        let horizon = time - writeKeyAge
        guard key.madeAt >= horizon, key.madeAt <= time + Self.writeKeyLead else { return expire(caller, &effects) }
        let once = WriteOnce(key: key, horizon: horizon)
        let storage = core.topology.partitions[id].flatMap { $0.primary == node ? $0.replica(on: node)?.storage : nil }
        var request = WriteOnceRequest(once: once, recalledAt: 0, earlier: nil)
        // Who does not lead here is refused by the core, and so is what was looked up before its log's start.
        if let held = engine[id], held.storage == storage, held.importing == nil {
            let write = held.writes[key]
            if let write, write.value != value {
                violations.append("\(node) remembers \(write.value) under the key of \(value)")
            }
            if write == nil, key.madeAt < held.forgottenBefore { return expire(caller, &effects) }
            request = WriteOnceRequest(once: once, recalledAt: held.applied.sequence, earlier: write?.position)
        }
        give(.order(caller, mutant == .ordersRepeats ? nil : request), at: now)
    }

    private mutating func expire(_ caller: UInt64, _ effects: inout Sending) {
        if let known = callers.removeValue(forKey: caller) { reply(.expired, to: known, &effects) }
    }

    mutating func order(_ request: WriteOnceRequest?, for caller: UInt64) {
        guard let known = callers[caller]?.request, case .write(let value, _) = known.operation else { return }
        soon.append(
            .write(CallerID(caller), known.partition, known.epoch, Self.payload(known.key, value), request))
    }

    /// A client is told that its write stands at a position.
    mutating func note(_ request: ClusterRequest, at position: Position) {
        guard case .write(let value, let key) = request.operation else { return }
        acknowledged.append(
            AcknowledgedWrite(
                partition: request.partition, position: position, register: request.key, value: value,
                isRepeated: key != nil && request.attempt > 1))
    }

    /// The engine has put the rows of an entry in their place: with them, in the same transaction, what is remembered of the write.
    func remembers(_ once: WriteOnce?, in id: PartitionID) -> WriteOnce? {
        guard mutant != .followersForgetWrites || core.topology.partitions[id]?.primary == node else { return nil }
        return once
    }
}
