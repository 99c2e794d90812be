import Engine
import Foundation
import KeyEncoding
import Model
import Testing

@Suite struct SQLiteEngineTests {
    private let partition = Sample.partition
    private let storage = Sample.storage

    @Test("a row reads as it was written, in every type, and a scan gives key order")
    func readsBack() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(250)
        #expect(try await sample.engine.get(try sample.key(42), in: storage) == sample.values(42))
        #expect(try await sample.engine.get(try sample.key(900), in: storage) == nil)
        var rows: [Row] = []
        var range = KeyRange.all
        while true {
            let page = try await sample.engine.scan(range, in: storage, rowLimit: 60, byteLimit: 1 << 20)
            rows += page.rows
            guard let next = page.next else { break }
            range = KeyRange(low: next, high: nil)
        }
        let written = try (0..<250).map { Row(key: try sample.key($0), values: sample.values($0)) }
        #expect(rows == written)
        let small = try await sample.engine.scan(.all, in: storage, rowLimit: 100, byteLimit: 1)
        #expect(try small.rows.count == 1 && small.next == sample.key(1))
        let bounded = KeyRange(low: try sample.key(10), high: try sample.key(20))
        #expect(try await sample.engine.scan(bounded, in: storage, rowLimit: 100, byteLimit: 1 << 20).rows.count == 10)
    }

    @Test("the empty and the extreme values survive")
    func extremes() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        let rows: [[Value]] = [
            [.text(""), .integer(.min), .bytes([]), .null, .double(-.infinity), .timestamp(.max)],
            [.text("a\0b"), .integer(.max), .bytes([0, 255]), .boolean(false), .double(.leastNonzeroMagnitude), .null],
            [.text("e\u{301}"), .integer(0), .null, .boolean(true), .double(3), .timestamp(.min)],
        ]
        let mutations = try rows.map { Mutation.put(key: try sample.shape.key(of: $0), values: $0) }
        try await sample.engine.apply([sample.entry(1, mutations)], to: partition, in: storage)
        for row in rows {
            #expect(try await sample.engine.get(try sample.shape.key(of: row), in: storage) == row)
        }
    }

    @Test("an entry is applied once, however often it comes")
    func exactlyOnce() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        let first = sample.entry(1, [try sample.put(1), try sample.put(2)])
        let second = sample.entry(2, [.delete(key: try sample.key(1))])
        try await sample.engine.apply([first, second], to: partition, in: storage)
        let again = try await sample.engine.apply([first, second], to: partition, in: storage)
        #expect(again.applied == second.position && again.checksum == second.checksum)
        #expect(try await sample.engine.get(try sample.key(1), in: storage) == nil)
        await #expect(throws: EngineError.gap(partition, applied: second.position, next: sample.position(4))) {
            try await sample.engine.apply([sample.entry(4, [])], to: self.partition, in: self.storage)
        }
        await #expect(
            throws: EngineError.diverged(partition, applied: second.position, entry: sample.position(2, epoch: 2))
        ) {
            try await sample.engine.apply([sample.entry(2, [], epoch: 2)], to: self.partition, in: self.storage)
        }
    }

    @Test("a batch with one bad row changes nothing, its position included")
    func atomic() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        var bad = sample.values(3)
        bad[1] = .text("three")
        let entries = [
            sample.entry(1, [try sample.put(1)]), sample.entry(2, [.put(key: try sample.key(3), values: bad)]),
        ]
        await #expect(
            throws: EngineError.invalidRow(
                .wrongType(column: try RelationName("group"), expected: .integer, found: .text))
        ) { try await sample.engine.apply(entries, to: self.partition, in: self.storage) }
        #expect(try await sample.engine.get(try sample.key(1), in: storage) == nil)
        #expect(try await sample.engine.state(of: storage)?.partitions == [Sample.fresh])
        var notANumber = sample.values(3)
        notANumber[4] = .double(.nan)
        #expect(throws: RowError.notANumber(column: try RelationName("weight"))) {
            try sample.shape.check(notANumber, under: try sample.key(3))
        }
        #expect(throws: RowError.self) { try sample.shape.check(sample.values(4), under: try sample.key(3)) }
    }

    @Test("rows and positions are there after reopening, and a torn creation is not")
    func reopens() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(150)
        let synced = try await sample.engine.sync(storage)
        #expect(synced.map(\.applied) == [sample.position(2)])
        await sample.engine.close()
        // A file whose tables were never committed.
        try Data().write(to: sample.folder.appending(path: "storage-9.sqlite"))
        try Data(repeating: 1, count: 100).write(to: sample.folder.appending(path: "storage-11.sqlite-wal"))
        try Data(repeating: 1, count: 100).write(to: sample.folder.appending(path: "storage-12.sqlite.dropped"))
        let again = SQLiteEngine(folder: sample.folder.path)
        let found = try await again.open()
        #expect(found.storages.map(\.storage) == [storage] && found.damaged.isEmpty)
        #expect(found.storages.first?.partitions == synced)
        #expect(found.storages.first?.tableName == sample.table.name)
        #expect(try await again.get(try sample.key(149), in: storage) == sample.values(149))
        await again.close()
        let names = try FileManager.default.contentsOfDirectory(atPath: sample.folder.path)
        #expect(names.allSatisfy { $0.hasPrefix("storage-7.sqlite") })
    }

    @Test("a damaged file is named, and hides no other")
    func damage() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        try await sample.engine.create(
            StorageID(8), for: sample.table,
            holding: PartitionState(partition: PartitionID(8), range: .all, applied: .zero, checksum: 0))
        await sample.engine.close()
        let file = sample.folder.appending(path: "storage-8.sqlite")
        var bytes = try Data(contentsOf: file)
        for index in bytes.indices.dropFirst(100) { bytes[index] = 0xA5 }
        try bytes.write(to: file)
        let again = SQLiteEngine(folder: sample.folder.path)
        let found = try await again.open()
        #expect(found.storages.map(\.storage) == [storage])
        #expect(found.damaged.map(\.storage) == [StorageID(8)])
        if case .damaged(let named, _)? = found.damaged.first?.error {
            #expect(named == StorageID(8))
        } else {
            Issue.record("not named")
        }
        await again.close()
    }

    @Test("a snapshot stands still while entries are applied; checksums of equal rows are equal on two nodes")
    func snapshots() async throws {
        let (sample, other) = (try Sample(), try Sample())
        defer {
            sample.remove()
            other.remove()
        }
        try await sample.filled(500)
        try await other.filled(500)
        let snapshot = try await sample.engine.snapshot(of: partition, in: storage)
        let before = try await snapshot.checksum()
        try await sample.engine.apply(
            [sample.entry(6, [try sample.put(3, bytes: 99), try sample.put(5_000)])], to: partition, in: storage)
        #expect(snapshot.state.applied == sample.position(5))
        #expect(try await snapshot.checksum() == before)
        var rows: [Row] = []
        while true {
            let part = try await snapshot.rows(after: rows.last?.key, byteLimit: 2_000)
            if part.isEmpty { break }
            rows += part
        }
        await snapshot.close()
        #expect(rows.count == 500 && before.rows == 500)
        #expect(before.bytes == UInt64(rows.reduce(0) { $0 + $1.byteCount }))
        let twin = try await other.engine.snapshot(of: partition, in: storage)
        #expect(try await twin.checksum() == before)
        await twin.close()
        let later = try await sample.engine.snapshot(of: partition, in: storage)
        #expect(try await later.checksum() != before)
        await later.close()
        #expect(try await sample.engine.statistics(of: .all, in: storage).rows == 501)
        #expect(
            try await other.engine.statistics(of: .all, in: storage) == RangeStatistics(rows: before.rows, bytes: before.bytes))
    }

    @Test("what was split becomes one again where it lies, once both halves have come to their ends")
    func merge() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(300)
        let middle = try #require(try await sample.engine.middleKey(of: .all, in: storage))
        let (lower, upper) = try #require(KeyRange.all.split(at: middle))
        let start = sample.position(3)
        let children = [(PartitionID(20), lower), (PartitionID(21), upper)].map {
            PartitionState(partition: $0.0, range: $0.1, applied: start, checksum: 5)
        }
        try await sample.engine.split(partition, into: children, in: storage, at: start)
        let end = sample.position(4, epoch: 2)
        let parents = [
            MergedPartition(partition: PartitionID(20), end: end), MergedPartition(partition: PartitionID(21), end: start),
        ]
        let merged = PartitionState(partition: PartitionID(30), range: .all, applied: end, checksum: 6)
        // Refused as a whole, not by halves.
        await #expect(throws: EngineError.notAt(PartitionID(20), applied: start, expected: end)) {
            try await sample.engine.merge(parents.reversed(), into: merged, in: self.storage)
        }
        #expect(try #require(try await sample.engine.state(of: storage)).partitions.count == 2)
        try await sample.engine.apply(
            [sample.entry(4, [try sample.put(1, bytes: 7)], epoch: 2)], to: PartitionID(20), in: storage)
        for _ in 0..<2 { try await sample.engine.merge(parents, into: merged, in: storage) }
        #expect(try #require(try await sample.engine.state(of: storage)).partitions == [merged])
        #expect(try await sample.engine.statistics(of: .all, in: storage).rows >= 300)
        let next = [sample.entry(5, [try sample.put(1), try sample.put(299)], epoch: 3)]
        #expect(try await sample.engine.apply(next, to: PartitionID(30), in: storage).applied == sample.position(5, epoch: 3))
        await #expect(throws: EngineError.unknownPartition(PartitionID(21), storage)) {
            try await sample.engine.apply([sample.entry(4, [])], to: PartitionID(21), in: self.storage)
        }
    }

    @Test("the search for a middle ends when nobody waits for it any more")
    func middleGivenUp() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(300)
        let engine = sample.engine
        let search = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await engine.middleKey(of: .all, in: Sample.storage)
        }
        await #expect(throws: EngineError.busy(Sample.storage, detail: "given up")) { try await search.value }
        #expect(try await engine.middleKey(of: .all, in: Sample.storage) != nil)
        await engine.close()
    }

    @Test("children of a split share the storage, each with its own position and range")
    func split() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(300)
        let middle = try #require(try await sample.engine.middleKey(of: .all, in: storage))
        let (lower, upper) = try #require(KeyRange.all.split(at: middle))
        let (low, high) = (
            try await sample.engine.statistics(of: lower, in: storage),
            try await sample.engine.statistics(of: upper, in: storage)
        )
        #expect(low.rows + high.rows == 300 && low.rows > 120 && high.rows > 120)
        let start = sample.position(3)
        let children = [(PartitionID(20), lower), (PartitionID(21), upper)].map {
            PartitionState(partition: $0.0, range: $0.1, applied: start, checksum: 5)
        }
        await #expect(throws: EngineError.notAt(partition, applied: start, expected: sample.position(4))) {
            try await sample.engine.split(self.partition, into: children, in: self.storage, at: sample.position(4))
        }
        for _ in 0..<2 { try await sample.engine.split(partition, into: children, in: storage, at: start) }
        try await sample.engine.apply(
            [sample.entry(4, [try sample.put(1, bytes: 7)], epoch: 2)], to: PartitionID(20), in: storage)
        let states = try #require(try await sample.engine.state(of: storage)).partitions
        #expect(states.map(\.applied) == [sample.position(4, epoch: 2), start])
        await #expect(throws: EngineError.unknownPartition(partition, storage)) {
            try await sample.engine.apply([sample.entry(4, [])], to: self.partition, in: self.storage)
        }
        await #expect(throws: EngineError.outOfRange(try sample.key(1), upper)) {
            try await sample.engine.apply([sample.entry(4, [try sample.put(1)])], to: PartitionID(21), in: self.storage)
        }
        // One half leaves; the other keeps its rows. Then the storage goes with its last partition.
        try await sample.engine.remove(PartitionID(21), from: storage)
        try await sample.engine.remove(PartitionID(21), from: storage)
        #expect(try await sample.engine.statistics(of: upper, in: storage).rows == 0)
        #expect(try await sample.engine.statistics(of: lower, in: storage).rows == low.rows)
        // A damaged half is made anew, empty, beside its sibling.
        let anew = PartitionState(partition: PartitionID(21), range: upper, applied: .zero, checksum: 0)
        for _ in 0..<2 { try await sample.engine.create(storage, for: sample.table, holding: anew) }
        #expect(try await sample.engine.state(of: storage)?.partitions.last == anew)
        #expect(try await sample.engine.statistics(of: .all, in: storage).rows == low.rows)
        try await sample.engine.remove(PartitionID(21), from: storage)
        try await sample.engine.remove(PartitionID(20), from: storage)
        #expect(try await sample.engine.state(of: storage) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: sample.folder.path).isEmpty)
    }

    @Test("a copy arrives in chunks, goes on after a restart, and is a partition only when it is finished")
    func imports() async throws {
        let (source, target) = (try Sample(), try Sample())
        defer {
            source.remove()
            target.remove()
        }
        try await source.filled(400)
        let snapshot = try await source.engine.snapshot(of: partition, in: storage)
        _ = try await target.engine.open()
        var state = try await target.engine.beginImport(StorageID(30), for: target.table, at: snapshot.state)
        for _ in 0..<2 {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 8_000)
            let chunk = state.chunks
            state = try await target.engine.ingest(rows, nil, chunk: chunk, of: snapshot.state, into: StorageID(30))
            #expect(try await target.engine.ingest(rows, nil, chunk: chunk, of: snapshot.state, into: StorageID(30)) == state)
        }
        await #expect(throws: EngineError.notNextChunk(expected: 2, found: 5)) {
            try await target.engine.ingest([], nil, chunk: 5, of: snapshot.state, into: StorageID(30))
        }
        await target.engine.close()
        let again = SQLiteEngine(folder: target.folder.path)
        let found = try await again.open()
        #expect(found.storages.first?.imported == state && found.storages.first?.partitions == [])
        state = try await again.beginImport(StorageID(30), for: target.table, at: snapshot.state)
        while true {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 8_000)
            if rows.isEmpty { break }
            state = try await again.ingest(rows, nil, chunk: state.chunks, of: snapshot.state, into: StorageID(30))
        }
        try await again.finishImport(of: snapshot.state, in: StorageID(30))
        await #expect(throws: EngineError.noImport(StorageID(30))) {
            try await again.finishImport(of: snapshot.state, in: StorageID(30))
        }
        let copy = try await again.snapshot(of: partition, in: StorageID(30))
        #expect(try await copy.checksum() == snapshot.checksum())
        await copy.close()
        await snapshot.close()
        try await again.apply([source.entry(5, [])], to: partition, in: StorageID(30))
        await again.close()
    }

    @Test("a copy may come into a storage that another partition shares, over what was there before")
    func importBeside() async throws {
        let (source, target) = (try Sample(), try Sample())
        defer {
            source.remove()
            target.remove()
        }
        try await source.filled(100)
        let (lower, upper) = try #require(KeyRange.all.split(at: try source.key(50)))
        func half(_ id: UInt64, _ range: KeyRange) -> PartitionState {
            PartitionState(partition: PartitionID(id), range: range, applied: source.position(1), checksum: 3)
        }
        try await source.engine.split(partition, into: [half(20, lower), half(21, upper)], in: storage, at: source.position(1))
        _ = try await target.engine.open()
        try await target.engine.create(storage, for: target.table, holding: half(20, lower))
        await #expect(throws: EngineError.rangeInUse(lower, by: PartitionID(20))) {
            try await target.engine.beginImport(self.storage, for: target.table, at: half(22, lower))
        }
        let snapshot = try await source.engine.snapshot(of: PartitionID(21), in: storage)
        let rows = try await snapshot.rows(after: nil, byteLimit: 1 << 20)
        let earlier = PartitionState(partition: PartitionID(21), range: upper, applied: source.position(0), checksum: 1)
        for start in [earlier, snapshot.state] {
            #expect(try await target.engine.beginImport(storage, for: target.table, at: start).chunks == 0)
            try await target.engine.ingest(rows, nil, chunk: 0, of: start, into: storage)
        }
        await #expect(throws: EngineError.noImport(storage)) {
            try await target.engine.ingest(rows, nil, chunk: 1, of: earlier, into: self.storage)
        }
        try await target.engine.finishImport(of: snapshot.state, in: storage)
        let copy = try await target.engine.snapshot(of: PartitionID(21), in: storage)
        let (ours, theirs) = (try await copy.checksum(), try await snapshot.checksum())
        #expect(ours == theirs && ours.rows == 50)
        await copy.close()
        await snapshot.close()
        #expect(try await target.engine.state(of: storage)?.partitions.map(\.partition) == [PartitionID(20), PartitionID(21)])
    }

    @Test("a row of a megabyte comes back whole")
    func bigRow() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        try await sample.engine.apply([sample.entry(1, [try sample.put(1, bytes: 1_000_000)])], to: partition, in: storage)
        #expect(try await sample.engine.get(try sample.key(1), in: storage) == sample.values(1, bytes: 1_000_000))
    }

    @Test("sqlite3 opens the file and reads the table under its own name")
    func commandLine() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(10)
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "sqlite3", sample.folder.appending(path: "storage-7.sqlite").path,
            #"SELECT name, "group", hex(payload), good, weight, at FROM "order" WHERE "group" = 3"#,
        ]
        process.standardOutput = output
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text == "row-3|3|\(String(repeating: "03", count: 40))|0|0.75|3000000\n")
        await sample.engine.close()
    }
}
