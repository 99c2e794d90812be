// The operations in whose steps somebody dies: how each is brought about, who takes part, and what it must have left behind.

import Catalog
import Model

package enum CrashOperation: String, CaseIterable, Sendable {
    case createTable = "create-table"
    case dropTable = "drop-table"
    /// Of a copy that does not lead.
    case move
    case movePrimary = "move-primary"
    /// A copy is missed for longer than the repair delay.
    case repair
    /// The node that was missed comes back while its copy is being made anew.
    case needlessRepair = "needless-repair"
    case split
    /// Of the halves of a split.
    case merge
    case transfer = "transfer-primary"
    /// The node that leads is drained: once it has given the role away, its copy moves.
    case drain
    case removeOrphan = "remove-orphan"
    case cancelCopy = "cancel-copying-move"
    case cancelHandOver = "cancel-joined-move"
    case cancelSplit = "cancel-split"
    case cancelMerge = "cancel-merge"
    case pauseCopy = "pause-copying-move"
    case pauseHandOver = "pause-joined-move"

    /// Which of these go through the steps of an operation of the catalog.
    static func all(of kind: OperationKind) -> [CrashOperation] {
        switch kind {
        case .createTable: [.createTable]
        case .dropTable: [.dropTable]
        case .move(_, nil, _): [.repair, .needlessRepair]
        case .move: [.move, .movePrimary, .drain, .cancelCopy, .cancelHandOver, .pauseCopy, .pauseHandOver]
        case .split: [.split, .cancelSplit]
        case .merge: [.merge, .cancelMerge]
        case .transferPrimary: [.transfer]
        case .removeOrphan: [.removeOrphan]
        }
    }

    /// What an operator asks for meanwhile, and at which step.
    struct Interruption: Sendable {
        let at: CommittedStep
        let after: Span
        let command: @Sendable (OperationID) -> Command
    }

    var interruptions: [Interruption] {
        let cancel = { @Sendable (id: OperationID) in Command.abortOperation(id, reason: "an operator's wish") }
        func pause(at step: OperationStep) -> [Interruption] {
            [
                Interruption(at: .entered(step), after: .zero) { .pauseOperation($0) },
                Interruption(at: .paused, after: .milliseconds(300)) { .resumeOperation($0) },
            ]
        }
        switch self {
        case .cancelCopy: return [Interruption(at: .entered(.copy), after: .zero, command: cancel)]
        case .cancelHandOver: return [Interruption(at: .entered(.handOver), after: .zero, command: cancel)]
        case .cancelSplit, .cancelMerge: return [Interruption(at: .entered(.fence), after: .milliseconds(10), command: cancel)]
        case .pauseCopy: return pause(at: .copy)
        case .pauseHandOver: return pause(at: .handOver)
        case .createTable, .dropTable, .move, .movePrimary, .repair, .needlessRepair, .split, .merge, .transfer, .drain,
            .removeOrphan:
            return []
        }
    }

    /// Whose death is tried. Where a role has nobody, or somebody who has another one, its cells are not there.
    var parties: [CrashParty] {
        switch self {
        case .removeOrphan: [.source, .leader]
        default: CrashParty.allCases
        }
    }

    /// Whether a copy is down before the operation begins.
    var lacksNode: Bool { self == .repair || self == .needlessRepair }
    /// Whether there are two halves before it begins.
    var joinsHalves: Bool { self == .merge || self == .cancelMerge }
    /// Whether it ends as it was before, undisturbed.
    var isUndone: Bool {
        [.cancelCopy, .cancelHandOver, .cancelSplit, .cancelMerge, .needlessRepair].contains(self)
    }
    /// Whether it may wait for one of its parties for ever.
    var waitsForParty: Bool { self == .removeOrphan }

    // MARK: - Beginning

    static let orphan = PartitionID(madeAt: 1, ordinal: 9)
    static let orphanStorage = StorageID(424_242)
    static let spare = "spare"

    /// The command that brings it about, in this topology.
    func command(in topology: Topology, _ places: ClusterPlaces) -> Command? {
        guard let table = topology.tables.keys.min(), let partition = topology.partitions(of: table).first,
            let primary = partition.primary
        else { return nil }
        let able = topology.nodes.values.filter { $0.status == .healthy && $0.session != .none }.sorted { $0.id < $1.id }
        func move(from source: NodeID?) -> Command? {
            guard let target = able.first(where: { partition.replica(on: $0.id) == nil }) else { return nil }
            return .beginMove(
                MovePlan(
                    partition: partition.id, source: source, target: NodeSession(node: target.id, session: target.session),
                    epoch: partition.epoch))
        }
        switch self {
        case .createTable: return Self.creation(of: Self.spare, on: able)
        case .dropTable: return (try? RelationName(Self.spare)).map { .dropTable($0) }
        case .move, .cancelCopy, .pauseCopy: return move(from: partition.inSync.last { $0 != primary })
        case .movePrimary, .cancelHandOver, .pauseHandOver: return move(from: primary)
        case .repair, .needlessRepair: return nil
        case .split, .cancelSplit:
            return .beginSplit(partition.id, at: Key([UInt8(ClusterOptions.keys / 2) * 10 + 5]), expecting: partition.epoch)
        case .merge, .cancelMerge:
            let halves = topology.partitions(of: table)
            guard halves.count == 2 else { return nil }
            return .beginMerge(halves[0].id, expecting: halves[0].epoch, with: halves[1].id, at: halves[1].epoch)
        case .transfer:
            guard let target = partition.inSync.first(where: { $0 != primary }), let session = topology.nodes[target]?.session
            else { return nil }
            return .beginTransfer(partition.id, to: target, session: session, expecting: partition.epoch)
        case .drain: return .drain(primary)
        case .removeOrphan:
            guard let node = topology.nodes[places.node(ClusterOptions.orphanHost)] else { return nil }
            return .removeOrphan(
                OrphanRemoval(
                    node: NodeSession(node: node.id, session: node.session),
                    held: StrayReplica(
                        partition: Self.orphan, storage: Self.orphanStorage, epoch: Epoch(0), isBeingRemoved: false)))
        }
    }

    /// A second table, of which clients do not know.
    static func creation(of name: String, on able: [NodeDescriptor]) -> Command? {
        guard let name = try? RelationName(name), let key = try? RelationName("key"), able.count >= 3 else { return nil }
        return .createTable(
            TableCreation(
                name: name, columns: [Column(name: key, type: .integer)], partitionKey: key, sortKey: nil, replicationFactor: 3,
                minInSync: 2, capacity: Capacity(mode: .onDemand), splitKeys: [],
                placements: [Placement(primary: able[0].id, nodes: able.prefix(3).map(\.id))],
                sessions: able.map { NodeSession(node: $0.id, session: $0.session) }))
    }

    /// Whether an operation that has begun is the one that was asked for.
    func recognises(_ operation: OperationDescriptor, drained: NodeID?) -> Bool {
        guard Self.all(of: operation.kind).contains(self) else { return false }
        guard self == .drain, case .move(_, let source, _) = operation.kind else { return true }
        return source == drained
    }

    // MARK: - Ending

    /// What is wrong with the topology in which the operation ended, if it is to be as before it, or as after it.
    static func flaw(in topology: Topology, at end: OperationDescriptor) -> String? {
        let isAfter = end.phase == .succeeded
        func say(_ holds: Bool, _ what: String) -> String? {
            holds ? nil : "\(end.kind.name) ended \(end.phase.rawValue), but \(what)"
        }
        switch end.kind {
        case .createTable(let id):
            return say(isAfter && topology.tables[id]?.status == .active, "the table is not active")
        case .dropTable(let id): return say(isAfter && topology.tables[id] == nil, "the table is there")
        case .move(let id, let source, let target):
            let partition = topology.partitions[id]
            let hasTarget = partition?.replica(on: target) != nil
            if let flaw = say(hasTarget == isAfter, "\(hasTarget ? "the target has a place" : "the target has none")") {
                return flaw
            }
            guard let source else { return nil }
            let hasSource = partition?.replica(on: source) != nil
            return say(hasSource != isAfter, "\(hasSource ? "the source has a place" : "the source has none")")
        case .split(let id, _, let lower, let upper):
            let hasParent = topology.partitions[id] != nil
            let halves = [lower, upper].count { topology.partitions[$0] != nil }
            return say(hasParent != isAfter && halves == (isAfter ? 2 : 0), "there are \(halves) halves")
        case .merge(let left, let right, let merged):
            let isWhole = topology.partitions[merged] != nil
            let halves = [left, right].count { topology.partitions[$0] != nil }
            return say(isWhole == isAfter && halves == (isAfter ? 0 : 2), "there are \(halves) halves")
        case .transferPrimary(let id, let target):
            return say(!isAfter || topology.partitions[id]?.primary == target, "another node leads")
        case .removeOrphan: return say(isAfter, "nobody may end a removal")
        }
    }
}

/// Who dies.
package enum CrashParty: String, CaseIterable, Sendable {
    /// The agent from which something goes away; of a split, a merge and a table's beginning and end, the one that leads.
    case source
    /// The agent to which it comes; of a split, a merge and a table's beginning and end, one that follows.
    case target
    /// The agent that leads the partition, where it is neither.
    case primary
    /// The coordinator that leads.
    case leader
}
