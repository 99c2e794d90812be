// The steps of operations at which somebody may die: what the coordinators commit for one, and what an agent does for it. Both are read
// off descriptors and actions by switches without a default, so that a new kind of either does not compile until it stands here.

package import AgentCore
package import Model
import Movement
import Replication

/// What an entry of the coordinators' log makes of an operation.
package enum CommittedStep: Hashable, Sendable, CustomStringConvertible {
    case entered(OperationStep)
    case paused
    case resumed
    /// The primary role has changed hands for it.
    case switched
    /// Another one of its cleanups is done.
    case cleaned

    package var description: String {
        switch self {
        case .entered(let step): "step \(step.rawValue)"
        case .paused: "paused"
        case .resumed: "resumed"
        case .switched: "switched"
        case .cleaned: "cleaned"
        }
    }

    /// What has become of the operation between two states of the topology, in the order in which it is told.
    static func between(_ old: Topology, _ new: Topology, of id: OperationID) -> [CommittedStep] {
        guard let now = new.operations[id] else { return [] }
        let before = old.operations[id]
        var steps: [CommittedStep] = []
        let partition = now.kind.partition.flatMap { old.partitions[$0] }
        if let partition, partition.operation == id, let primary = new.partitions[partition.id]?.primary,
            primary != partition.primary
        {
            steps.append(.switched)
        }
        if before?.pause == nil, now.pause != nil { steps.append(.paused) }
        if before?.pause != nil, now.pause == nil, now.phase == .running { steps.append(.resumed) }
        if before?.step != now.step { steps.append(.entered(now.step)) }
        if let before, before.step == now.step, now.cleanups.count < before.cleanups.count { steps.append(.cleaned) }
        return steps
    }
}

extension AgentAct {
    /// By which of these an act of the driver shows.
    static func shown(by act: Act) -> AgentAct? {
        switch act {
        case .copy: .copy
        case .verify: .verify
        case .join: .join
        case .fence: .fence
        case .split: .splitRecord
        // Changes nothing anywhere.
        case .confirmQuorum: nil
        case .propose(let proposal): Self.of(proposal)?.1
        }
    }
}

/// One step of an operation, as it is told.
package enum CrashStep: Hashable, Sendable, CustomStringConvertible {
    case committed(CommittedStep)
    case act(AgentAct, by: CrashRole)

    package var description: String {
        switch self {
        case .committed(let step): "\(step)"
        case .act(let act, let role): "\(act) at \(role.rawValue)"
        }
    }
}

extension CrashStep {
    /// What a primary's driver does of its own accord, as it is told: one of each kind.
    package static var actsOfDrivers: [String] {
        let (partition, operation, epoch) = (PartitionID(1), OperationID(1), Epoch(1))
        guard let node = try? NodeID("n1") else { return [] }
        let store = StoreID(1)
        let end = PartitionEnd(partition: partition, at: .zero, checksum: 0, expecting: epoch)
        let acts: [Act] = [
            .copy(to: node), .verify(operation), .join(node, store), .fence(operation), .split(operation),
            .propose(.switchPrimary(partition, to: node, store: store, operation: operation, expecting: epoch)),
            .propose(.removeReplica(partition, node: node, operation: operation, expecting: epoch)),
            .propose(
                .commitSplit(partition, operation: operation, at: .zero, checksum: 0, inSync: [node], expecting: epoch)),
            .propose(.commitMerge(operation, left: end, right: end, inSync: [node])),
        ]
        return acts.compactMap { AgentAct.shown(by: $0)?.description }
    }
}

/// What an agent is to an operation.
package enum CrashRole: String, Hashable, Sendable, CaseIterable {
    case source, target
    /// It leads the partition, and is neither of them.
    case primary
    /// It holds a copy, or is to hold one, and is nothing of that.
    case member
}
