import Model

extension Transaction {
    /// Makes a table with its partitions, all `creating`, and the operation that waits for their replicas.
    ///
    /// Placements come with the command; the entry only checks that the plan still holds: the name is free, and every node is
    /// healthy in the session that the planner saw. All replicas start in sync, because all start empty.
    /// - Throws: `tableExists`, `invalidValue`, `splitKeyOutside`, `notEnoughNodes`, `limitReached`, `nodeUnavailable`, `stalePlan`.
    /// - Source: ARCHITECTURE story 2; PROTOCOLS M1, M7.
    mutating func createTable(_ creation: TableCreation) throws(CatalogRejection) -> CommandPayload {
        guard base.table(named: creation.name) == nil else {
            throw CatalogRejection(.tableExists, "table \(creation.name) exists already", field: "table_name")
        }
        try TableRules.check(creation)
        guard base.tables.count < CatalogLimits.tables,
            base.partitions.count + creation.placements.count <= CatalogLimits.partitions
        else { throw CatalogRejection(.limitReached, "the cluster holds as many tables or partitions as it may") }

        var stores: [NodeID: StoreID] = [:]
        for seen in creation.sessions { stores[seen.node] = try requireEligible(seen).store }
        let table = TableDescriptor(
            id: TableID(index), name: creation.name, columns: creation.columns, partitionKey: creation.partitionKey,
            sortKey: creation.sortKey, replicationFactor: creation.replicationFactor, minInSync: creation.minInSync,
            status: .creating, capacity: creation.capacity, createdAt: now)

        let bounds = [Key.least] + creation.splitKeys
        for (ordinal, placement) in creation.placements.enumerated() {
            let id = PartitionID(madeAt: index, ordinal: ordinal)
            let high: Key? = ordinal + 1 < bounds.count ? bounds[ordinal + 1] : nil
            var replicas: [ReplicaDescriptor] = []
            for node in placement.nodes {
                guard let store = stores[node] else {
                    throw CatalogRejection(.stalePlan, "the plan places a replica on \(node), whose session it does not name")
                }
                replicas.append(
                    ReplicaDescriptor(node: node, store: store, storage: StorageID(id.number), role: .inSync))
            }
            put(
                PartitionDescriptor(
                    id: id, table: table.id, range: KeyRange(low: bounds[ordinal], high: high), epoch: Epoch(1),
                    primary: placement.primary, replicas: replicas, status: .creating))
            awaited[id] = placement.nodes
        }
        put(table)
        put(
            OperationDescriptor(
                id: operationID, kind: .createTable(table.id), step: .replicas, epoch: Epoch(1), createdBy: actor,
                reason: reason, createdAt: now))
        return .table(table.id, operationID)
    }

    /// Notes that a new table's replica exists; the last one makes the table active.
    mutating func replicaReady(_ id: PartitionID, on node: NodeID, expecting epoch: Epoch) throws(CatalogRejection)
        -> CommandPayload
    {
        let partition = try require(id, expecting: epoch)
        guard let replica = partition.replica(on: node) else {
            throw CatalogRejection(.notAReplica, "node \(node) holds no replica of partition \(id)")
        }
        // Nothing has been written to it: made anew it is whole.
        if replica.isDamaged, partition.status == .creating { resume(partition, on: node) }
        noLongerAwait(node, of: id)
        activateIfComplete(partition.table)
        return .nothing
    }

    mutating func noLongerAwait(_ node: NodeID, of id: PartitionID) {
        guard var waiting = awaited[id] else { return }
        waiting.removeAll { $0 == node }
        awaited[id] = waiting.isEmpty ? nil : waiting
    }

    /// One entry makes the table and all its partitions active, once no replica is awaited any more.
    mutating func activateIfComplete(_ id: TableID) {
        guard var table = table(id), table.status == .creating else { return }
        // Cheap first: as long as anything of this table is awaited, its partitions need no look.
        let first = PartitionID(madeAt: id.number, ordinal: 0)
        let last = PartitionID(madeAt: id.number, ordinal: 65_535)
        guard !awaited.keys.contains(where: { first <= $0 && $0 <= last }) else { return }
        table.status = .active
        put(table)
        for var partition in partitions(where: { $0.table == id && $0.status == .creating }) {
            partition.status = .active
            put(partition)
        }
        for operation in operations(where: { $0.kind == .createTable(id) && $0.phase == .running }) {
            end(operation, as: .succeeded)
        }
    }

