package import Model

// Where does key k live? A compiled, immutable form of the topology: per table the lower bounds of its partitions, sorted, so that a
// look-up is one hash of the table's name and one binary search. The bounds' first eight bytes stand in an array of numbers of
// their own: nearly all comparisons of a search touch nothing else, whatever the keys are.
//
// A value is shared by reading; a new one is made of the old by a delta, which compiles only the tables that it touches.

/// A routing table at one revision (rules T1, T4). Look-ups take no lock, wait for nothing and allocate nothing.
package struct Routes: Sendable {
    /// Everything that was compiled; also the base of the next delta.
    package let topology: Topology
    private let byName: [RelationName: TableRoutes]
    private let byID: [TableID: TableRoutes]

    /// The table of a node that has never heard of any topology.
    package static let empty = Routes()

    private init() {
        topology = Topology()
        byName = [:]
        byID = [:]
    }

    /// - Throws: `Defect` when a table that is in use has a gap or an overlap (rule M8).
    package init(_ topology: Topology) throws(Defect) {
        try self.init(topology, reusing: .empty, except: nil)
    }

    /// The table after `delta`; compiles only what the delta touches.
    ///
    /// - Throws: `.notForward` and `.gap` as `Topology.apply` does, `Defect` for tables with gaps or overlaps; nothing has changed.
    package func applying(_ delta: TopologyDelta) throws(UpdateError) -> Routes {
        var next = topology
        do throws(Topology.Rejection) {
            try next.apply(delta)
        } catch {
            throw .rejected(error)
        }
        var touched: Set<TableID> = []
        for change in delta.changes {
            switch change {
            case .table(let table): touched.insert(table.id)
            case .tableRemoved(let id): touched.insert(id)
            case .partition(let partition): touched.insert(partition.table)
            case .partitionRetired(let id, _, _):
                if let table = topology.partitions[id]?.table { touched.insert(table) }
            case .node, .nodeRemoved, .operation, .operationRemoved, .signingKey, .signingKeyRemoved, .tokenRevoked,
                .tokenForgotten, .policy, .policyRemoved, .configuration, .configurationRemoved, .gossipKeys:
                break
            }
        }
        do throws(Defect) {
            return try Routes(next, reusing: self, except: touched)
        } catch {
            throw .defect(error)
        }
    }

    /// The table of a snapshot in place of this one.
    ///
    /// - Throws: `.notForward` when the snapshot is older or of an older history, `.smaller` when it is empty and this one is not
    ///   (rule T3), or a `Defect`.
    package func replaced(by snapshot: Topology) throws(UpdateError) -> Routes {
        guard snapshot.revision >= revision else {
            throw .rejected(.notForward(have: revision, to: snapshot.revision))
        }
        // Tables come and go by deltas, but a cluster never loses all its nodes: such a snapshot is somebody's empty disk.
        guard !snapshot.nodes.isEmpty || topology.nodes.isEmpty else { throw .smaller(have: revision, to: snapshot.revision) }
        do throws(Defect) {
            return try Routes(snapshot)
        } catch {
            throw .defect(error)
        }
    }

    private init(_ topology: Topology, reusing old: Routes, except touched: Set<TableID>?) throws(Defect) {
        var partitions: [TableID: [PartitionDescriptor]] = [:]
        for partition in topology.partitions.values where touched?.contains(partition.table) ?? true {
            partitions[partition.table, default: []].append(partition)
        }
        var byID: [TableID: TableRoutes] = [:]
        var byName: [RelationName: TableRoutes] = [:]
        for table in topology.tables.values {
            let routes: TableRoutes
            if let touched, !touched.contains(table.id), let kept = old.byID[table.id] {
                routes = kept
            } else {
                routes = try TableRoutes(table, partitions: partitions[table.id] ?? [])
            }
            byID[table.id] = routes
            byName[table.name] = routes
        }
        self.topology = topology
        self.byID = byID
        self.byName = byName
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

/// Why an update was refused; the old table stays.
package enum UpdateError: Error, Hashable, Sendable {
    case rejected(Topology.Rejection)
    case defect(Defect)
    case smaller(have: Revision, to: Revision)
}
