// What an agent does for operations, told apart by name: whoever kills or stops one in the middle of an operation says so where.

package import Model
import Replication

/// What an agent does for an operation. Read off actions by switches without a default, so that a new one does not compile until it stands
/// here.
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
    package static func all(in action: AgentAction) -> [(PartitionID, AgentAct)] {
        switch action {
        case .append(let records, _): records.compactMap { of($0) }
        case .checksum(let id, _, _): [(id, .checksum)]
        case .create(let descriptor, _): [(descriptor.id, .create)]
        case .installChildren(let parent, _, _): [(parent, .installChildren)]
        case .drop(let id, _): [(id, .drop)]
        case .copy(let id, _, _, _, _): [(id, .copy)]
        case .propose(let proposal, _): of(proposal).map { [$0] } ?? []
        // What every write and every beat does too; a copy is stopped for what is seen at another place; quorum is asked for by nobody in
        // particular; an operation that begins with a key that is found is not there yet.
        case .send, .apply, .acknowledge, .readable, .refuse, .stopCopy, .confirmQuorum, .findSplitKey, .topologyChanged,
            .askTopology, .evicting, .damaged:
            []
        }
    }

    private static func of(_ record: PartitionRecord) -> (PartitionID, AgentAct)? {
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

    package static func of(_ proposal: PartitionProposal) -> (PartitionID, AgentAct)? {
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

    /// What has come about of it where this input arrives. What goes to the log has where its ticket is persisted.
    package static func ended(by input: AgentInput) -> (PartitionID, AgentAct)? {
        switch input {
        case .created(let id, _): (id, .create)
        case .copyEnded(let id, _, _): (id, .copy)
        case .snapshotInstalled(let id, _, _, _): (id, .endImport)
        case .checksummed(let id, _, _): (id, .checksum)
        case .childrenInstalled(let id): (id, .installChildren)
        case .dropped(let id, _): (id, .drop)
        case .answered(let proposal, .accepted): of(proposal)
        case .topology, .delta, .topologySaved, .received, .persisted, .applied, .synced, .write, .read, .installationFailed,
            .failed,
            .storageDamaged, .copyStands, .snapshotBegun, .answered, .quorumConfirmed, .loadMeasured, .splitKeyFound, .tick:
            nil
        }
    }
}
