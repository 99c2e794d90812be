// The new values that one entry makes, laid over the topology that it found. A refusal throws the overlay away, so no command can
// half happen; and an entry that touches a partition twice still raises its epoch once (rule E1).

import Model

struct Transaction {
    let base: Topology
    let index: UInt64
    /// What the topology is at when it has changed.
    let revision: Revision
    let now: WallTime
    let actor: Principal
    let reason: String
    var joinTokens: [String: JoinToken]
    var awaited: [PartitionID: [NodeID]]
    var failedAt: [NodeID: WallTime]
    var coordinators: [NodeID: CoordinatorDescriptor]

    #if MUTANTS
        /// The planted bug.
        var mutant: RuleMutant?
    #endif

    private var nodes: [NodeID: NodeDescriptor] = [:]
    private var tables: [TableID: TableDescriptor?] = [:]
    private var partitions: [PartitionID: PartitionDescriptor?] = [:]
    private var operations: [OperationID: OperationDescriptor?] = [:]
    private var retirements: [TopologyChange] = []
    private var others: [TopologyChange] = []

    init(on snapshot: CatalogSnapshot, at index: UInt64, actor: Principal, reason: String) {
        base = snapshot.topology
        self.index = index
        revision = Revision(history: snapshot.history, index: index)
        now = snapshot.time
        self.actor = actor
        self.reason = reason
        joinTokens = snapshot.joinTokens
        awaited = snapshot.awaited
        failedAt = snapshot.failedAt
        coordinators = snapshot.coordinators
    }

    var operationID: OperationID { OperationID(index) }

    // MARK: - Reading: the overlay first

    func node(_ id: NodeID) -> NodeDescriptor? { nodes[id] ?? base.nodes[id] }
    func table(_ id: TableID) -> TableDescriptor? { tables[id] ?? base.tables[id] }
    func partition(_ id: PartitionID) -> PartitionDescriptor? { partitions[id] ?? base.partitions[id] }
    func operation(_ id: OperationID) -> OperationDescriptor? { operations[id] ?? base.operations[id] }

    /// In order of their ids.
    var allNodes: [NodeDescriptor] {
        Set(base.nodes.keys).union(nodes.keys).sorted().compactMap { node($0) }
    }

    /// In order of their ids: promotions balance as they go, and must do so everywhere in the same order.
    func partitions(where condition: (PartitionDescriptor) -> Bool) -> [PartitionDescriptor] {
        var found = base.partitions.values.filter { partitions[$0.id] == nil && condition($0) }
        found += partitions.values.compactMap { $0 }.filter(condition)
        return found.sorted { $0.id < $1.id }
    }

    func operations(where condition: (OperationDescriptor) -> Bool) -> [OperationDescriptor] {
        var found = base.operations.values.filter { operations[$0.id] == nil && condition($0) }
        found += operations.values.compactMap { $0 }.filter(condition)
        return found.sorted { $0.id < $1.id }
    }

    // MARK: - Writing

    mutating func put(_ node: NodeDescriptor) { nodes[node.id] = node }
    mutating func put(_ table: TableDescriptor) { tables[table.id] = .some(table) }
    mutating func put(_ operation: OperationDescriptor) { operations[operation.id] = .some(operation) }
    /// A partition whose range, holders and roles stay as they are; see `putRaised` for the others.
    mutating func put(_ partition: PartitionDescriptor) { partitions[partition.id] = .some(partition) }

    /// Puts a changed partition with the next epoch: one more than committed, however often this entry changes it (rule E1).
    /// - Returns: the epoch that it now has.
    @discardableResult
    mutating func putRaised(_ partition: PartitionDescriptor) -> Epoch {
        var raised = partition
        if let committed = base.partitions[partition.id] { raised.epoch = committed.epoch.next }
        put(raised)
        return raised.epoch
    }

    mutating func removeTable(_ id: TableID) { tables[id] = .some(nil) }

    mutating func retire(_ partition: PartitionDescriptor, epoch: Epoch, children: [PartitionID]) {
        partitions[partition.id] = .some(nil)
        awaited[partition.id] = nil
        retirements.append(.partitionRetired(partition.id, epoch: epoch, children: children))
    }

    mutating func append(_ change: TopologyChange) { others.append(change) }

    /// Forgets the oldest of the operations that are over and have nothing left to clean, beyond the number that is kept.
    mutating func forgetEndedOperations() {
        guard base.operations.count + operations.count > CatalogLimits.endedOperations else { return }
        let ended = operations { $0.phase != .running && $0.cleanups.isEmpty }
        guard ended.count > CatalogLimits.endedOperations else { return }
        for operation in ended.prefix(ended.count - CatalogLimits.endedOperations) { operations[operation.id] = .some(nil) }
    }

    /// What changed, in a fixed order: only values that differ from the committed ones.
    var changes: [TopologyChange] {
        var all: [TopologyChange] = []
        for (id, value) in nodes.sorted(by: { $0.key < $1.key }) where base.nodes[id] != value { all.append(.node(value)) }
        for (id, value) in tables.sorted(by: { $0.key < $1.key }) where base.tables[id] != value {
            all.append(value.map { .table($0) } ?? .tableRemoved(id))
        }
        for (id, value) in partitions.sorted(by: { $0.key < $1.key }) where base.partitions[id] != value {
            if let value { all.append(.partition(value)) }
        }
        all += retirements
        for (id, value) in operations.sorted(by: { $0.key < $1.key }) where base.operations[id] != value {
            all.append(value.map { .operation($0) } ?? .operationRemoved(id))
        }
        return all + others
    }
}

extension Transaction {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
