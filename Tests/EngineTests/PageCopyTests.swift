import Engine
import Foundation
import KeyEncoding
import Model
import Testing

/// A storage that is copied as it lies in its file.
@Suite(.timeLimit(.minutes(5))) struct PageCopyTests {
    private static let storage = Sample.storage
    private static let target = StorageID(30)
    private static let everySize: ClosedRange<UInt64> = 0...UInt64.max

    /// Two nodes, the first of which holds rows, deleted ones, large values and applied writes.
    private struct Pair {
        let source: Sample
        let target: Sample

        init() async throws {
            (source, target) = (try Sample(), try Sample())
            try await source.filled(2_000)
            var mutations = try (0..<40).map { try source.put($0 * 7, bytes: 90_000) }
            mutations += try (300..<600).map { Mutation.delete(key: try source.key($0)) }
            try await source.engine.apply([source.entry(21, mutations)], to: Sample.partition, in: PageCopyTests.storage)
            let key = try IdempotencyKey("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
            let write = AppliedWrite(key: key, row: try source.key(5), checksum: 77, position: source.position(22))
            let spans = [WallTime(milliseconds: 1_000)..<WallTime(milliseconds: 9_000)]
            let entry = CommittedEntry(
                position: source.position(22), checksum: 66, mutations: [try source.put(5)],
                record: WriteRecord([write], forgotten: ForgottenKeys(spans)))
            try await source.engine.apply([entry], to: Sample.partition, in: PageCopyTests.storage)
            try await source.engine.sync(PageCopyTests.storage)
            _ = try await target.engine.open()
        }

        func close() async {
            for sample in [source, target] {
                await sample.engine.close()
                sample.remove()
            }
        }

        func image() async throws -> any StorageSnapshot {
            try await source.engine.imageSnapshot(
                of: Sample.partition, in: PageCopyTests.storage, sizes: PageCopyTests.everySize)
        }

        /// All of the pages, `count` at a time.
        func runs(_ snapshot: any StorageSnapshot, by count: Int = 16) async throws -> [PageRun] {
            let image = try #require(snapshot.image)
            var runs: [PageRun] = []
            for first in stride(from: UInt64(1), through: image.pages, by: count) {
                runs.append(PageRun(first: first, bytes: try await snapshot.pages(from: first, limit: count)))
            }
            return runs
        }

        func begin(_ snapshot: any StorageSnapshot) async throws -> UInt64? {
            _ = try await target.engine.beginImport(PageCopyTests.target, for: target.table, at: snapshot.state)
            let image = try #require(snapshot.image)
            return try await target.engine.beginPages(image, of: snapshot.state, into: PageCopyTests.target)
        }

        func ingest(_ runs: [PageRun], of start: PartitionState) async throws {
            for (chunk, run) in runs.enumerated() {
                try await target.engine.ingest(run, chunk: UInt64(chunk), of: start, into: PageCopyTests.target)
            }
        }

        /// Names in the target's folder.
        func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: target.folder.path).sorted() }
    }

    private static func contents(
        _ engine: SQLiteEngine, _ storage: StorageID
    ) async throws -> (rows: [Row], writes: WriteRecord, checksum: RangeChecksum) {
        let snapshot = try await engine.snapshot(of: Sample.partition, in: storage)
        let rows = try await snapshot.rows(after: nil, byteLimit: .max)
        let writes = try await snapshot.writes(after: nil, byteLimit: .max)
        let checksum = try await snapshot.checksum()
        await snapshot.close()
        return (rows, writes, checksum)
    }

    @Test("what comes page by page is what was there, with deleted rows, large values and applied writes, and lives on")
    func whole() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        #expect(try await pair.begin(snapshot) == 0)
        try await pair.ingest(try await pair.runs(snapshot), of: snapshot.state)
        try await pair.target.engine.finishPages(of: snapshot.state, in: Self.target)
        await snapshot.close()
        let ours = try await Self.contents(pair.target.engine, Self.target)
        let theirs = try await Self.contents(pair.source.engine, Self.storage)
        #expect(ours.rows == theirs.rows && ours.writes == theirs.writes && ours.checksum == theirs.checksum)
        #expect(ours.rows.count == 1_700 && ours.writes.writes.count == 1)
        // It goes on from there, and is the same after a start.
        let next = pair.target.entry(23, [try pair.target.put(9_999), .delete(key: try pair.target.key(5))])
        try await pair.target.engine.apply([next], to: Sample.partition, in: Self.target)
        #expect(try await pair.target.engine.get(try pair.target.key(9_999), in: Self.target) != nil)
        await pair.target.engine.close()
        #expect(try pair.files() == ["storage-30.sqlite"])
        let again = SQLiteEngine(folder: pair.target.folder.path)
        let found = try await again.open()
        #expect(found.damaged.isEmpty && found.storages.map(\.storage) == [Self.target])
        #expect(found.storages.first?.partitions.map(\.applied) == [pair.target.position(23)])
        #expect(found.storages.first?.imported == nil)
        var page = UInt64(1)
        while case let seen = try await again.inspect(Self.target, from: page, limit: 32), seen.inspected > 0 {
            #expect(seen.damaged == nil)
            page += seen.inspected
        }
        await again.close()
        await pair.close()
    }

    @Test("an image stands still while the source writes on, through checkpoints of its log")
    func standsStill() async throws {
        let pair = try await Pair()
        let before = try await Self.contents(pair.source.engine, Self.storage)
        let snapshot = try await pair.image()
        #expect(try await pair.begin(snapshot) == 0)
        let image = try #require(snapshot.image)
        var (first, chunk) = (UInt64(1), UInt64(0))
        while first <= image.pages {
            let bytes = try await snapshot.pages(from: first, limit: 16)
            try await pair.target.engine.ingest(
                PageRun(first: first, bytes: bytes), chunk: chunk, of: snapshot.state, into: Self.target)
            (first, chunk) = (first + 16, chunk + 1)
            // Some mebibytes a time: the log is soon longer than what it is brought into the file at.
            let rows = try (0..<150).map { try pair.source.put(($0 * 31 + Int(chunk)) % 2_000, bytes: 40_000) }
            try await pair.source.engine.apply(
                [pair.source.entry(22 + Int(chunk), rows)], to: Sample.partition, in: Self.storage)
            try await pair.source.engine.sync(Self.storage)
        }
        try await pair.target.engine.finishPages(of: snapshot.state, in: Self.target)
        await snapshot.close()
        let after = try await Self.contents(pair.target.engine, Self.target)
        #expect(after.rows == before.rows && after.writes == before.writes)
        await pair.close()
    }

    @Test("a bit that turned over in a page on its way is refused, with the page's number, and so are pages out of turn")
    func turnedBit() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        #expect(try await pair.begin(snapshot) == 0)
        let runs = try await pair.runs(snapshot)
        try await pair.ingest(Array(runs.prefix(2)), of: snapshot.state)
        var bytes = runs[2].bytes
        bytes[5 * 8_192 + 100] ^= 4
        let engine = pair.target.engine
        await #expect {
            try await engine.ingest(
                PageRun(first: runs[2].first, bytes: bytes), chunk: 2, of: snapshot.state, into: Self.target)
        } throws: { error in
            guard case EngineError.strangePages(Self.target, let detail) = error else { return false }
            return detail.contains("page 38 ")
        }
        // In another place a page is another one, and of pages that were left out somebody would read zeros.
        for strange in [PageRun(first: 33, bytes: runs[3].bytes), runs[3], PageRun(first: 33, bytes: [1, 2, 3])] {
            await #expect(throws: EngineError.self) {
                try await engine.ingest(strange, chunk: 2, of: snapshot.state, into: Self.target)
            }
        }
        await #expect(throws: EngineError.self) { try await engine.finishPages(of: snapshot.state, in: Self.target) }
        #expect(try await engine.state(of: Self.target)?.partitions == [])
        await snapshot.close()
        await pair.close()
    }

    @Test("cut after any chunk, the same image goes on with the next one; another image begins anew")
    func resumes() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        let runs = try await pair.runs(snapshot, by: 64)
        for (chunk, run) in runs.enumerated() {
            #expect(try await pair.begin(snapshot) == UInt64(chunk))
            try await pair.target.engine.ingest(run, chunk: UInt64(chunk), of: snapshot.state, into: Self.target)
        }
        await snapshot.close()
        let later = try await pair.image()
        #expect(later.state == snapshot.state && later.image?.pages == snapshot.image?.pages)
        #expect(try await pair.begin(later) == 0)
        await #expect(throws: EngineError.self) {
            try await pair.target.engine.finishPages(of: later.state, in: Self.target)
        }
        #expect(try pair.files().filter { $0.contains("pages") } == [])
        await later.close()
        await pair.close()
    }

    @Test("rows that come after all take the place of pages")
    func rowsAfterAll() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        #expect(try await pair.begin(snapshot) == 0)
        try await pair.ingest(Array(try await pair.runs(snapshot).prefix(3)), of: snapshot.state)
        let engine = pair.target.engine
        let rows = try await snapshot.rows(after: nil, byteLimit: .max)
        let writes = try await snapshot.writes(after: nil, byteLimit: .max)
        try await engine.ingest(rows, writes, chunk: 0, of: snapshot.state, into: Self.target)
        #expect(try pair.files().filter { $0.contains("pages") } == [])
        // Between them there is no place for pages.
        #expect(try await pair.begin(snapshot) == nil)
        try await engine.finishImport(of: snapshot.state, in: Self.target)
        let ours = try await Self.contents(engine, Self.target)
        #expect(ours.rows == rows && ours.writes == writes)
        await snapshot.close()
        await pair.close()
    }

    @Test("a storage that holds two partitions, a part of a copy, or another size, has no image")
    func shared() async throws {
        let pair = try await Pair()
        let engine = pair.source.engine
        await expectNoImage(of: Sample.partition, engine, sizes: 0...8_192)
        await expectNoImage(of: Sample.partition, engine, sizes: 1 << 40...UInt64.max)
        let (lower, upper) = try #require(KeyRange.all.split(at: try pair.source.key(1_000)))
        let at = pair.source.position(22)
        let halves = [(20, lower), (21, upper)].map {
            PartitionState(partition: PartitionID($0), range: $1, applied: at, checksum: 66)
        }
        try await engine.split(Sample.partition, into: halves, in: Self.storage, at: at)
        await expectNoImage(of: PartitionID(20), engine)
        // Once the other half is gone it lies alone.
        try await engine.remove(PartitionID(21), from: Self.storage)
        let alone = try await engine.imageSnapshot(of: PartitionID(20), in: Self.storage, sizes: Self.everySize)
        #expect(alone.image != nil)
        await alone.close()
        let start = PartitionState(partition: PartitionID(22), range: upper, applied: at, checksum: 66)
        _ = try await engine.beginImport(Self.storage, for: pair.source.table, at: start)
        await expectNoImage(of: PartitionID(20), engine)
        // Nor do pages come beside others.
        let image = PageImage(number: 1, pages: 3)
        #expect(try await engine.beginPages(image, of: start, into: Self.storage) == nil)
        await pair.close()
    }

    /// What has no image says so.
    private func expectNoImage(
        of partition: PartitionID, _ engine: SQLiteEngine, sizes: ClosedRange<UInt64> = everySize,
        at location: SourceLocation = #_sourceLocation
    ) async {
        await #expect(sourceLocation: location) {
            try await engine.imageSnapshot(of: partition, in: Self.storage, sizes: sizes)
        } throws: { Self.isGivenUp($0) }
    }

    private static func isGivenUp(_ error: any Error) -> Bool {
        if case EngineError.imageGivenUp(storage, _) = error { true } else { false }
    }

    @Test("pages of another partition, of another point or of another table are not taken in")
    func strangers() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        let image = try #require(snapshot.image)
        let runs = try await pair.runs(snapshot)
        let other = PartitionState(
            partition: PartitionID(8), range: .all, applied: snapshot.state.applied, checksum: snapshot.state.checksum)
        let earlier = PartitionState(
            partition: Sample.partition, range: .all, applied: pair.source.position(21), checksum: 63)
        let table = try Sample.table(id: 2, name: "others")
        let engine = pair.target.engine
        for (start, table) in [(other, pair.target.table), (earlier, pair.target.table), (snapshot.state, table)] {
            _ = try await engine.beginImport(Self.target, for: table, at: start)
            #expect(try await engine.beginPages(image, of: start, into: Self.target) == 0)
            try await pair.ingest(runs, of: start)
            await #expect {
                try await engine.finishPages(of: start, in: Self.target)
            } throws: { error in
                guard case EngineError.strangePages = error else { return false }
                return true
            }
            #expect(try await engine.state(of: Self.target)?.imported?.start == start)
            #expect(try pair.files().filter { $0.contains("pages") } == [])
            try await engine.remove(start.partition, from: Self.target)
        }
        #expect(try pair.files() == [])
        await snapshot.close()
        await pair.close()
    }

    @Test("a crash before the pages take their place leaves the beginning of a copy; one after it the whole storage")
    func crash() async throws {
        let pair = try await Pair()
        let snapshot = try await pair.image()
        #expect(try await pair.begin(snapshot) == 0)
        try await pair.ingest(try await pair.runs(snapshot), of: snapshot.state)
        func crashed(_ name: String) async throws -> StorageInventory {
            let folder = pair.target.folder.path + "-" + name
            try FileManager.default.copyItem(atPath: pair.target.folder.path, toPath: folder)
            let engine = SQLiteEngine(folder: folder)
            let found = try await engine.open()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains("pages") } == [])
            await engine.close()
            try FileManager.default.removeItem(atPath: folder)
            return found
        }
        let before = try await crashed("before")
        #expect(before.damaged.isEmpty && before.storages.first?.imported?.start == snapshot.state)
        #expect(before.storages.first?.partitions == [])
        try await pair.target.engine.finishPages(of: snapshot.state, in: Self.target)
        let after = try await crashed("after")
        #expect(after.damaged.isEmpty && after.storages.first?.partitions == [snapshot.state])
        #expect(after.storages.first?.imported == nil)
        await snapshot.close()
        await pair.close()
    }

    @Test("a page that is not what was written is not given out, and is named")
    func rotten() async throws {
        let pair = try await Pair()
        await pair.source.engine.close()
        let row = try #require(
            try Data(contentsOf: pair.source.database).range(of: Data("row-1500".utf8), options: .backwards))
        try pair.source.rot(row.lowerBound, bit: 0)
        let engine = SQLiteEngine(folder: pair.source.folder.path)
        _ = try await engine.open()
        let snapshot = try await engine.imageSnapshot(of: Sample.partition, in: Self.storage, sizes: Self.everySize)
        let page = UInt64(row.lowerBound / 8_192 + 1)
        await #expect {
            _ = try await snapshot.pages(from: page - 1, limit: 4)
        } throws: { error in
            guard case EngineError.damaged(_, let detail) = error else { return false }
            return detail.contains("page \(page) ")
        }
        #expect(try await snapshot.pages(from: 1, limit: 1).count == 8_192)
        await snapshot.close()
        await engine.close()
        await pair.close()
    }

    @Test("an image is given up when more has been written meanwhile than its file's log may hold")
    func longLog() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        let engine = SQLiteEngine(folder: sample.folder.path, logWhileImaged: 1 << 20)
        _ = try await engine.open()
        try await engine.create(Self.storage, for: sample.table, holding: Sample.fresh)
        try await engine.apply([sample.entry(1, [try sample.put(1)])], to: Sample.partition, in: Self.storage)
        let snapshot = try await engine.imageSnapshot(of: Sample.partition, in: Self.storage, sizes: Self.everySize)
        #expect(try await !snapshot.pages(from: 1, limit: 1).isEmpty)
        let rows = try (0..<40).map { try sample.put($0, bytes: 60_000) }
        try await engine.apply([sample.entry(2, rows)], to: Sample.partition, in: Self.storage)
        await #expect { try await snapshot.pages(from: 1, limit: 1) } throws: { Self.isGivenUp($0) }
        await snapshot.close()
        await engine.close()
    }
}
