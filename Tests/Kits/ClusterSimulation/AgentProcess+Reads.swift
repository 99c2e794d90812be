// How a simulated agent answers reads that its copy may answer by itself (rule M9), as the real one does: an eventual one if there is a
// copy to be read, a bounded one if a primary has vouched for it, and lately enough; where it leads, a bounded one waits as a strong one.
// The answer leaves if the copy that was read is still there.

import AgentCore
import Model
import Replication
import SimulationKit

extension AgentProcess {
    mutating func readCopy(for caller: UInt64, at now: LogicalInstant, _ effects: inout Sending) {
        guard let request = callers[caller]?.request, case .read(let reading) = request.operation else { return }
        guard let local = core.localStorage(of: request.partition) else { return refuse(caller, &effects) }
        if case .bounded(let most) = reading {
            guard local.descriptor.primary != node else {
                return soon.append(.read(CallerID(caller), request.partition, request.epoch))
            }
            let age = core.age(of: request.partition, now: now)
            guard age.map({ $0 <= most }) ?? false || mutant == .answersAtAnyAge else { return refuse(caller, &effects) }
        }
        give(.readCopy(caller, local.storage), at: now)
    }

    /// The core lets a read go on that it was asked about.
    mutating func readable(_ caller: UInt64, at now: LogicalInstant, _ effects: inout Sending) {
        guard let request = callers[caller]?.request else { return }
        guard request.operation != .read(.strong) else { return give(.read(caller), at: now) }
        guard let local = core.localStorage(of: request.partition) else { return refuse(caller, &effects) }
        give(.readCopy(caller, local.storage), at: now)
    }

    mutating func lookUp(_ caller: UInt64, in storage: StorageID, at now: LogicalInstant, _ effects: inout Sending) {
        guard let request = callers[caller]?.request else { return }
        guard let held = engine[request.partition], held.storage == storage else { return refuse(caller, &effects) }
        var value = held.values[request.key] ?? 0
        if mutant == .readsLog { value = tails[request.partition]?[request.key] ?? value }
        give(.answerCopy(caller, storage, value), at: now)
    }

    mutating func answer(_ caller: UInt64, _ value: UInt64, from storage: StorageID, _ effects: inout Sending) {
        guard let known = callers[caller] else { return }
        guard core.localStorage(of: known.request.partition)?.storage == storage else { return refuse(caller, &effects) }
        if engine[known.request.partition]?.importing != nil {
            violations.append("\(node) answers out of half a snapshot of \(known.request.partition)")
        }
        callers[caller] = nil
        reply(.value(value), to: known, &effects)
    }

    private mutating func refuse(_ caller: UInt64, _ effects: inout Sending) {
        if let known = callers.removeValue(forKey: caller) { reply(.refused, to: known, &effects) }
    }
}
