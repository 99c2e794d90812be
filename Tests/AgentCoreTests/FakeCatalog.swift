// The coordinators' part of operations, as far as agents can tell: each step one committed entry, guarded by the epoch.

import Model

struct FakeCatalog {
    private(set) var topology = Topology()
    private var index: UInt64 = 100
    private var answers: [RequestID: ProposalOutcome] = [:]
    private var ready: [PartitionID: Set<NodeID>] = [:]
    private let operators: Principal
    let stores: [NodeID: StoreID]

    init(nodes: [NodeID]) throws {
        operators = try Principal("test")
        stores = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, StoreID(UInt64($0 + 1))) })
        var changes: [TopologyChange] = []
        for node in nodes {
            changes.append(
                .node(
                    NodeDescriptor(
                        id: node, store: stores[node]!, session: SessionID(1), generation: Generation(1),
                        zone: try ZoneName("z"),
                        addresses: NodeAddresses(gossip: "", link: "", service: ""), status: .healthy)))
        }
        commit(changes)
    }

    mutating func commit(_ changes: [TopologyChange]) {
        index += 1
        topology.commit(changes, at: Revision(history: 1, index: index))
    }

    private mutating func nextID() -> UInt64 { index + 1 }

    func operation(_ id: UInt64, _ kind: OperationKind, _ step: OperationStep, _ epoch: Epoch, _ cleanups: [Cleanup] = [])
        -> OperationDescriptor
    {
        OperationDescriptor(
            id: OperationID(id), kind: kind, step: step, epoch: epoch, cleanups: cleanups, createdBy: operators, reason: "test",
            createdAt: WallTime(milliseconds: 0))
    }

    mutating func createTable(on nodes: [NodeID]) throws {
        let id = nextID()
        let table = TableDescriptor(
            id: TableID(id), name: try RelationName("t"), columns: [], partitionKey: try RelationName("k"), sortKey: nil,
            replicationFactor: nodes.count, minInSync: nodes.count > 2 ? 2 : 1, status: .creating,
            capacity: Capacity(mode: .onDemand), createdAt: WallTime(milliseconds: 0))
        let partition = PartitionDescriptor(
            id: PartitionID(id), table: table.id, range: .all, epoch: Epoch(1), primary: nodes[0],
            replicas: nodes.map {
                ReplicaDescriptor(node: $0, store: stores[$0]!, storage: StorageID(id), role: .inSync)
            }, status: .creating)
        commit([
            .table(table), .partition(partition), .operation(operation(id, .createTable(table.id), .replicas, Epoch(1))),
        ])
    }

    /// All partitions of all tables. They stay in the topology until every copy is gone, as in the real catalog.
    mutating func dropTables() {
        let id = nextID()
        var changes: [TopologyChange] = []
        var cleanups: [Cleanup] = []
        for var partition in topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            partition.status = .deleting
            partition.epoch = partition.epoch.next
            cleanups += partition.replicas.map { Cleanup(node: $0.node, storage: $0.storage, partition: partition.id) }
            changes.append(.partition(partition))
        }
        for var table in topology.tables.values.sorted(by: { $0.id < $1.id }) {
            table.status = .deleting
            changes.append(.table(table))
            changes.append(.operation(operation(id, .dropTable(table.id), .replicas, Epoch(1), cleanups)))
        }
        commit(changes)
    }

    mutating func move(_ id: PartitionID, from source: NodeID?, to target: NodeID) {
        guard var partition = topology.partitions[id], partition.operation == nil, partition.status == .active,
            partition.replica(on: target) == nil, !hasCleanup(on: target, id)
        else { return }
        let number = nextID()
        partition.epoch = partition.epoch.next
        partition.operation = OperationID(number)
        partition.replicas.append(
            ReplicaDescriptor(node: target, store: stores[target]!, storage: StorageID(number), role: .learner))
        let cleanup = Cleanup(node: target, storage: StorageID(number), partition: id)
        let kind = OperationKind.move(partition: id, source: source, target: target)
        commit([.partition(partition), .operation(operation(number, kind, .copy, partition.epoch, [cleanup]))])
    }

    private func hasCleanup(on node: NodeID, _ partition: PartitionID) -> Bool {
        topology.operations.values.contains { $0.cleanups.contains { $0.node == node && $0.partition == partition } }
    }

    mutating func transfer(_ id: PartitionID, to target: NodeID) {
        guard var partition = topology.partitions[id], partition.operation == nil, partition.primary != target,
            partition.inSync.contains(target)
        else { return }
        let number = nextID()
        partition.epoch = partition.epoch.next
        partition.operation = OperationID(number)
        commit([
            .partition(partition),
            .operation(operation(number, .transferPrimary(partition: id, target: target), .fence, partition.epoch)),
        ])
    }

    mutating func split(_ id: PartitionID, at key: Key) {
        guard var partition = topology.partitions[id], partition.operation == nil, partition.learners.isEmpty,
            partition.status == .active, partition.range.split(at: key) != nil
        else { return }
        let number = nextID()
        partition.epoch = partition.epoch.next
        partition.operation = OperationID(number)
        let kind = OperationKind.split(
            partition: id, at: key, lower: PartitionID(number << 8 | 1), upper: PartitionID(number << 8 | 2))
        commit([.partition(partition), .operation(operation(number, kind, .fence, partition.epoch))])
    }

    mutating func abort(_ operation: OperationDescriptor, _ partition: PartitionDescriptor) {
        var operation = operation
        var partition = partition
        partition.epoch = partition.epoch.next
        partition.operation = nil
        if case .move(_, _, let target) = operation.kind, partition.replica(on: target)?.role == .learner {
            partition.replicas.removeAll { $0.node == target }
        } else {
            operation.cleanups = []
        }
        operation.phase = .aborted
        operation.step = .done
        commit([.partition(partition), .operation(operation)])
    }

    /// Rule F2, on the state as it is.
    mutating func nodeFailed(_ node: NodeID, random: inout SeededGenerator) {
        var changes: [TopologyChange] = []
        for var partition in topology.partitions.values.sorted(by: { $0.id < $1.id }) where partition.replica(on: node) != nil {
            if partition.inSync == [node] {
                guard partition.primary != nil else { continue }
                partition.primary = nil
                partition.epoch = partition.epoch.next
                changes.append(.partition(partition))
                continue
            }
            if let id = partition.operation, var running = topology.operations[id], running.phase == .running {
                let touches: Bool
                switch running.kind {
                case .move(_, let source, let target):
                    touches = running.step == .copy && (target == node || source == node || partition.primary == node)
                default: touches = running.step == .fence
                }
                if touches {
                    if case .move(_, _, let target) = running.kind { partition.replicas.removeAll { $0.node == target } }
                    partition.operation = nil
                    running.phase = .aborted
                    running.step = .done
                    changes.append(.operation(running))
                }
            }
            // The real catalog takes the replica out and repairs later; here it comes back as a learner.
            partition.replicas = partition.replicas.map {
                $0.node == node ? ReplicaDescriptor(node: node, store: $0.store, storage: $0.storage, role: .learner) : $0
            }
            if partition.primary == node { partition.primary = partition.inSync.randomElement(using: &random) }
            partition.epoch = partition.epoch.next
            changes.append(.partition(partition))
        }
        if !changes.isEmpty { commit(changes) }
    }

    mutating func revive(_ node: NodeID) {
        for var partition in topology.partitions.values.sorted(by: { $0.id < $1.id })
        where partition.primary == nil && partition.inSync == [node] {
            partition.primary = node
            partition.epoch = partition.epoch.next
            commit([.partition(partition)])
        }
    }

    // MARK: - Proposals

    mutating func decide(_ proposal: PartitionProposal, _ request: RequestID, from node: NodeID) -> ProposalOutcome {
        if let answer = answers[request] { return answer }
        let outcome: ProposalOutcome =
            apply(proposal, from: node)
            ? .accepted(topology.revision) : .refused(code: "conflict", detail: "\(proposal)")
        answers[request] = outcome
        return outcome
    }

    private mutating func apply(_ proposal: PartitionProposal, from node: NodeID) -> Bool {
        if case .cleaned(let id, let cleanup) = proposal {
            guard var operation = topology.operations[id], operation.cleanups.contains(cleanup) else { return false }
            operation.cleanups.removeAll { $0 == cleanup }
            if operation.cleanups.isEmpty, operation.phase == .running {
                operation.phase = .succeeded
                operation.step = .done
            }
            commit([.operation(operation)])
            return true
        }
        guard let id = proposal.partitionID, var partition = topology.partitions[id], partition.epoch == proposal.expected
        else {
            return false
        }
        let running = partition.operation.flatMap { topology.operations[$0] }
        partition.epoch = partition.epoch.next
        switch proposal {
        case .replicaReady:
            ready[id, default: []].insert(node)
            guard partition.status == .creating, ready[id]!.count == partition.replicas.count else { return true }
            partition.status = .active
            guard var table = topology.tables[partition.table], var create = topology.operations[OperationID(table.id.number)]
            else { return false }
            table.status = .active
            create.phase = .succeeded
            commit([.table(table), .partition(partition), .operation(create)])
        case .evict(_, let member, _):
            guard partition.inSync.contains(member), partition.inSync.count > 1 else { return false }
            partition.setRole(.learner, of: member)
            if partition.primary == member { partition.primary = partition.inSync[0] }
            commit([.partition(partition)])
        case .joinInSync(_, let member, _, _):
            guard partition.learners.contains(member) else { return false }
            partition.setRole(.inSync, of: member)
            guard var operation = running, case .move(_, let source, let target) = operation.kind, target == member else {
                commit([.partition(partition)])
                return true
            }
            operation.epoch = partition.epoch
            operation.cleanups = []
            if source == nil {
                operation.phase = .succeeded
                operation.step = .done
                partition.operation = nil
            } else {
                operation.step = .handOver
            }
            commit([.partition(partition), .operation(operation)])
        case .switchPrimary(_, let target, _, let operationID, _):
            guard var operation = running, operation.id == operationID, partition.inSync.contains(target) else { return false }
            partition.primary = target
            operation.epoch = partition.epoch
            if case .transferPrimary = operation.kind {
                operation.phase = .succeeded
                operation.step = .done
                partition.operation = nil
            }
            commit([.partition(partition), .operation(operation)])
        case .removeReplica(_, let source, let operationID, _):
            guard var operation = running, operation.id == operationID, partition.primary != source else { return false }
            if let storage = partition.replica(on: source)?.storage {
                operation.cleanups = [Cleanup(node: source, storage: storage, partition: id)]
                operation.step = .dropSource
            } else {
                operation.phase = .succeeded
            }
            partition.replicas.removeAll { $0.node == source }
            partition.operation = nil
            commit([.partition(partition), .operation(operation)])
        case .commitSplit(_, let operationID, let position, let checksum, let inSync, _):
            guard var operation = running, operation.id == operationID, inSync == partition.inSync, partition.learners.isEmpty,
                case .split(_, let key, let lower, let upper) = operation.kind, let halves = partition.range.split(at: key)
            else { return false }
            let child = { (id: PartitionID, range: KeyRange) in
                PartitionDescriptor(
                    id: id, table: partition.table, range: range, epoch: partition.epoch, primary: partition.primary,
                    replicas: partition.replicas, status: .active, origin: position, originChecksum: checksum)
            }
            operation.phase = .succeeded
            operation.step = .done
            commit([
                .partitionRetired(id, epoch: partition.epoch, children: [lower, upper]),
                .partition(child(lower, halves.lower)), .partition(child(upper, halves.upper)), .operation(operation),
            ])
        case .abort(let operationID, _, _, _):
            guard let operation = running, operation.id == operationID else { return false }
            if case .move = operation.kind, operation.step == .handOver {
                // Past the join: the switch is what is given up, the target stays; the operation ends.
                partition.epoch = Epoch(partition.epoch.number - 1)
                abort(operation, partition)
                return true
            }
            partition.epoch = Epoch(partition.epoch.number - 1)
            abort(operation, partition)
        case .cleaned, .requestSplit: return false
        }
        return true
    }
}

extension PartitionDescriptor {
    mutating func setRole(_ role: ReplicaRole, of node: NodeID) {
        replicas = replicas.map {
            $0.node == node ? ReplicaDescriptor(node: node, store: $0.store, storage: $0.storage, role: role) : $0
        }
    }
}

extension PartitionProposal {
    var partitionID: PartitionID? {
        switch self {
        case .replicaReady(let id, _), .evict(let id, _, _), .joinInSync(let id, _, _, _), .switchPrimary(let id, _, _, _, _),
            .removeReplica(let id, _, _, _), .commitSplit(let id, _, _, _, _, _), .abort(_, let id, _, _),
            .requestSplit(let id, _, _):
            id
        case .cleaned: nil
        }
    }

    var expected: Epoch? {
        switch self {
        case .replicaReady(_, let epoch), .evict(_, _, let epoch), .joinInSync(_, _, _, let epoch),
            .switchPrimary(_, _, _, _, let epoch), .removeReplica(_, _, _, let epoch), .commitSplit(_, _, _, _, _, let epoch),
            .abort(_, _, _, let epoch), .requestSplit(_, _, let epoch):
            epoch
        case .cleaned: nil
        }
    }
}
