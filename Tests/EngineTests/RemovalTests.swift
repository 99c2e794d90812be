import Engine
import Foundation
import Model
import Testing

/// A half that has moved away, or was dropped, leaves rows in the file that it shared: they go in small steps, and nothing else does.
@Suite(.timeLimit(.minutes(5))) struct RemovalTests {
    private let storage = Sample.storage
    private let stays = PartitionID(20)
    private let goes = PartitionID(21)

    /// Two halves in one file: so many rows in one that stays, and so many in one that is to go.
    private func halves(
        _ sample: Sample, staying: Int, going: Int, bytes: Int
    ) async throws -> (staying: KeyRange, going: KeyRange) {
        _ = try await sample.engine.open()
        try await sample.engine.create(storage, for: sample.table, holding: Sample.fresh)
        var sequence = 0
        for start in stride(from: 0, to: staying + going, by: 200) {
            sequence += 1
            let rows = try (start..<min(start + 200, staying + going)).map { try sample.put($0, bytes: bytes) }
            try await sample.engine.apply([sample.entry(sequence, rows)], to: Sample.partition, in: storage)
        }
        let ranges = try #require(KeyRange.all.split(at: try sample.key(staying)))
        let children = [(stays, ranges.lower), (goes, ranges.upper)].map {
            PartitionState(partition: $0, range: $1, applied: sample.position(sequence), checksum: 5)
        }
        try await sample.engine.split(Sample.partition, into: children, in: storage, at: sample.position(sequence))
        return (ranges.lower, ranges.upper)
    }

    private func checksum(_ partition: PartitionID, _ engine: SQLiteEngine) async throws -> RangeChecksum {
        let snapshot = try await engine.snapshot(of: partition, in: storage)
        let checksum = try await snapshot.checksum()
        await snapshot.close()
        return checksum
    }

    @Test("large rows go a few mebibytes at a time, and in each step its sibling is whole")
    func boundedBytes() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let ranges = try await halves(sample, staying: 20, going: 400, bytes: 64 << 10)
        let kept = try await checksum(stays, sample.engine)
        var left = try await sample.engine.statistics(of: ranges.going, in: storage)
        #expect(left.bytes > 16 << 20)
        var steps = 0
        while try await !sample.engine.remove(goes, from: storage, limit: 1_000) {
            let now = try await sample.engine.statistics(of: ranges.going, in: storage)
            #expect((1...5 << 20).contains(left.bytes - now.bytes), "step \(steps)")
            #expect(try await checksum(stays, sample.engine) == kept)
            left = now
            steps += 1
        }
        #expect(steps >= 4)
        #expect(try await sample.engine.statistics(of: .all, in: storage).rows == 20)
        #expect(try #require(try await sample.engine.state(of: storage)).partitions.map(\.partition) == [stays])
        await sample.engine.close()
    }

    @Test("what is removed does not make the write-ahead log longer than what is written does")
    func boundedLog() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let ranges = try await halves(sample, staying: 200, going: 12_000, bytes: 400)
        let log = sample.folder.appending(path: "storage-7.sqlite-wal")
        var longest = 0
        while try await !sample.engine.remove(goes, from: storage, limit: 3) {
            longest = max(longest, try FileManager.default.attributesOfItem(atPath: log.path)[.size] as? Int ?? 0)
        }
        // Brought into the database at 64 MiB, after the step that makes it as long.
        #expect((48 << 20..<72 << 20).contains(longest), "\(longest >> 20) MiB")
        #expect(try await sample.engine.statistics(of: ranges.staying, in: storage).rows == 200)
        await sample.engine.close()
    }

    @Test("a removal that is cut off anywhere goes on after a start, and its sibling has lost nothing")
    func cutOff() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let ranges = try await halves(sample, staying: 300, going: 300, bytes: 400)
        let kept = try await checksum(stays, sample.engine)
        for cut in 0..<8 {
            _ = try await sample.engine.remove(goes, from: storage, limit: 40)
            // What a crash of the process leaves.
            let crashed = sample.folder.appending(path: "crashed-\(cut)")
            try FileManager.default.createDirectory(at: crashed, withIntermediateDirectories: true)
            for name in ["storage-7.sqlite", "storage-7.sqlite-wal"] {
                try FileManager.default.copyItem(at: sample.folder.appending(path: name), to: crashed.appending(path: name))
            }
            let engine = SQLiteEngine(folder: crashed.path)
            let found = try #require(try await engine.open().storages.first).partitions.map(\.partition)
            let rows = try await engine.statistics(of: ranges.going, in: storage).rows
            // Nothing of it is left that nobody knows to be removed.
            #expect(found == [stays, goes] || found == [stays] && rows == 0, "\(cut): \(found), \(rows) rows")
            #expect(try await checksum(stays, engine) == kept)
            try await engine.remove(goes, from: storage)
            #expect(try await engine.statistics(of: .all, in: storage).rows == 300)
            #expect(try await checksum(stays, engine) == kept)
            await engine.close()
        }
        #expect(try await sample.engine.state(of: storage)?.partitions.map(\.partition) == [stays])
        await sample.engine.close()
    }

    @Test("a copy in a shared file that is to be made anew counts for nothing from its first step on (M5)")
    func cutOffBeforeAnImport() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let ranges = try await halves(sample, staying: 300, going: 300, bytes: 400)
        let kept = try await checksum(stays, sample.engine)
        let start = PartitionState(partition: goes, range: ranges.going, applied: sample.position(90), checksum: 9)
        for cut in 0..<4 {
            let unfinished = try await sample.engine.beginImport(
                storage, for: sample.table, at: start, advancing: false, limit: 40)
            #expect(unfinished == nil)
            let crashed = sample.folder.appending(path: "crashed-\(cut)")
            try FileManager.default.createDirectory(at: crashed, withIntermediateDirectories: true)
            for name in ["storage-7.sqlite", "storage-7.sqlite-wal"] {
                try FileManager.default.copyItem(at: sample.folder.appending(path: name), to: crashed.appending(path: name))
            }
            let engine = SQLiteEngine(folder: crashed.path)
            let found = try #require(try await engine.open().storages.first)
            #expect(found.partitions.map(\.partition) == [stays] && found.imported?.start.partition == goes)
            #expect(try await checksum(stays, engine) == kept)
            await engine.close()
        }
        var begun: ImportState?
        while begun == nil {
            begun = try await sample.engine.beginImport(storage, for: sample.table, at: start, advancing: false, limit: 40)
        }
        #expect(begun == ImportState(start: start, chunks: 0, last: nil))
        #expect(try await sample.engine.statistics(of: .all, in: storage).rows == 300)
        #expect(try await checksum(stays, sample.engine) == kept)
        await sample.engine.close()
    }

    /// The key of the write of one row.
    private func writeKey(_ row: Int) -> IdempotencyKey {
        var random = SeededGenerator(seed: UInt64(row))
        return IdempotencyKey(madeAt: WallTime(milliseconds: 1_000_000 + Int64(row) * 7 % 500), random: &random)
    }

    @Test("what is remembered of writes goes in steps too, wherever it is cut off, and its sibling remembers all (R8)")
    func boundedWrites() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let (staying, going) = (50, 150)
        _ = try await halves(sample, staying: staying, going: going, bytes: 40)
        for row in 0..<staying + going {
            let (id, sequence) = row < staying ? (stays, 2 + row) : (goes, 2 + row - staying)
            let write = AppliedWrite(
                key: writeKey(row), row: try sample.key(row), checksum: 1, position: sample.position(sequence))
            let entry = CommittedEntry(
                position: sample.position(sequence), checksum: 1, mutations: [], record: WriteRecord([write]))
            try await sample.engine.apply([entry], to: id, in: storage)
        }
        var engine = sample.engine
        func remembered(_ rows: Range<Int>) async throws -> Int {
            var count = 0
            for row in rows where try await engine.recall(writeKey(row), of: stays, in: storage).write != nil { count += 1 }
            return count
        }
        var left = try await remembered(staying..<staying + going)
        #expect(left == going)
        var calls = 0
        while try await !engine.remove(goes, from: storage, limit: 20) {
            calls += 1
            let now = try await remembered(staying..<staying + going)
            #expect((0...20).contains(left - now), "call \(calls)")
            left = now
            guard calls == 12 else { continue }
            await engine.close()
            engine = SQLiteEngine(folder: sample.folder.path)
            _ = try await engine.open()
        }
        #expect(calls >= (going + staying + going) / 20)
        #expect(try await remembered(staying..<staying + going) == 0)
        #expect(try await remembered(0..<staying) == staying)
        await engine.close()
    }

    @Test("a copy that began before its partition was removed has every row that it began with (M6)")
    func snapshotOutlives() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        _ = try await halves(sample, staying: 100, going: 300, bytes: 400)
        let snapshot = try await sample.engine.snapshot(of: goes, in: storage)
        let before = try await snapshot.checksum()
        try await sample.engine.remove(goes, from: storage)
        let after = try await snapshot.checksum()
        #expect(before.rows == 300 && after == before)
        await snapshot.close()
        await sample.engine.close()
    }
}
