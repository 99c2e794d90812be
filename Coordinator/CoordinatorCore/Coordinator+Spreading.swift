// The leader evens out who leads what, one partition at a time, and ends by itself what it began so and what does not come about: it is
// in the way of everything that waits for calm, of the next transfer above all.

import Catalog
import Model
import Planning

/// All that the next transfer follows from.
struct SpreadingBasis: Hashable, Sendable {
    let revision: Revision
    /// Partitions that are left where they are led for now.
    let left: Set<PartitionID>
}

/// What each member remembers of the transfers that planners began, by its own clock.
struct TransferWatch: Sendable {
    private struct Rest {
        let length: Span
        let until: LogicalInstant
    }

    /// Since when each of them is under way; one that an operator has paused stands for as long as that lasts.
    private var since: [OperationID: LogicalInstant] = [:]
    /// Partitions of which transfers came to nothing.
    private var rests: [PartitionID: Rest] = [:]

    /// How many are under way.
    var count: Int { since.count }

    mutating func look(at topology: Topology, _ settings: CoordinatorSettings, at now: LogicalInstant) {
        var found: [OperationID: LogicalInstant] = [:]
        for operation in topology.operations.values
        where operation.isPlannedTransfer && operation.phase == .running && operation.pause == nil {
            found[operation.id] = since[operation.id] ?? now
        }
        since = found
        rests = rests.filter { now - $0.value.until < settings.longestTransferRest }
    }

    /// Those whose time is up, sorted.
    func overdue(_ settings: CoordinatorSettings, at now: LogicalInstant) -> [OperationID] {
        since.filter { now - $0.value >= settings.transferPatience }.keys.sorted()
    }

    /// One has ended, well or not.
    mutating func noteEnd(of operation: OperationDescriptor, _ settings: CoordinatorSettings, at now: LogicalInstant) {
        guard operation.isPlannedTransfer, let partition = operation.kind.partition else { return }
        switch operation.phase {
        case .running: break
        case .succeeded: rests[partition] = nil
        case .aborted:
            let length = rests[partition].map { min(settings.longestTransferRest, $0.length * 2) } ?? settings.transferRest
            rests[partition] = Rest(length: length, until: now + length)
        }
    }

    func resting(at now: LogicalInstant) -> Set<PartitionID> { Set(rests.filter { now < $0.value.until }.keys) }
}

extension OperationDescriptor {
    /// Whether a planner began it, and it moves a primary role.
    fileprivate var isPlannedTransfer: Bool {
        guard case .transferPrimary = kind else { return false }
        return createdBy.isCoordinator
    }
}

extension Coordinator {
    /// Evens out who leads what, one partition at a time. The transfer itself ends the calm, so the next one waits as long again.
    mutating func planSpreading(at now: LogicalInstant) {
        endOverdueTransfers(at: now)
        let topology = catalog.topology
        let basis = SpreadingBasis(
            revision: topology.revision, left: transfers.resting(at: now).union(settlingUntil.keys))
        if leadershipPlan?.basis != basis { leadershipPlan = (basis, planLeadership(in: topology, except: basis.left)) }
        guard let plan = leadershipPlan?.plan else {
            unevenSince = nil
            return
        }
        let since = unevenSince ?? now
        unevenSince = since
        let configured = catalog.topology.configured(ConfigurationRules.leadershipDelay)
        guard now - since >= configured.map({ .seconds(Int64($0)) }) ?? settings.leadershipDelay else { return }
        proposeItself(
            .beginTransfer(plan.partition, to: plan.target.node, session: plan.target.session, expecting: plan.epoch),
            named: "spread-\(plan.partition)-\(plan.epoch)-\(plan.target.node)",
            because: "its primary leads more partitions than others", at: now)
    }

    /// A transfer whose gate never opens, or that nobody drives, would stay for ever. Where it is fenced after all, this is one ABORT
    /// more beside the watchdog's: the first of it and the switch counts (rule M4).
    private mutating func endOverdueTransfers(at now: LogicalInstant) {
        for operation in transfers.overdue(settings, at: now) {
            let reason = "it has not come about within \(settings.transferPatience.milliseconds / 1_000) s"
            proposeItself(
                .abortOperation(operation, reason: reason), named: "end-transfer-\(operation)", because: reason, at: now)
        }
    }
}
