import Model
import RoutingTable

/// Look-ups in a compiled routing table, one thread.
enum RouteBench {
    static func run(full: Bool) throws -> [BenchRow] {
        let count = full ? 100_000 : 10_000
        let routes = try Routes(try topology(partitions: count))
        let name = try RelationName("usertable")
        var generator = SeededGenerator(seed: 1)
        let keys = (0..<4_096).map { _ in key(UInt64.random(in: 0 ... .max, using: &generator)) }
        let rate = medianRate(rounds: 5) {
            for _ in 0..<100 { for key in keys { keep(routes.route(name, key)) } }
            return 100 * keys.count
        }
        return [
            BenchRow(bench: "route", row: "look-ups, \(count) partitions", unit: "1/s", ours: rate, goal: 4_000_000),
            BenchRow(bench: "route", row: "one look-up, \(count) partitions", unit: "ns", ours: 1e9 / rate, goal: 250),
        ]
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
                    id: PartitionID(madeAt: 1, ordinal: index % 65_536), table: table.id, range: KeyRange(low: low, high: high),
                    epoch: Epoch(1), primary: node, replicas: replicas, status: .active))
        }
        return Topology(revision: Revision(history: 1, index: 1), changes: [.table(table)] + partitions)
    }
}
