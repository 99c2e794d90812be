import CSQLite
import Engine
import Foundation
import Model
import Testing

/// Bits that turn over on the disk, pages that are lost or in the wrong place: what is read is what was written, or is damage.
@Suite(.timeLimit(.minutes(10))) struct RottenDiskTests {
    private let partition = Sample.partition
    private let storage = Sample.storage

    @Test("a row of which any one bit turned over is never read as another row, nor as none")
    func everyBitOfARow() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(60)
        await sample.engine.close()
        let whole = try Data(contentsOf: sample.database)
        let name = try #require(whole.range(of: Data("row-42".utf8), options: .backwards))
        // The cell's header lies before its values, with the key as the first of them.
        for offset in (name.lowerBound - 40)..<(name.upperBound + 60) {
            for bit in 0..<8 {
                try sample.rot(offset, bit: bit)
                #expect(try await sample.reopened { try await $0.get(try sample.key(42), in: storage) } == nil)
                try sample.rot(offset, bit: bit)
            }
        }
        #expect(try await sample.reopened { try await $0.get(try sample.key(42), in: storage) } == sample.values(42))
    }

    @Test("wherever a bit turns over, each read gives what was written or names the damage")
    func bitsAnywhere() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        let whole = try await sample.engine.snapshot(of: partition, in: storage)
        let (checksum, statistics) = (
            try await whole.checksum(), try await sample.engine.statistics(of: .all, in: storage)
        )
        await whole.close()
        await sample.engine.close()
        let rows = try (0..<2_000).map { Row(key: try sample.key($0), values: sample.values($0)) }
        let size = try Data(contentsOf: sample.database).count
        var random = SeededGenerator(seed: 5)
        var found = 0
        for _ in 0..<400 {
            let (offset, bit) = (Int.random(in: 0..<size, using: &random), Int.random(in: 0..<8, using: &random))
            try sample.rot(offset, bit: bit)
            var isFound = false
            func expect<T: Equatable & Sendable>(
                _ right: T, _ read: @Sendable (SQLiteEngine) async throws -> T
            ) async throws {
                let result = try await sample.reopened(read)
                if let result { #expect(result == right, "bit \(bit) of byte \(offset)") } else { isFound = true }
            }
            let number = Int.random(in: 0..<2_000, using: &random)
            let key = try sample.key(number)
            try await expect(rows[number].values) { try await $0.get(key, in: Sample.storage) ?? [] }
            try await expect(rows) {
                try await $0.scan(.all, in: Sample.storage, rowLimit: .max, byteLimit: .max).rows
            }
            try await expect(statistics) { try await $0.statistics(of: .all, in: Sample.storage) }
            try await expect(checksum) {
                let snapshot = try await $0.snapshot(of: Sample.partition, in: Sample.storage)
                let result = try await snapshot.checksum()
                await snapshot.close()
                return result
            }
            try await expect(sample.position(20)) {
                try await $0.state(of: Sample.storage)?.partitions.first?.applied ?? .zero
            }
            if isFound { found += 1 }
            try sample.rot(offset, bit: bit)
        }
        // But for a page or two every one is read here.
        #expect(found > 350)
    }

    @Test("a bit that turns over in the write-ahead log is found when it is read, and never goes into the database")
    func bitsInTheLog() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(500)
        let written = try (0..<500).map { Row(key: try sample.key($0), values: sample.values($0)) }
        let log = URL(filePath: sample.database.path + "-wal")
        let size = try Data(contentsOf: log).count
        var random = SeededGenerator(seed: 6)
        var found = 0
        for _ in 0..<200 {
            let (offset, bit) = (Int.random(in: 32..<size, using: &random), Int.random(in: 0..<8, using: &random))
            try sample.rot(offset, bit: bit, of: log)
            // A connection of its own, which has nothing in memory.
            do throws(EngineError) {
                let snapshot = try await sample.engine.snapshot(of: partition, in: storage)
                let rows = try await snapshot.rows(after: nil, byteLimit: .max)
                #expect(rows == written)
                await snapshot.close()
            } catch {
                #expect(error.isDamage && "\(error)".contains("of its write-ahead log"), "\(error)")
                found += 1
            }
            try sample.rot(offset, bit: bit, of: log)
        }
        #expect(found > 10)
        // What brings the log into the database reads it too.
        let row = try #require(try Data(contentsOf: log).range(of: Data("row-42".utf8)))
        try sample.rot(row.lowerBound, bit: 1, of: log)
        var refusal: EngineError?
        for number in 6...200 where refusal == nil {
            let rows = try (0..<100).map { try sample.put(number * 100 + $0, bytes: 8_000) }
            do throws(EngineError) {
                _ = try await sample.engine.apply([sample.entry(number, rows)], to: partition, in: storage)
            } catch { refusal = error }
        }
        #expect(refusal?.isDamage ?? false, "\(String(describing: refusal))")
        await sample.engine.close()
    }

    @Test("a file that was cut short under an open engine gives no rows that were not there, and is named at the next start")
    func cutShort() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        await sample.engine.close()
        let engine = SQLiteEngine(folder: sample.folder.path)
        _ = try await engine.open()
        let whole = try Data(contentsOf: sample.database)
        for part in [whole.count / 2, whole.count - 8_192, whole.count - 100] {
            #expect(truncate(sample.database.path, off_t(part)) == 0)
            do throws(EngineError) {
                _ = try await engine.snapshot(of: partition, in: storage).checksum()
                Issue.record("nothing was missed of \(whole.count) bytes in \(part)")
            } catch { #expect(error.isDamage && "\(error)".contains("storage-7.sqlite"), "\(error)") }
            try whole.write(to: sample.database, options: [])
        }
        await engine.close()
        for part in [whole.count / 2, whole.count - 8_192, 5_000, 100] {
            #expect(truncate(sample.database.path, off_t(part)) == 0)
            let next = SQLiteEngine(folder: sample.folder.path)
            let error = try #require(try await next.open().damaged.first?.error, "\(part) bytes")
            #expect(error.isDamage && "\(error)".contains("storage-7.sqlite"), "\(error)")
            await next.close()
            try whole.write(to: sample.database, options: [])
        }
    }

    @Test("two pages that changed places are damage, though each is as it was written")
    func misplaced() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(2_000)
        await sample.engine.close()
        var bytes = try Data(contentsOf: sample.database)
        let pages = bytes.count / 8_192
        let (first, second) = ((pages - 2) * 8_192..<(pages - 1) * 8_192, (pages - 1) * 8_192..<pages * 8_192)
        let kept = Data(bytes[first])
        bytes[first] = bytes[second]
        bytes[second] = kept
        try bytes.write(to: sample.database)
        let read = try await sample.reopened {
            try await $0.scan(.all, in: Sample.storage, rowLimit: .max, byteLimit: .max).rows
        }
        #expect(read == nil)
    }

    @Test("what another program brought from the log into the database is damage, and is said to be that, maybe")
    func foreignCheckpoint() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(300)
        await sample.engine.close()
        let engine = SQLiteEngine(folder: sample.folder.path)
        _ = try await engine.open()
        try await engine.apply([sample.entry(4, [try sample.put(7, bytes: 99)])], to: partition, in: storage)
        var handle: OpaquePointer?
        #expect(sqlite3_open(sample.database.path, &handle) == SQLITE_OK)
        #expect(sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil) == SQLITE_OK)
        sqlite3_close(handle)
        await engine.close()
        let next = SQLiteEngine(folder: sample.folder.path)
        let error = try #require(try await next.open().damaged.first?.error)
        #expect(error.isDamage && "\(error)".contains("or another program wrote it"), "\(error)")
        await next.close()
    }

    @Test("a page whose end did not reach the disk is damage, whatever it holds", arguments: [4_096, 512])
    func lostEnds(bytes: Int) async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(50)
        // With pages that hold a part of one value and nothing else.
        try await sample.engine.apply([sample.entry(2, [try sample.put(71, bytes: 60_000)])], to: partition, in: storage)
        let rows = try await sample.engine.scan(.all, in: storage, rowLimit: .max, byteLimit: .max).rows
        await sample.engine.close()
        let whole = try Data(contentsOf: sample.database)
        #expect(whole.count > 12 * 8_192)
        for page in 1...UInt64(whole.count / 8_192) {
            var torn = whole
            torn.replaceSubrange(Int(page) * 8_192 - bytes..<Int(page) * 8_192, with: Data(count: bytes))
            try torn.write(to: sample.database)
            let read = try await sample.reopened {
                try await $0.scan(.all, in: Sample.storage, rowLimit: .max, byteLimit: .max).rows
            }
            #expect(read == nil || read == rows, "page \(page)")
            // It may be named at the start already.
            let found = try await sample.reopened { try await $0.inspect(Sample.storage, from: page, limit: 1).damaged ?? 0 }
            #expect(found == nil || found == page, "page \(page)")
        }
    }

    @Test("the page in which SQLite keeps its locks is never written, and is not missed")
    func locks() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(1)
        // The pages behind it are not there either, but they should be.
        #expect(truncate(sample.database.path, 1 << 30 + 2 * 8_192) == 0)
        #expect(try await sample.engine.inspect(storage, from: 131_073, limit: 1).damaged == nil)
        #expect(try await sample.engine.inspect(storage, from: 131_074, limit: 1).damaged == 131_074)
        await sample.engine.close()
    }

    @Test("a part of a page is given out only when the whole page is what was written")
    func parts() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        #expect(FailingFlush.install())
        try await sample.filled(0)
        try await sample.engine.apply([sample.entry(1, [try sample.put(71, bytes: 60_000)])], to: partition, in: storage)
        await sample.engine.close()
        var whole = try Data(contentsOf: sample.database)
        let pages = whole.count / 8_192
        var handle: OpaquePointer?
        #expect(sqlite3_open_v2(sample.database.path, &handle, SQLITE_OPEN_READONLY, "page-sums") == SQLITE_OK)
        defer { sqlite3_close(handle) }
        #expect(sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", nil, nil, nil) == SQLITE_OK)
        var opened: UnsafeMutablePointer<sqlite3_file>?
        #expect(sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &opened) == SQLITE_OK)
        let file = try #require(opened)
        func read(_ count: Int, at offset: Int) -> (code: Int32, bytes: Data) {
            var bytes = Data(count: count)
            let code = bytes.withUnsafeMutableBytes {
                file.pointee.pMethods.pointee.xRead(file, $0.baseAddress, Int32(count), Int64(offset))
            }
            return (code, bytes)
        }
        // Nobody sees the checksums.
        for page in 1...pages { whole.replaceSubrange(page * 8_192 - 8..<page * 8_192, with: Data(count: 8)) }
        let parts = [(0, 512), (0, 4_096), (0, 8_184), (4, 8_180), (4_096, 4_096), (100, 1), (8_000, 16_000)]
        for page in 1...pages - 3 {
            for (offset, count) in parts {
                let start = page * 8_192 + offset
                let part = read(count, at: start)
                #expect(part.code == SQLITE_OK && part.bytes == whole[start..<start + count], "\(count) bytes at \(start)")
            }
        }
        let rotten = 5
        try sample.rot(rotten * 8_192 + 6_000, bit: 3)
        let damage = SQLITE_IOERR | 32 << 8
        for (offset, count) in parts {
            #expect(read(count, at: rotten * 8_192 + offset).code == damage, "\(count) bytes at \(offset)")
            #expect(read(min(count, 512), at: (rotten + 1) * 8_192 + offset).code == SQLITE_OK)
        }
        // Newer versions of SQLite go past their own memory of pages where that is said to cost nothing.
        #expect(file.pointee.pMethods.pointee.xDeviceCharacteristics(file) & FailingFlush.readsParts == 0)
    }

    @Test("a log that has lost what is in the database already is damage; one that has lost what was not is read up to there")
    func lostFrames() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        for number in 1...5 {
            let rows = try (0..<100).map { try sample.put(number * 100 + $0) }
            try await sample.engine.apply([sample.entry(number, rows)], to: partition, in: storage)
        }
        /// The folder as it is now, as a crash would leave it.
        func crashed(_ name: String) throws -> Sample {
            let copy = try Sample(in: sample.folder.path + "-" + name)
            try FileManager.default.copyItem(at: sample.folder, to: copy.folder)
            return copy
        }
        func log(_ sample: Sample) -> URL { URL(filePath: sample.database.path + "-wal") }
        let size = try Data(contentsOf: log(sample)).count
        let frames = (size - 32) / 8_216
        // In each frame's header, and in its page.
        var places: [Int] = []
        for start in stride(from: 32, to: size, by: 8_216) { places += [start + 9, start + 6_000] }
        #expect(frames > 10)
        for place in places {
            let crashed = try crashed("before")
            defer { crashed.remove() }
            try crashed.rot(place, bit: 2, of: log(crashed))
            let found = try await crashed.engine.open().storages.first
            let applied = try #require(found?.partitions.first).applied.sequence
            let rows = try await crashed.engine.statistics(of: .all, in: storage).rows
            #expect(applied < 5 && rows == 100 * applied, "byte \(place)")
            await crashed.engine.close()
        }

        var handle: OpaquePointer?
        #expect(sqlite3_open_v2(sample.database.path, &handle, SQLITE_OPEN_READWRITE, "page-sums") == SQLITE_OK)
        #expect(sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", nil, nil, nil) == SQLITE_OK)
        var (found, done) = (Int32(0), Int32(0))
        #expect(sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, &found, &done) == SQLITE_OK)
        sqlite3_close(handle)
        #expect(found == frames && done == frames)
        for place in [3, 9, 20, 31] + places {
            let crashed = try crashed("after")
            defer { crashed.remove() }
            try crashed.rot(place, bit: 2, of: log(crashed))
            let error = try await crashed.engine.open().damaged.first?.error
            #expect(error?.isDamage ?? false, "byte \(place)")
            #expect("\(String(describing: error))".contains("of its write-ahead log"), "byte \(place)")
            await crashed.engine.close()
        }
        let whole = try crashed("whole")
        defer { whole.remove() }
        #expect(try await whole.engine.open().storages.first?.partitions.first?.applied == sample.position(5))
        #expect(try await whole.engine.statistics(of: .all, in: storage).rows == 500)
        await whole.engine.close()
        await sample.engine.close()
    }

    @Test("a transaction that memory does not hold reads its own pages back, and so does whoever comes after it")
    func largeTransaction() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        var random = SeededGenerator(seed: 7)
        let numbers = (0..<6_000).shuffled(using: &random)
        // Each page is written out, comes back, and is changed once more.
        let entries = try [4_000, 8_000, 7_000].enumerated().map { index, bytes in
            sample.entry(index + 1, try numbers.map { try sample.put($0, bytes: bytes) })
        }
        try await sample.engine.apply(entries, to: partition, in: storage)
        try await sample.engine.apply(
            [sample.entry(4, try numbers.map { try sample.put($0, bytes: 3_000) })], to: partition, in: storage)
        let snapshot = try await sample.engine.snapshot(of: partition, in: storage)
        var (count, last) = (0, Key?.none)
        while case let rows = try await snapshot.rows(after: last, byteLimit: 1 << 22), let end = rows.last {
            for row in rows {
                guard case .integer(let number) = row.values[1] else { continue }
                #expect(row.values == sample.values(Int(number), bytes: 3_000))
            }
            (count, last) = (count + rows.count, end.key)
        }
        #expect(count == 6_000)
        await snapshot.close()
        await sample.engine.close()
        #expect(try await sample.reopened { try await $0.get(try sample.key(5_999), in: storage) } != nil)
    }

    @Test("a file of a format without checksums is refused by that name, and left as it is", arguments: [1, 2])
    func withoutChecksums(version: Int) async throws {
        let sample = try Sample()
        defer { sample.remove() }
        await sample.engine.close()
        try FileManager.default.createDirectory(at: sample.folder, withIntermediateDirectories: true)
        for file in try FileManager.default.contentsOfDirectory(at: sample.folder, includingPropertiesForKeys: nil) {
            try FileManager.default.removeItem(at: file)
        }
        var handle: OpaquePointer?
        #expect(sqlite3_open(sample.database.path, &handle) == SQLITE_OK)
        let text = """
            PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA application_id = 0x43585357; PRAGMA user_version = \(version);
            CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(20000)); PRAGMA wal_checkpoint(TRUNCATE)
            """
        #expect(sqlite3_exec(handle, text, nil, nil, nil) == SQLITE_OK)
        sqlite3_close(handle)
        let before = try Data(contentsOf: sample.database)
        let engine = SQLiteEngine(folder: sample.folder.path)
        let error = try #require(try await engine.open().damaged.first?.error)
        #expect(!error.isDamage && "\(error)".contains("the file's format is \(version); this version knows 3"), "\(error)")
        await engine.close()
        #expect(try Data(contentsOf: sample.database) == before)
    }
}

extension Sample {
    var database: URL { folder.appending(path: "storage-\(Self.storage).sqlite") }

    /// Turns one bit over, or back.
    func rot(_ offset: Int, bit: Int, of file: URL? = nil) throws {
        let handle = try FileHandle(forUpdating: file ?? database)
        try handle.seek(toOffset: UInt64(offset))
        let byte = try handle.read(upToCount: 1)?.first ?? 0
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data([byte ^ 1 << bit]))
        try handle.close()
    }

    /// What a process that starts now reads; nil when it says that the storage is damaged, at its start or when it is read.
    func reopened<Result: Sendable>(_ read: @Sendable (SQLiteEngine) async throws -> Result) async throws -> Result? {
        let engine = SQLiteEngine(folder: folder.path)
        let found = try await engine.open()
        var result: Result?
        if let damage = found.damaged.first {
            guard damage.error.isDamage else { throw damage.error }
        } else {
            do { result = try await read(engine) } catch let error as EngineError where error.isDamage {}
        }
        await engine.close()
        return result
    }
}
