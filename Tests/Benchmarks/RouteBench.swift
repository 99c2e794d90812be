import Model
import RoutingTable

/// Look-ups in a compiled routing table, one thread.
enum RouteBench {
    static func run(_ settings: BenchSettings, report: Benchmarks.Report) async throws {
        let count = settings.full ? 100_000 : 10_000
        let routes = try Routes(try topology(partitions: count))
        let name = try RelationName("usertable")
        var generator = SeededGenerator(seed: 1)
        let numbers = (0..<4_096).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
        let keys = numbers.map(key)
        let step = UInt64.max / UInt64(count)
        let bounds = (0..<count).map { UInt64($0) * step }
        let (turns, rounds) = (100, settings.rounds + 2)
        var (ours, peer) = (Samples(), Samples())
        for _ in 0..<rounds {
            ours.add(
                rates(rounds: 1) {
                    for _ in 0..<turns { for key in keys { keep(routes.route(name, key)) } }
                    return turns * keys.count
                })
            peer.add(
                rates(rounds: 1) {
                    for _ in 0..<turns { for number in numbers { keep(place(of: number, in: bounds)) } }
                    return turns * numbers.count
                })
        }
        report(
            BenchRow(
                bench: "route", row: "look-ups, \(count) partitions, one thread", unit: "1/s", of: ours, peer: peer,
                peerName: "binary search of as many integers"))
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

    private static func topology(partitions count: Int) throws -> Topology {
        let node = try NodeID("n1")
        let column = Column(name: try RelationName("id"), type: .integer)
        let table = TableDescriptor(
            id: TableID(1), name: try RelationName("usertable"), columns: [column], partitionKey: column.name, sortKey: nil,
            replicationFactor: 3, minInSync: 2, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        let replicas = try (1...3).map {
            ReplicaDescriptor(node: try NodeID("n\($0)"), store: StoreID(UInt64($0)), storage: StorageID(1), role: .inSync)
        }
        let step = UInt64.max / UInt64(count)
        let partitions = (0..<count).map { index -> TopologyChange in
            let low = index == 0 ? Key.least : key(UInt64(index) * step)
            let high = index + 1 == count ? nil : key(UInt64(index + 1) * step)
            return .partition(
                PartitionDescriptor(
                    id: PartitionID(madeAt: 1 + UInt64(index / 65_536), ordinal: index % 65_536), table: table.id,
                    range: KeyRange(low: low, high: high),
                    epoch: Epoch(1), primary: node, replicas: replicas, status: .active))
        }
        return Topology(revision: Revision(history: 1, index: 1), changes: [.table(table)] + partitions)
    }
}
