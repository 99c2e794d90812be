// The steps of operations at which somebody may die: what the coordinators commit for one, and what an agent does for it. Both are read
// off descriptors and actions by switches without a default, so that a new kind of either does not compile until it stands here.

import AgentCore
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

/// What an agent does for an operation.
package enum AgentAct: Hashable, Sendable, CustomStringConvertible {
    /// An empty replica is made.
    case create
    /// A snapshot is sent; it begins to replace the rows at its receiver; it is whole there.
    case copy, beginImport, endImport
    case verify, checksum
    /// The union rule goes to the log.
    case join
    case fence
    case splitRecord, cancelSplit
    case installChildren
    /// The log gives a replica up, and then the engine does.
    case giveUp, drop
    case propose(String)

    package var description: String {
        switch self {
        case .create: "create"
        case .copy: "copy"
        case .beginImport: "begin import"
        case .endImport: "end import"
        case .verify: "verify"
        case .checksum: "checksum"
        case .join: "join"
        case .fence: "fence"
        case .splitRecord: "split record"
        case .cancelSplit: "cancel split"
        case .installChildren: "install children"
        case .giveUp: "give up"
        case .drop: "drop"
        case .propose(let name): "propose \(name)"
        }
    }

    /// What one order of the core does, and for which partition.
    static func all(in action: AgentAction) -> [(PartitionID, AgentAct)] {
        switch action {
        case .append(let records, _): records.compactMap { act(writing: $0) }
        case .checksum(let id, _, _): [(id, .checksum)]
        case .create(let descriptor, _): [(descriptor.id, .create)]
        case .installChildren(let parent, _, _): [(parent, .installChildren)]
        case .drop(let id, _): [(id, .drop)]
        case .copy(let id, _, _, _, _): [(id, .copy)]
        case .propose(let proposal, _): act(of: proposal).map { [$0] } ?? []
        // What every write and every beat does too; a copy is stopped for what is seen at another place; quorum is asked for by nobody in
        // particular; an operation that begins with a key that is found is not there yet.
        case .send, .apply, .acknowledge, .readable, .refuse, .stopCopy, .confirmQuorum, .findSplitKey, .topologyChanged,
            .askTopology, .evicting, .damaged:
            []
        }
    }

    private static func act(writing record: PartitionRecord) -> (PartitionID, AgentAct)? {
        switch record {
        case .entry(let id, let entry):
            switch entry.body {
            case .verify: return (id, .verify)
            case .split: return (id, .splitRecord)
            case .cancelSplit: return (id, .cancelSplit)
            case .opening, .write: return nil
            }
        case .hardState(let id, let state):
            if state.fence != nil { return (id, .fence) }
            return state.pendingJoin == nil ? nil : (id, .join)
        case .dropped(let id): return (id, .giveUp)
        case .cut, .reset, .checkpoint, .beat: return nil
        }
    }

    private static func act(of proposal: PartitionProposal) -> (PartitionID, AgentAct)? {
        guard let id = proposal.partition else { return nil }
        switch proposal {
        case .replicaReady: return (id, .propose("ready"))
        case .joinInSync: return (id, .propose("join"))
        case .switchPrimary: return (id, .propose("switch"))
        case .removeReplica: return (id, .propose("removal"))
        case .commitSplit: return (id, .propose("split"))
        case .commitMerge: return (id, .propose("merge"))
        case .abort: return (id, .propose("abort"))
        case .cleaned: return (id, .propose("cleaned"))
        // Not for an operation: a member is silent; an operation is to begin.
        case .evict, .requestSplit: return nil
        }
    }

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
        case .propose(let proposal): Self.act(of: proposal)?.1
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