    /// Takes a table out of service and has every replica's data removed.
    ///
    /// Operations on its partitions end first. Epochs rise, so that owners stop serving; the descriptors stay until the data is gone.
    /// - Throws: `tableNotFound`; `tableNotActive` when it is being dropped already.
    mutating func dropTable(_ name: RelationName) throws(CatalogRejection) -> CommandPayload {
        var table = try require(name)
        guard table.status != .deleting else {
            throw CatalogRejection(.tableNotActive, "table \(name) is being dropped already", field: "table_name")
        }
        table.status = .deleting
        put(table)
        for operation in operations(where: { $0.kind == .createTable(table.id) && $0.phase == .running }) {
            end(operation, as: .aborted, because: "the table was dropped")
        }
        var cleanups: [Cleanup] = []
        for partition in partitions(where: { $0.table == table.id }) {
            if let id = partition.operation, let operation = operation(id) {
                abort(operation, because: "the table was dropped")
            }
            guard var doomed = self.partition(partition.id) else { continue }
            awaited[doomed.id] = nil
            doomed.status = .deleting
            putRaised(doomed)
            cleanups += doomed.replicas.map { Cleanup(node: $0.node, storage: $0.storage, partition: doomed.id) }
        }
        put(
            OperationDescriptor(
                id: operationID, kind: .dropTable(table.id), step: .replicas, epoch: Epoch(1), cleanups: cleanups,
                createdBy: actor, reason: reason, createdAt: now))
        finishDropIfClean(operationID)
        return .table(table.id, operationID)
    }

    /// Forgets a dropped table once no node in reach holds its data. What a failed node still holds stays recorded in the
    /// operation, and is removed when the node returns; the table's name does not wait for it.
    mutating func finishDropIfClean(_ id: OperationID) {
        guard let operation = operation(id), operation.phase == .running, case .dropTable(let tableID) = operation.kind else {
            return
        }
        let mustWait = operation.cleanups.contains { cleanup in
            switch node(cleanup.node)?.status {
            case .healthy, .suspected, .draining: true
            case .failed, .decommissioned, nil: false
            }
        }
        guard !mustWait else { return }
        for partition in partitions(where: { $0.table == tableID }) {
            retire(partition, epoch: partition.epoch.next, children: [])
        }
        for key in base.policies.keys.sorted() where key.table == tableID {
            append(.policyRemoved(key.table, key.principal))
        }
        removeTable(tableID)
        end(operation, as: .succeeded)
    }

    mutating func setCapacity(of name: RelationName, to capacity: Capacity) throws(CatalogRejection) -> CommandPayload {
        var table = try require(name)
        table.capacity = capacity
        put(table)
        return .version(index)
    }
}

/// What a new table must keep to, whoever planned it.
package enum TableRules {
    /// - Throws: `invalidValue`, `splitKeyOutside` or `limitReached`, naming the field.
    package static func check(_ creation: TableCreation) throws(CatalogRejection) {
        try checkColumns(creation)
        try checkReplicas(creation)
        guard creation.placements.count == creation.splitKeys.count + 1,
            creation.placements.count <= Limits.partitionsPerCreate
        else {
            throw CatalogRejection(
                .limitReached, "\(creation.splitKeys.count + 1) partitions; at most \(Limits.partitionsPerCreate) at once",
                field: "partitions")
        }
        var previous = Key.least
        for key in creation.splitKeys {
            guard key > previous else {
                throw CatalogRejection(.splitKeyOutside, "split keys must rise, and differ", field: "split_keys")
            }
            guard key.bytes.count <= Limits.keyBytes else {
                throw CatalogRejection(
                    .limitReached, "a split key is longer than \(Limits.keyBytes) bytes", field: "split_keys")
            }
            previous = key
        }
    }

    private static func checkColumns(_ creation: TableCreation) throws(CatalogRejection) {
        let names = creation.columns.map(\.name)
        guard (1...Limits.columns).contains(names.count) else {
            throw CatalogRejection(.invalidValue, "a table has 1 to \(Limits.columns) columns", field: "schema.attributes")
        }
        guard Set(names).count == names.count else {
            throw CatalogRejection(.invalidValue, "two columns have the same name", field: "schema.attributes")
        }
        guard names.contains(creation.partitionKey) else {
            throw CatalogRejection(.invalidValue, "'\(creation.partitionKey)' is not a column", field: "partition_key")
        }
        if let sortKey = creation.sortKey, !names.contains(sortKey) || sortKey == creation.partitionKey {
            throw CatalogRejection(.invalidValue, "'\(sortKey)' is not another column", field: "sort_key")
        }
    }

    private static func checkReplicas(_ creation: TableCreation) throws(CatalogRejection) {
        guard (1...Limits.replicationFactor).contains(creation.replicationFactor) else {
            throw CatalogRejection(
                .invalidValue, "\(creation.replicationFactor) is not in 1...\(Limits.replicationFactor)",
                field: "replication_factor")
        }
        guard (1...creation.replicationFactor).contains(creation.minInSync) else {
            throw CatalogRejection(
                .invalidValue, "\(creation.minInSync) is not in 1...\(creation.replicationFactor)", field: "min_in_sync")
        }
        for placement in creation.placements {
            guard placement.nodes.contains(placement.primary), Set(placement.nodes).count == placement.nodes.count,
                placement.nodes.count == creation.replicationFactor
            else {
                throw CatalogRejection(
                    .notEnoughNodes,
                    "a partition is placed on \(placement.nodes.count) nodes, not \(creation.replicationFactor)",
                    field: "replication_factor")
            }
        }
    }
}
