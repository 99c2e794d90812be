import Model
import RoutingTable
import Testing

@Suite struct RoutesTests {
    private func node(_ index: Int) throws -> NodeDescriptor {
        NodeDescriptor(
            id: try NodeID("n\(index)"), store: StoreID(UInt64(index)), session: SessionID(1), generation: Generation(1),
            zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "g:\(index)", link: "l:\(index)", service: "s:\(index)"),
            status: .healthy)
    }

    private func table(_ id: UInt64, _ name: String, status: TableStatus = .active) throws -> TableDescriptor {
        let key = try RelationName("id")
        return TableDescriptor(
            id: TableID(id), name: try RelationName(name), columns: [Column(name: key, type: .bytes)], partitionKey: key,
            sortKey: nil, replicationFactor: 1, minInSync: 1, status: status, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
    }

    private func partition(_ id: UInt64, of table: UInt64, _ low: [UInt8], _ high: [UInt8]?) throws -> PartitionDescriptor {
        PartitionDescriptor(
            id: PartitionID(id), table: TableID(table), range: KeyRange(low: Key(low), high: high.map { Key($0) }),
            epoch: Epoch(1), primary: try NodeID("n1"),
            replicas: [
                ReplicaDescriptor(node: try NodeID("n1"), store: StoreID(1), storage: StorageID(id), role: .inSync)
            ], status: .active)
    }

    private func topology(_ changes: [TopologyChange], index: UInt64 = 5) throws -> Topology {
        Topology(revision: Revision(history: 1, index: index), changes: [.node(try node(1))] + changes)
    }

    /// A table cut at `bounds`.
    private func cut(at bounds: [[UInt8]], table id: UInt64 = 1, name: String = "t") throws -> [TopologyChange] {
        let lows = [[]] + bounds
        let partitions = try lows.indices.map { index in
            try partition(UInt64(index) + id * 100_000, of: id, lows[index], index + 1 < lows.count ? lows[index + 1] : nil)
        }
        return [.table(try table(id, name))] + partitions.map { .partition($0) }
    }

    @Test("every key is found in the one partition that contains it, as a naive search finds it")
    func oracle() throws {
        var generator = SeededGenerator(seed: 5)
        for round in 0..<60 {
            var bounds: Set<[UInt8]> = []
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                bounds.insert(randomKey(using: &generator))
            }
            bounds.remove([])
            let sorted = bounds.sorted { $0.lexicographicallyPrecedes($1) }
            let topology = try topology(try cut(at: sorted))
            let routes = try Routes(topology)
            let name = try RelationName("t")
            let probes =
                sorted + sorted.map { $0 + [0] } + sorted.map { Array($0.dropLast()) }
                + (0..<50).map { _ in randomKey(using: &generator) }
            for bytes in probes {
                let key = Key(bytes)
                let expected = topology.partitions.values.filter { $0.range.contains(key) }
                #expect(expected.count == 1)
                #expect(routes.route(name, key)?.partition == expected.first, "round \(round), key \(key)")
                #expect(routes.route(TableID(1), key)?.partition == expected.first)
            }
        }
    }

    @Test("the partitions of a range are those that overlap it, in key order")
    func ranges() throws {
        var generator = SeededGenerator(seed: 6)
        let bounds = Set((0..<30).map { _ in randomKey(using: &generator) }).subtracting([[]]).sorted {
            $0.lexicographicallyPrecedes($1)
        }
        let topology = try topology(try cut(at: bounds))
        let routes = try Routes(topology)
        for _ in 0..<500 {
            let low = Key(randomKey(using: &generator))
            let high = Bool.random(using: &generator) ? nil : Key(randomKey(using: &generator))
            guard let range = KeyRange(checkingLow: low, high: high) else { continue }
            let expected = topology.partitions(of: TableID(1)).filter { $0.range.overlaps(range) }
            #expect(Array(routes.partitions(of: try RelationName("t"), in: range)) == expected)
        }
    }

    private func randomKey(using generator: inout SeededGenerator) -> [UInt8] {
        // Few values and long common beginnings, so that bounds tie on their first eight bytes.
        let head = Array(repeating: UInt8(7), count: Int.random(in: 0...10, using: &generator))
        return head + (0..<Int.random(in: 0...3, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    @Test("gaps and overlaps are refused with the place at fault")
    func defects() throws {
        func build(_ partitions: [PartitionDescriptor]) throws -> Defect? {
            let topology = try topology([.table(try table(1, "t"))] + partitions.map { .partition($0) })
            do throws(Defect) {
                _ = try Routes(topology)
                return nil
            } catch { return error }
        }
        #expect(try build([]) == .gap(TableID(1), upTo: .least, from: nil))
        #expect(try build([try partition(1, of: 1, [1], nil)]) == .gap(TableID(1), upTo: .least, from: Key([1])))
        #expect(try build([try partition(1, of: 1, [], [9])]) == .gap(TableID(1), upTo: Key([9]), from: nil))
        #expect(
            try build([try partition(1, of: 1, [], [3]), try partition(2, of: 1, [4], nil)])
                == .gap(TableID(1), upTo: Key([3]), from: Key([4])))
        #expect(
            try build([try partition(1, of: 1, [], [5]), try partition(2, of: 1, [4], nil)])
                == .overlap(TableID(1), PartitionID(1), PartitionID(2)))
    }

    @Test("a delta compiles to the same table as the topology that it leads to")
    func deltas() throws {
        var topology = try topology(try cut(at: [[10], [20]]) + (try cut(at: [[50]], table: 2, name: "other")))
        var routes = try Routes(topology)
        // A split of the middle partition, as one delta.
        let parent = PartitionID(100_001)
        let delta = TopologyDelta(
            from: topology.revision, to: Revision(history: 1, index: 6),
            changes: [
                .partitionRetired(parent, epoch: Epoch(2), children: [PartitionID(7), PartitionID(8)]),
                .partition(try partition(7, of: 1, [10], [15])), .partition(try partition(8, of: 1, [15], [20])),
            ])
        routes = try routes.applying(delta)
        try topology.apply(delta)
        #expect(routes.topology == topology)
        #expect(routes.route(try RelationName("t"), Key([14]))?.partition.id == PartitionID(7))
        #expect(routes.route(try RelationName("t"), Key([15]))?.partition.id == PartitionID(8))
        #expect(routes.route(try RelationName("other"), Key([60]))?.partition.id == PartitionID(200_001))
        #expect(routes.retired(parent)?.children == [PartitionID(7), PartitionID(8)])
        #expect(throws: UpdateError.rejected(.notForward(have: topology.revision, to: delta.to))) { try routes.applying(delta) }
    }

    @Test("what was merged has one heir, however often it was; what was split, and what lives, has none")
    func heirs() throws {
        var topology = try topology(try cut(at: [[10], [20]]))
        let (first, second, third) = (PartitionID(100_000), PartitionID(100_001), PartitionID(100_002))
        let (once, twice) = (PartitionID(200_000), PartitionID(200_001))
        func retired(_ id: PartitionID, _ children: PartitionID...) -> TopologyChange {
            .partitionRetired(id, epoch: Epoch(2), children: children)
        }
        let steps: [[TopologyChange]] = [
            [retired(first, once), retired(second, once), .partition(try partition(200_000, of: 1, [], [20]))],
            [retired(once, twice), retired(third, twice), .partition(try partition(200_001, of: 1, [], nil))],
        ]
        for changes in steps {
            let next = Revision(history: 1, index: topology.revision.index + 1)
            try topology.apply(TopologyDelta(from: topology.revision, to: next, changes: changes))
        }
        let routes = try Routes(topology)
        for id in [first, second, third, once] { #expect(routes.heir(of: id)?.id == twice) }
        #expect(routes.heir(of: twice) == nil && routes.heir(of: PartitionID(5)) == nil)
        let halves = [
            retired(twice, PartitionID(200_002), PartitionID(200_003)),
            .partition(try partition(200_002, of: 1, [], [9])), .partition(try partition(200_003, of: 1, [9], nil)),
        ]
        let next = Revision(history: 1, index: topology.revision.index + 1)
        try topology.apply(TopologyDelta(from: topology.revision, to: next, changes: halves))
        #expect(try Routes(topology).heir(of: first) == nil)
    }

    @Test("a delta that would leave a gap is refused, and the old table stays")
    func badDelta() throws {
        let routes = try Routes(try topology(try cut(at: [[10]])))
        let delta = TopologyDelta(
            from: routes.revision, to: Revision(history: 1, index: 9),
            changes: [.partitionRetired(PartitionID(100_000), epoch: Epoch(2), children: [])])
        #expect(throws: UpdateError.defect(.gap(TableID(1), upTo: .least, from: Key([10])))) { try routes.applying(delta) }
    }

    @Test("an older or an empty snapshot never takes the place of a table")
    func snapshots() throws {
        let routes = try Routes(try topology(try cut(at: [[10]])))
        let older = try topology(try cut(at: []), index: 4)
        #expect(throws: UpdateError.rejected(.notForward(have: routes.revision, to: older.revision))) {
            try routes.replaced(by: older)
        }
        let empty = Topology(revision: Revision(history: 2, index: 1))
        #expect(throws: UpdateError.smaller(have: routes.revision, to: empty.revision)) { try routes.replaced(by: empty) }
        let newer = try topology(try cut(at: [[10], [12]]), index: 40)
        #expect(try routes.replaced(by: newer).revision == newer.revision)
    }

    @Test("a table that is being dropped may lose its partitions one by one")
    func dropping() throws {
        let topology = try topology([
            .table(try table(1, "t", status: .deleting)), .partition(try partition(2, of: 1, [10], [20])),
        ])
        let routes = try Routes(topology)
        #expect(routes.route(TableID(1), Key([5])) == nil)
        #expect(routes.route(TableID(1), Key([15]))?.partition.id == PartitionID(2))
        #expect(routes.route(TableID(1), Key([25])) == nil)
    }
}
