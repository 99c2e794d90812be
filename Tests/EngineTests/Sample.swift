import Engine
import Foundation
import KeyEncoding
import LogStorage
import Model

/// A table of every type, its rows, and a folder that goes away.
struct Sample {
    let folder: URL
    let table: TableDescriptor
    let engine: SQLiteEngine

    static let partition = PartitionID(7)
    static let storage = StorageID(7)

    init(in folder: String? = nil, onDiskFailure: DiskFailureResponse = .endProcess) throws {
        let temporary = FileManager.default.temporaryDirectory.appending(path: "engine-\(UUID().uuidString)")
        self.folder = folder.map { URL(filePath: $0) } ?? temporary
        table = try Self.table()
        engine = SQLiteEngine(folder: self.folder.path, onDiskFailure: onDiskFailure)
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    static func table(id: UInt64 = 1, name: String = "order") throws -> TableDescriptor {
        TableDescriptor(
            id: TableID(id), name: try RelationName(name),
            columns: [
                Column(name: try RelationName("name"), type: .text), Column(name: try RelationName("group"), type: .integer),
                Column(name: try RelationName("payload"), type: .bytes), Column(name: try RelationName("good"), type: .boolean),
                Column(name: try RelationName("weight"), type: .double), Column(name: try RelationName("at"), type: .timestamp),
            ], partitionKey: try RelationName("group"), sortKey: try RelationName("name"), replicationFactor: 1, minInSync: 1,
            status: .active, capacity: Capacity(mode: .onDemand), createdAt: WallTime(milliseconds: 0))
    }

    var shape: RowShape { RowShape(table) }

    func values(_ number: Int, bytes: Int = 40) -> [Value] {
        [
            .text("row-\(number)"), .integer(Int64(number)),
            number % 5 == 0 ? .null : .bytes([UInt8](repeating: UInt8(number & 0xFF), count: bytes)),
            .boolean(number % 2 == 0), .double(Double(number) / 4), .timestamp(Int64(number) * 1_000_000),
        ]
    }

    func key(_ number: Int) throws -> Key { try shape.key(of: values(number)) }

    func put(_ number: Int, bytes: Int = 40) throws -> Mutation {
        .put(key: try key(number), values: values(number, bytes: bytes))
    }

    func entry(_ sequence: Int, _ mutations: [Mutation], epoch: UInt64 = 1) -> CommittedEntry {
        CommittedEntry(position: position(sequence, epoch: epoch), checksum: UInt32(sequence * 3), mutations: mutations)
    }

    func position(_ sequence: Int, epoch: UInt64 = 1) -> Position {
        Position(epoch: Epoch(epoch), run: 1, sequence: UInt64(sequence))
    }

    static var fresh: PartitionState { PartitionState(partition: partition, range: .all, applied: .zero, checksum: 0) }

    /// An open engine with one storage that holds `count` rows, one entry for each hundred.
    func filled(_ count: Int) async throws {
        _ = try await engine.open()
        try await engine.create(Self.storage, for: table, holding: Self.fresh)
        var entries: [CommittedEntry] = []
        for start in stride(from: 0, to: count, by: 100) {
            entries.append(entry(start / 100 + 1, try (start..<min(start + 100, count)).map { try put($0) }))
        }
        try await engine.apply(entries, to: Self.partition, in: Self.storage)
    }
}
