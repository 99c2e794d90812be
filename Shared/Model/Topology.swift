// What the coordinators decided and the agents follow: the same value at both ends of a watch, at a revision.
//
// The catalog holds one and changes it by committed commands; each change is also a delta, and an agent that applies the deltas in
// order holds an equal value. Nothing in it is derived from load, liveness or time.

/// One upsert or removal; upserts carry the whole new value, so that applying one twice is harmless.
package enum TopologyChange: Hashable, Sendable {
    case node(NodeDescriptor)
    case nodeRemoved(NodeID)
    case table(TableDescriptor)
    case tableRemoved(TableID)
    case partition(PartitionDescriptor)
    /// The partition is no more; after a split or a merge its `children` hold its keys (rule M2).
    case partitionRetired(PartitionID, epoch: Epoch, children: [PartitionID])
    case operation(OperationDescriptor)
    /// An ended operation, all of whose cleanups are done, is forgotten.
    case operationRemoved(OperationID)
    case signingKey(SigningKey)
    case signingKeyRemoved(String)
    case tokenRevoked(RevokedToken)
    case tokenForgotten(String)
    case policy(AccessPolicy)
    case policyRemoved(TableID, Principal)
    case configuration(ConfigurationEntry)
    case configurationRemoved(ConfigurationScope, String)
    case gossipKeys(GossipKeys)
}

/// What happened between two revisions, in order.
package struct TopologyDelta: Hashable, Sendable {
    package let from: Revision
    package let to: Revision
    package let changes: [TopologyChange]
    /// The leader's stamp on the entry that brought them (rule C4); for measuring, never for deciding.
    package let stampedAt: WallTime?

    package init(from: Revision, to: Revision, changes: [TopologyChange], stampedAt: WallTime? = nil) {
        self.from = from
        self.to = to
        self.changes = changes
        self.stampedAt = stampedAt
    }

    /// Whether a node came, left or changed.
    package var concernsNodes: Bool {
        changes.contains { if case .node = $0 { true } else if case .nodeRemoved = $0 { true } else { false } }
    }
}

/// A partition that is no more.
package struct RetiredPartition: Hashable, Sendable {
    package let id: PartitionID
    package let epoch: Epoch
    package let children: [PartitionID]

    package init(id: PartitionID, epoch: Epoch, children: [PartitionID]) {
        self.id = id
        self.epoch = epoch
        self.children = children
    }

    /// What became of it, in an operator's words.
    package var fate: String {
        let names = children.map(\.description).joined(separator: ", ")
        return switch children.count {
        case 0: "is gone"
        case 1: "was merged into \(names)"
        default: "was split into \(names)"
        }
    }
}

package struct PolicyKey: Hashable, Comparable, Sendable {
    package let table: TableID
    package let principal: Principal

    package init(table: TableID, principal: Principal) {
        self.table = table
        self.principal = principal
    }

    package static func < (a: Self, b: Self) -> Bool { (a.table, a.principal) < (b.table, b.principal) }
}

package struct ConfigurationKey: Hashable, Comparable, Sendable {
    package let scope: ConfigurationScope
    package let key: String

    package init(scope: ConfigurationScope, key: String) {
        self.scope = scope
        self.key = key
    }

    package static func < (a: Self, b: Self) -> Bool { (a.scope, a.key) < (b.scope, b.key) }
}

