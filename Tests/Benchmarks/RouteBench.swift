import CMalloc
import Model
import RoutingTable

/// A compiled routing table of many partitions: how long a look-up takes, one thread, and what memory a partition needs.
enum RouteBench {
    /// So many different keys that at a million partitions they do not find all that they need in the processor's cache.
    private static let samples = 1 << 18

    static func run(_ settings: BenchSettings, report: Benchmarks.Report) async throws {
        for (count, nanoseconds) in [(10_000, 100.0), (1_000_000, 250.0)] {
            try measure(count, nanoseconds, rounds: settings.rounds + 2, report)
        }
    }

    private static func measure(_ count: Int, _ nanoseconds: Double, rounds: Int, _ report: Benchmarks.Report) throws {
        let step = UInt64.max / UInt64(count)
        // Shared by all that holds them from here on, so that what is counted below is the rest.
        let bounds = (1..<count).map { key(UInt64($0) * step) }
        let empty = heapBytes()
        let topology = try topology(cutAt: bounds)
        let described = heapBytes()
        let routes = try Routes(topology)
        let compiled = heapBytes()
        let name = try RelationName("usertable")
        var generator = SeededGenerator(seed: 1)
        let numbers = (0..<samples).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
        let keys = numbers.map(key)
        let integers = (0..<count).map { UInt64($0) * step }
        let turns = 4
        var (ours, peer) = (Samples(), Samples())
        for _ in 0..<rounds {
            ours.add(
                1e9
                    * seconds(forEachOf: turns * keys.count) {
                        for _ in 0..<turns { for key in keys { keep(routes.route(name, key)) } }
                    })
            peer.add(
                1e9
                    * seconds(forEachOf: turns * keys.count) {
                        for _ in 0..<turns { for number in numbers { keep(place(of: number, in: integers)) } }
                    })
        }
        report(
            BenchRow(
                bench: "route", row: "look-up, \(count) partitions, one thread", unit: "ns", of: ours, peer: peer,
                peerName: "binary search of as many integers", ask: .atMost(nanoseconds)))
        let each = { (bytes: Int) in Double(bytes) / Double(count) }
        report(
            BenchRow(
                bench: "route", row: "what look-ups need beyond the keys, each of \(count)", unit: "B",
                ours: each(compiled - described), ask: .atMost(64)))
        report(
            BenchRow(
                bench: "route", row: "the descriptors beside it, each of \(count)", unit: "B", ours: each(described - empty),
                note: "three replicas, without their keys"))
    }

    /// Bytes of this process's heap that are in use.
    private static func heapBytes() -> Int {
        let figures = mallinfo2()
        return Int(figures.uordblks + figures.hblkhd)
    }

    /// What cannot be avoided: finding a number among sorted ones.
    private static func place(of number: UInt64, in bounds: [UInt64]) -> Int {
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] <= number { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    private static func key(_ number: UInt64) -> Key {
        Key((0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) })
    }

    /// A table whose partitions meet at `bounds`.
    private static func topology(cutAt bounds: [Key]) throws -> Topology {
        let node = try NodeID("n1")
        let column = Column(name: try RelationName("id"), type: .integer)
        let table = TableDescriptor(
            id: TableID(1), name: try RelationName("usertable"), columns: [column], partitionKey: column.name, sortKey: nil,
            replicationFactor: 3, minInSync: 2, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        let nodes = try (1...3).map { try NodeID("n\($0)") }
        let partitions = (0...bounds.count).map { index -> TopologyChange in
            // Each has an array of its own, as each that comes over the network has.
            let replicas = nodes.enumerated().map { number, node in
                ReplicaDescriptor(node: node, store: StoreID(UInt64(number + 1)), storage: StorageID(1), role: .inSync)
            }
            let low = index == 0 ? Key.least : bounds[index - 1]
            let high = index == bounds.count ? nil : bounds[index]
            return .partition(
                PartitionDescriptor(
                    id: PartitionID(madeAt: 1 + UInt64(index / 65_536), ordinal: index % 65_536), table: table.id,
                    range: KeyRange(low: low, high: high),
                    epoch: Epoch(1), primary: node, replicas: replicas, status: .active))
        }
        return Topology(revision: Revision(history: 1, index: 1), changes: [.table(table)] + partitions)
    }
}
