// When this node asks for a split of what it leads. It knows the load and the keys; the coordinators decide, as with any other
// operation.

import Model
import Movement
import Replication

extension AgentCore {
    /// Takes what was measured here, of partitions of any role.
    mutating func note(_ loads: [PartitionLoad], at now: LogicalInstant) {
        let limits = SplitLimits(in: topology, at: identity.node)
        guard let due = splits.look(loads.filter { splittable($0.partition) != nil }, limits: limits, at: now),
            let storage = locals[due.partition]?.storage, let range = splittable(due.partition)?.range
        else { return }
        actions.append(.findSplitKey(due.partition, storage, range, due.cause))
    }

    /// - Parameter key: what would halve the partition; nil: nothing does.
    mutating func splitKeyFound(for id: PartitionID, _ key: Key?, at now: LogicalInstant) {
        // What has become busy meanwhile is looked at again when it is quiet.
        guard let partition = splittable(id) else { return }
        guard let key, key.bytes.count <= Limits.keyBytes, partition.range.split(at: key) != nil else {
            return splits.rest(id, at: now)
        }
        wantedSplit = .requestSplit(id, at: key, expecting: partition.epoch)
        proposeSplit(at: now)
    }

    /// Repeats the request until it is answered, or until what it was decided from is over.
    mutating func proposeSplit(at now: LogicalInstant) {
        guard let wanted = wantedSplit else { return }
        let partition = wanted.partition.flatMap { splittable($0) }
        guard let partition, partition.epoch == wanted.expectedEpoch else { return wantedSplit = nil }
        if let request = proposals.want(wanted, at: now) { actions.append(.propose(wanted, request)) }
    }

    /// Asked for once: what was refused is asked for again if it is still wanted when the next request is due.
    mutating func answeredSplit(_ proposal: PartitionProposal, _ outcome: ProposalOutcome) {
        if proposal == wantedSplit, outcome != .unavailable { wantedSplit = nil }
    }

    /// The descriptor of a partition that is served here as primary, and that nothing is under way with (rule M2).
    private func splittable(_ id: PartitionID) -> PartitionDescriptor? {
        guard let local = locals[id], !local.isDropping, !local.isDamaged, let replica = local.replica, replica.isServing,
            !replica.isRetired, let partition = topology.partitions[id], partition.epoch == replica.descriptor?.epoch,
            partition.status == .active, partition.operation == nil, partition.learners.isEmpty
        else { return nil }
        return partition
    }
}

extension SplitLimits {
    fileprivate init(in topology: Topology, at node: NodeID) {
        func value(_ rule: IntegerRule) -> Int { topology.configured(rule, at: topology.nodes[node]) ?? rule.standard }
        self.init(
            bytes: UInt64(value(ConfigurationRules.splitSize)) << 20,
            operationsPerSecond: Double(value(ConfigurationRules.splitRate)))
    }
}