/// The committed state of the cluster at one revision. Collections are dictionaries for speed; whatever leaves it in an order is
/// sorted first (see `changes`).
package struct Topology: Hashable, Sendable {
    package private(set) var revision: Revision
    package private(set) var nodes: [NodeID: NodeDescriptor] = [:]
    package private(set) var tables: [TableID: TableDescriptor] = [:]
    package private(set) var partitions: [PartitionID: PartitionDescriptor] = [:]
    package private(set) var retired: [PartitionID: RetiredPartition] = [:]
    package private(set) var operations: [OperationID: OperationDescriptor] = [:]
    package private(set) var signingKeys: [String: SigningKey] = [:]
    package private(set) var revokedTokens: [String: RevokedToken] = [:]
    package private(set) var policies: [PolicyKey: AccessPolicy] = [:]
    package private(set) var configuration = ConfigurationEntries()
    /// Nil before the coordinators have committed any: then what stands in each member's file holds.
    package private(set) var gossipKeys: GossipKeys?
    /// What follows from the partitions, taken together.
    package private(set) var tally = PartitionTally()

    package init(revision: Revision = .none) { self.revision = revision }

    /// A topology made of a snapshot's changes.
    package init(revision: Revision, changes: [TopologyChange]) {
        self.revision = revision
        for change in changes { apply(change) }
    }

    /// Why a delta was not applied; the topology is unchanged.
    package enum Rejection: Error, Hashable, Sendable {
        /// It starts elsewhere: ask for the changes since `have`.
        case gap(have: Revision, from: Revision)
        /// It belongs to another history, or leads backwards (rule T3).
        case notForward(have: Revision, to: Revision)
    }

    /// Moves the topology forward by a delta that starts at its revision (rule T3).
    package mutating func apply(_ delta: TopologyDelta) throws(Rejection) {
        guard delta.to > revision, delta.to.history == revision.history || revision == .none else {
            throw .notForward(have: revision, to: delta.to)
        }
        guard delta.from == revision else { throw .gap(have: revision, from: delta.from) }
        for change in delta.changes { apply(change) }
        revision = delta.to
    }

    /// Applies the changes of one committed entry; the caller is the catalog, which is where revisions come from.
    package mutating func commit(_ changes: [TopologyChange], at revision: Revision) {
        precondition(revision > self.revision, "revision \(revision) does not follow \(self.revision)")
        for change in changes { apply(change) }
        self.revision = revision
    }

    private mutating func apply(_ change: TopologyChange) {
        switch change {
        case .node(let node): nodes[node.id] = node
        case .nodeRemoved(let id): nodes[id] = nil
        case .table(let table): put(table)
        case .tableRemoved(let id): tables[id] = nil
        case .partition(let partition):
            let old = partitions.updateValue(partition, forKey: partition.id)
            tally.replace(old, with: partition, copies: tables[partition.table]?.replicationFactor)
        case .partitionRetired(let id, let epoch, let children):
            tally.replace(partitions.removeValue(forKey: id), with: nil, copies: nil)
            retired[id] = RetiredPartition(id: id, epoch: epoch, children: children)
        case .operation(let operation): operations[operation.id] = operation
        case .operationRemoved(let id): operations[id] = nil
        case .signingKey(let key): signingKeys[key.id] = key
        case .signingKeyRemoved(let id): signingKeys[id] = nil
        case .tokenRevoked(let token): revokedTokens[token.id] = token
        case .tokenForgotten(let id): revokedTokens[id] = nil
        case .policy(let policy): policies[PolicyKey(table: policy.table, principal: policy.principal)] = policy
        case .policyRemoved(let table, let principal): policies[PolicyKey(table: table, principal: principal)] = nil
        case .configuration(let entry): configuration[ConfigurationKey(scope: entry.scope, key: entry.key)] = entry
        case .configurationRemoved(let scope, let key): configuration[ConfigurationKey(scope: scope, key: key)] = nil
        case .gossipKeys(let keys): gossipKeys = keys
        }
    }

    /// Its partitions may be known already, and are looked at again when they have to have another number of copies.
    private mutating func put(_ table: TableDescriptor) {
        let old = tables.updateValue(table, forKey: table.id)
        guard old?.replicationFactor != table.replicationFactor else { return }
        // Partitions of an unknown table are all unsettled.
        let known = old == nil ? tally.unsettled.compactMap { partitions[$0] } : Array(partitions.values)
        for partition in known where partition.table == table.id {
            tally.note(partition, copies: table.replicationFactor)
        }
    }

    /// The changes that make this topology out of an empty one, in a fixed order: the body of a snapshot.
    package var changes: [TopologyChange] {
        var all: [TopologyChange] = []
        all += nodes.values.sorted { $0.id < $1.id }.map { .node($0) }
        all += tables.values.sorted { $0.id < $1.id }.map { .table($0) }
        all += partitions.values.sorted { $0.id < $1.id }.map { .partition($0) }
        all += retired.values.sorted { $0.id < $1.id }
            .map { .partitionRetired($0.id, epoch: $0.epoch, children: $0.children) }
        all += operations.values.sorted { $0.id < $1.id }.map { .operation($0) }
        all += signingKeys.values.sorted { $0.id < $1.id }.map { .signingKey($0) }
        all += revokedTokens.values.sorted { $0.id < $1.id }.map { .tokenRevoked($0) }
        all += policies.sorted { $0.key < $1.key }.map { .policy($0.value) }
        all += configuration.inOrder.map { .configuration($0) }
        if let gossipKeys { all.append(.gossipKeys(gossipKeys)) }
        return all
    }

    /// The table of that name, unless it is gone.
    package func table(named name: RelationName) -> TableDescriptor? { tables.values.first { $0.name == name } }

    /// A table's partitions in key order.
    package func partitions(of table: TableID) -> [PartitionDescriptor] {
        partitions.values.filter { $0.table == table }.sorted { $0.range.low < $1.range.low }
    }
}

extension TopologyDelta {
    /// For whoever is no member any more.
    package var withoutGossipKeys: TopologyDelta {
        TopologyDelta(from: from, to: to, changes: changes.filter { !$0.isGossipKeys }, stampedAt: stampedAt)
    }
}

extension Topology {
    /// For whoever is no member any more.
    package var withoutGossipKeys: Topology { Topology(revision: revision, changes: changes.filter { !$0.isGossipKeys }) }
}

extension TopologyChange {
    fileprivate var isGossipKeys: Bool { if case .gossipKeys = self { true } else { false } }
}
