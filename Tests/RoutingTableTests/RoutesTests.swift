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
            // Now and then more than three levels of groups of eight can hold.
            for _ in 0..<Int.random(in: 0...(round % 10 == 9 ? 600 : 40), using: &generator) {
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

    @Test("keys that all bounds share a long beginning with, and keys before and behind those, are found")
    func sharedBeginnings() throws {
        let head = Array("a long beginning of all keys".utf8)
        let bounds = (0..<300).map { head + [UInt8($0 / 256), UInt8($0 % 256)] }
        let routes = try Routes(try topology(try cut(at: bounds)))
        func place(_ key: [UInt8]) -> UInt64? { routes.route(TableID(1), Key(key))?.partition.id.number }
        for (index, bound) in bounds.enumerated() {
            #expect(place(bound) == 100_001 + UInt64(index))
            #expect(place(bound + [0]) == 100_001 + UInt64(index))
        }
        let before: [[UInt8]] = [[], [0], Array(head.dropLast()), head, head + [0]]
        for key in before { #expect(place(key) == 100_000) }
        let behind: [[UInt8]] = [head + [1, 44], head + [255], head.dropLast() + [255], [255]]
        for key in behind { #expect(place(key) == 100_300) }
    }

    @Test("bounds of the greatest bytes are no filling")
    func greatestBytes() throws {
        let bounds = (8...40).map { Array(repeating: UInt8(255), count: $0) }
        let routes = try Routes(try topology(try cut(at: [[1]] + bounds)))
        func place(_ key: [UInt8]) -> UInt64? { routes.route(TableID(1), Key(key))?.partition.id.number }
        for (index, bound) in bounds.enumerated() { #expect(place(bound) == 100_002 + UInt64(index)) }
        #expect(place(Array(repeating: 255, count: 7)) == 100_001)
        #expect(place(Array(repeating: 255, count: 50)) == 100_034)
    }

    /// Something that can happen to a topology.
    private func change(
        _ topology: Topology, _ number: inout UInt64, using generator: inout SeededGenerator
    ) throws -> [TopologyChange] {
        number += 3
        let id = UInt64.random(in: 1...3, using: &generator)
        guard let table = topology.tables[TableID(id)] else {
            // A cut one that was not there, or was there and is gone.
            let bounds = Set((0..<20).map { _ in randomKey(using: &generator) }).subtracting([[]])
            let lows = [[]] + bounds.sorted { $0.lexicographicallyPrecedes($1) }
            number += UInt64(lows.count)
            return try [.table(self.table(id, "t\(id)"))]
                + lows.indices.map { index in
                    .partition(
                        try partition(
                            number - UInt64(index), of: id, lows[index], index + 1 < lows.count ? lows[index + 1] : nil))
                }
        }
        let all = topology.partitions(of: table.id)
        guard let place = all.indices.randomElement(using: &generator) else { return [.tableRemoved(table.id)] }
        let one = all[place]
        if table.status == .deleting { return [.partitionRetired(one.id, epoch: one.epoch, children: [])] }
        switch Int.random(in: 0..<20, using: &generator) {
        case 0: return [.table(try self.table(id, "t\(id)", status: .deleting))]
        case 1: return [.node(try node(Int(number)))]
        case 2..<7:
            guard place > 0 else { return [] }
            let merged = try partition(number, of: id, all[place - 1].range.low.bytes, one.range.high?.bytes)
            return [
                .partitionRetired(all[place - 1].id, epoch: Epoch(1), children: [merged.id]),
                .partitionRetired(one.id, epoch: Epoch(1), children: [merged.id]), .partition(merged),
            ]
        case 7..<15:
            let key = randomKey(using: &generator)
            guard one.range.split(at: Key(key)) != nil else { return [] }
            let lower = try partition(number, of: id, one.range.low.bytes, key)
            let upper = try partition(number + 1, of: id, key, one.range.high?.bytes)
            let children = [lower.id, upper.id]
            return [
                .partitionRetired(one.id, epoch: Epoch(1), children: children), .partition(lower), .partition(upper),
            ]
        default:
            var changed = one
            changed.epoch = one.epoch.next
            return [.partition(changed)]
        }
    }

    private func expectEqual(_ routes: Routes, _ expected: Routes, _ keys: [[UInt8]], _ place: Comment) throws {
        #expect(routes.topology == expected.topology, place)
        for id in UInt64(1)...3 {
            let name = try RelationName("t\(id)")
            #expect(routes.table(TableID(id))?.partitions == expected.table(TableID(id))?.partitions, place)
            #expect(routes.table(name)?.table == expected.topology.tables[TableID(id)], place)
            let all = expected.topology.partitions(of: TableID(id))
            for key in keys {
                #expect(routes.route(name, Key(key))?.partition == all.first { $0.range.contains(Key(key)) }, place)
            }
        }
    }

    @Test("deltas, however many at once, lead to the routes of the topology that they lead to", arguments: 1...8)
    func deltas(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var topology = try topology([])
        var routes = try Routes(topology)
        var number: UInt64 = 1_000
        for step in 0..<60 {
            var deltas: [TopologyDelta] = []
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let next = Revision(history: 1, index: topology.revision.index + 1)
                let changes = try change(topology, &number, using: &generator)
                let delta = TopologyDelta(from: topology.revision, to: next, changes: changes)
                try topology.apply(delta)
                deltas.append(delta)
            }
            routes = try routes.followed(by: topology, after: deltas)
            let lows = topology.partitions.values.map(\.range.low.bytes).prefix(20)
            let keys = [[]] + lows + lows.map { $0 + [0] } + (0..<5).map { _ in randomKey(using: &generator) }
            try expectEqual(routes, try Routes(topology), keys, "step \(step)")
        }
    }

    @Test("a topology to which no deltas lead is compiled as a whole")
    func withoutDeltas() throws {
        let old = try topology(try cut(at: [[10], [20]], name: "t1"))
        var newer = old
        let changes: [TopologyChange] = [
            .partitionRetired(PartitionID(100_001), epoch: Epoch(2), children: [PartitionID(7), PartitionID(8)]),
            .partition(try partition(7, of: 1, [10], [15])), .partition(try partition(8, of: 1, [15], [20])),
        ]
        let delta = TopologyDelta(from: old.revision, to: Revision(history: 1, index: 6), changes: changes)
        let last = TopologyDelta(from: delta.to, to: Revision(history: 1, index: 7), changes: [])
        try newer.apply(delta)
        try newer.apply(last)
        for deltas in [[], [delta], [last]] {
            try expectEqual(
                try Routes(old).followed(by: newer, after: deltas), try Routes(newer), [[9], [14], [15], [30]], "\(deltas)")
        }
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

    @Test("what leaves a gap or an overlap is refused after a delta as it is in a whole topology")
    func badDeltas() throws {
        let old = try topology(try cut(at: [[10], [20], [30]]))
        let routes = try Routes(old)
        func gone(_ id: UInt64) -> TopologyChange { .partitionRetired(PartitionID(id), epoch: Epoch(2), children: []) }
        let bad: [[TopologyChange]] = [
            [gone(100_000)], [gone(100_001)], [gone(100_003)], [gone(100_000), gone(100_001), gone(100_002), gone(100_003)],
            [gone(100_001), .partition(try partition(7, of: 1, [10], [19]))],
            [gone(100_001), .partition(try partition(7, of: 1, [11], [20]))],
            [gone(100_001), .partition(try partition(7, of: 1, [10], [21]))],
            [gone(100_001), .partition(try partition(7, of: 1, [9], [20]))],
            [gone(100_003), .partition(try partition(7, of: 1, [30], [40]))],
            [gone(100_000), .partition(try partition(7, of: 1, [5], [10]))],
        ]
        for changes in bad {
            let delta = TopologyDelta(from: old.revision, to: Revision(history: 1, index: 9), changes: changes)
            var newer = old
            try newer.apply(delta)
            let defect = try #require(throws: Defect.self) { try Routes(newer) }
            #expect(throws: defect) { try routes.followed(by: newer, after: [delta]) }
        }
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
