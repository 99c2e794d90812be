package import Model

// Where does key k live? A compiled, immutable form of the topology: per table its partitions in key order and the lower bounds of
// their ranges, so that a look-up is one hash of the table's name and one search.
//
// A routing table is shared by reading; a new one is made of the old, and of a table that changed only what the change touches is compiled.

/// A routing table at one revision (rules T1, T4). Look-ups take no lock, wait for nothing and allocate nothing.
package final class Routes: Sendable {
    /// Everything that was compiled.
    package let topology: Topology
    private let byName: [RelationName: TableRoutes]
    private let byID: [TableID: TableRoutes]

    /// The table of a node that has never heard of any topology.
    package static let empty = Routes(Topology(), [:])

    private init(_ topology: Topology, _ tables: [TableID: TableRoutes]) {
        self.topology = topology
        byID = tables
        byName = Dictionary(tables.values.map { ($0.table.name, $0) }) { $1 }
    }

    /// - Throws: `Defect` when a table that is in use has a gap or an overlap (rule M8).
    package convenience init(_ topology: Topology) throws(Defect) {
        let partitions = Dictionary(grouping: topology.partitions.values, by: \.table)
        var tables: [TableID: TableRoutes] = [:]
        for (id, table) in topology.tables.sorted(by: { $0.key < $1.key }) {
            tables[id] = try TableRoutes(table, partitions: partitions[id] ?? [])
        }
        self.init(topology, tables)
    }

    /// The routing table of `newer`. Where `deltas` lead from here to there, it takes what they do not touch over as it is.
    ///
    /// - Throws: `Defect` for tables with gaps or overlaps.
    package func followed(by newer: Topology, after deltas: [TopologyDelta]) throws(Defect) -> Routes {
        var reached = revision
        for delta in deltas where delta.from == reached { reached = delta.to }
        guard reached == newer.revision else { return try Routes(newer) }
        var tables = byID
        for (id, touched) in touched(by: deltas).sorted(by: { $0.key < $1.key }) {
            guard let table = newer.tables[id] else {
                tables[id] = nil
                continue
            }
            guard let old = tables[id] else {
                // Its partitions may have been known before it.
                tables[id] = try TableRoutes(table, partitions: newer.partitions(of: id))
                continue
            }
            let gone = touched.compactMap { topology.partitions[$0] }.filter { $0.table == id }
            let new = touched.compactMap { newer.partitions[$0] }.filter { $0.table == id }
            tables[id] = try old.replacing(gone, by: new, as: table)
        }
        return Routes(newer, tables)
    }

    /// The partitions that came, changed or went, by table; a table of which nothing else changed has none.
    private func touched(by deltas: [TopologyDelta]) -> [TableID: Set<PartitionID>] {
        var touched: [TableID: Set<PartitionID>] = [:]
        for change in deltas.lazy.flatMap(\.changes) {
            switch change {
            case .table(let table): touched[table.id, default: []].formUnion([])
            case .tableRemoved(let id): touched[id, default: []].formUnion([])
            case .partition(let partition): touched[partition.table, default: []].insert(partition.id)
            case .partitionRetired(let id, _, _):
                if let table = topology.partitions[id]?.table { touched[table, default: []].insert(id) }
            case .node, .nodeRemoved, .operation, .operationRemoved, .signingKey, .signingKeyRemoved, .tokenRevoked,
                .tokenForgotten, .policy, .policyRemoved, .configuration, .configurationRemoved, .gossipKeys:
                break
            }
        }
        return touched
    }

    package var revision: Revision { topology.revision }

    // MARK: Look-ups

    /// Where a key lives: a place in a compiled table, so that finding it copies no descriptor.
    package struct Route: Sendable {
        private let owner: TableRoutes
        private let index: Int

        init(_ owner: TableRoutes, _ index: Int) {
            self.owner = owner
            self.index = index
        }

        package var table: TableDescriptor { owner.table }
        package var partition: PartitionDescriptor { owner.partitions[index] }
    }

    package func route(_ table: RelationName, _ key: Key) -> Route? { byName[table]?.route(key) }
    package func route(_ table: TableID, _ key: Key) -> Route? { byID[table]?.route(key) }

    /// A table and its partitions in key order.
    package func table(_ name: RelationName) -> TableRoutes? { byName[name] }
    package func table(_ id: TableID) -> TableRoutes? { byID[id] }

    package func partition(_ id: PartitionID) -> PartitionDescriptor? { topology.partitions[id] }
    package func retired(_ id: PartitionID) -> RetiredPartition? { topology.retired[id] }
    /// What a partition has become, if that is one other: after a merge.
    package func heir(of id: PartitionID) -> PartitionDescriptor? {
        var next = id
        // Each has a later number than those that it came out of, so this ends.
        while let retired = topology.retired[next], retired.children.count == 1, retired.children[0] > next {
            next = retired.children[0]
        }
        return next == id ? nil : topology.partitions[next]
    }
    package func node(_ id: NodeID) -> NodeDescriptor? { topology.nodes[id] }

    /// The partitions of `table` that hold a part of `range`, in key order.
    package func partitions(of table: RelationName, in range: KeyRange) -> ArraySlice<PartitionDescriptor> {
        byName[table]?.overlapping(range) ?? []
    }
}

/// Why a topology cannot be a routing table (rule M8).
package enum Defect: Error, Hashable, Sendable {
    /// Keys from `upTo` of the partition before (the least key when there is none) to `from` belong to nobody.
    case gap(TableID, upTo: Key, from: Key?)
    case overlap(TableID, PartitionID, PartitionID)
}
