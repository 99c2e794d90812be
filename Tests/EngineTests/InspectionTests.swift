import Engine
import Foundation
import Model
import Testing

/// Looking for damage on the disk before anybody reads it, and what becomes of a storage in which some is found.
@Suite(.timeLimit(.minutes(5))) struct InspectionTests {
    private let storage = Sample.storage

    /// Every page of the file.
    private func damagedPages(_ engine: SQLiteEngine) async throws -> [UInt64] {
        var (page, damaged) = (UInt64(1), [UInt64]())
        while case let found = try await engine.inspect(storage, from: page, limit: 7), found.inspected > 0 {
            if let found = found.damaged { damaged.append(found) }
            page += found.inspected
        }
        return damaged
    }

    @Test("damage is found though every reader has the page in memory, and only the partition with rows there is unreadable")
    func namesThePartition() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        let (lower, upper) = try #require(KeyRange.all.split(at: try sample.key(1_000)))
        let halves = [(20, lower), (21, upper)].map {
            PartitionState(partition: PartitionID($0), range: $1, applied: sample.position(20), checksum: 3)
        }
        try await sample.engine.split(Sample.partition, into: halves, in: storage, at: sample.position(20))
        await sample.engine.close()
        let engine = SQLiteEngine(folder: sample.folder.path)
        _ = try await engine.open()
        for _ in 0..<4 { _ = try await engine.scan(.all, in: storage, rowLimit: .max, byteLimit: .max) }
        #expect(try await damagedPages(engine) == [])
        #expect(try await engine.unreadablePartitions(in: storage) == [])

        let row = try #require(try Data(contentsOf: sample.database).range(of: Data("row-1500".utf8), options: .backwards))
        try sample.rot(row.lowerBound, bit: 0)
        let page = UInt64(row.lowerBound / 8_192 + 1)
        #expect(try await damagedPages(engine) == [page])
        #expect(try await engine.unreadablePartitions(in: storage) == [PartitionID(21)])
        #expect(try await engine.inspect(storage, from: page + 1, limit: 1).damaged == nil)
        await engine.close()
    }

    @Test("an end that an open file has lost is found, at the border of a page too, and nothing of the file is readable then")
    func lostEnd() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        await sample.engine.close()
        let engine = SQLiteEngine(folder: sample.folder.path)
        _ = try await engine.open()
        for _ in 0..<4 { _ = try await engine.scan(.all, in: storage, rowLimit: .max, byteLimit: .max) }
        let whole = try Data(contentsOf: sample.database)
        let pages = UInt64(whole.count / 8_192)
        for lost in [pages - 1, pages / 2, 1] {
            #expect(truncate(sample.database.path, off_t((pages - lost) * 8_192)) == 0)
            // The first of them is named; there is nothing to look at behind it.
            #expect(try await damagedPages(engine) == [pages - lost + 1], "\(lost) lost")
            #expect(try await engine.inspect(storage, from: pages - lost + 2, limit: 9).inspected == 0)
            do throws(EngineError) {
                _ = try await engine.unreadablePartitions(in: storage)
                Issue.record("\(lost) pages were not missed")
            } catch { #expect(error.isDamage, "\(error)") }
            try whole.write(to: sample.database, options: [])
            #expect(try await damagedPages(engine) == [])
        }
        await engine.close()
    }

    @Test("a partition whose rows cannot be removed leaves its storage, which takes nothing new, and goes with the last one")
    func goesWithTheFile() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        let (lower, upper) = try #require(KeyRange.all.split(at: try sample.key(1_000)))
        let halves = [(20, lower), (21, upper)].map {
            PartitionState(partition: PartitionID($0), range: $1, applied: sample.position(20), checksum: 3)
        }
        try await sample.engine.split(Sample.partition, into: halves, in: storage, at: sample.position(20))
        await sample.engine.close()
        let row = try #require(try Data(contentsOf: sample.database).range(of: Data("row-1500".utf8), options: .backwards))
        try sample.rot(row.lowerBound, bit: 0)
        let engine = SQLiteEngine(folder: sample.folder.path)
        _ = try await engine.open()
        for _ in 0..<2 { try await engine.remove(PartitionID(21), from: storage) }
        #expect(try await engine.state(of: storage)?.partitions.map(\.partition) == [PartitionID(20)])
        let anew = PartitionState(partition: PartitionID(21), range: upper, applied: .zero, checksum: 0)
        await #expect(throws: EngineError.self) { try await engine.create(self.storage, for: sample.table, holding: anew) }
        await #expect(throws: EngineError.self) {
            try await engine.beginImport(self.storage, for: sample.table, at: anew)
        }
        #expect(try await engine.get(try sample.key(7), in: storage) == sample.values(7))
        try await engine.remove(PartitionID(20), from: storage)
        #expect(try await engine.state(of: storage) == nil)
        try await engine.create(storage, for: sample.table, holding: anew)
        #expect(try await engine.statistics(of: .all, in: storage).rows == 0)
        await engine.close()
    }

    @Test("pages that are written at the moment are no damage")
    func beside() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(100)
        let looks = Task<Int, any Error> {
            var looks = 0
            while !Task.isCancelled {
                let found = try await damagedPages(sample.engine)
                #expect(found == [])
                looks += 1
            }
            return looks
        }
        // Over and over the same pages, from the log into the database.
        for number in 2..<260 {
            let rows = try (0..<100).map { try sample.put(($0 * 7 + number) % 300, bytes: 8_000) }
            try await sample.engine.apply([sample.entry(number, rows)], to: Sample.partition, in: storage)
        }
        looks.cancel()
        #expect(try await looks.value > 10)
        await sample.engine.close()
    }
}
