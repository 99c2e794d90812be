import Engine
import Foundation
import Model
import Testing

/// What a crash leaves: the files as they are at that moment, the write-ahead log cut anywhere.
@Suite(.timeLimit(.minutes(5))) struct CrashTests {
    @Test("wherever the write-ahead log is cut, rows and applied position agree, and nothing synced is lost")
    func cutLog() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        func apply(_ numbers: ClosedRange<Int>) async throws {
            for number in numbers {
                try await sample.engine.apply(
                    [sample.entry(number, [try sample.put(number), try sample.put(10_000 + number)])], to: Sample.partition,
                    in: Sample.storage)
            }
        }
        try await apply(1...20)
        let synced = try #require(try await sample.engine.sync(Sample.storage).first)
        let name = "storage-7.sqlite"
        let keptLog = try Data(contentsOf: sample.folder.appending(path: name + "-wal")).count
        try await apply(21...40)
        let database = try Data(contentsOf: sample.folder.appending(path: name))
        let log = try Data(contentsOf: sample.folder.appending(path: name + "-wal"))
        #expect(log.count > keptLog)
        var seen: Set<UInt64> = []
        for cut in stride(from: keptLog, through: log.count, by: 4_099) {
            let crashed = sample.folder.appending(path: "crashed-\(cut)")
            try FileManager.default.createDirectory(at: crashed, withIntermediateDirectories: true)
            try database.write(to: crashed.appending(path: name))
            try log.prefix(cut).write(to: crashed.appending(path: name + "-wal"))
            let engine = SQLiteEngine(folder: crashed.path)
            let found = try await engine.open()
            let state = try #require(found.storages.first?.partitions.first)
            let rows = try await engine.statistics(of: .all, in: Sample.storage).rows
            #expect(rows == 2 * state.applied.sequence && state.applied >= synced.applied, "cut at \(cut)")
            // The log is read again from there: the entry that follows is taken.
            let next = Int(state.applied.sequence) + 1
            try await engine.apply([sample.entry(next, [try sample.put(next)])], to: Sample.partition, in: Sample.storage)
            await engine.close()
            seen.insert(state.applied.sequence)
        }
        #expect(seen.count > 5 && seen.contains(20))
        await sample.engine.close()
    }

    @Test("a copy cut off goes on from the cursor that is on disk")
    func cutImport() async throws {
        let (source, target) = (try Sample(), try Sample())
        defer {
            source.remove()
            target.remove()
        }
        try await source.filled(400)
        let snapshot = try await source.engine.snapshot(of: Sample.partition, in: Sample.storage)
        _ = try await target.engine.open()
        var state = try await target.engine.beginImport(Sample.storage, for: target.table, at: snapshot.state)
        for _ in 0..<4 {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 4_000)
            state = try await target.engine.ingest(rows, nil, chunk: state.chunks, of: snapshot.state, into: Sample.storage)
        }
        let crashed = target.folder.appending(path: "crashed")
        try FileManager.default.createDirectory(at: crashed, withIntermediateDirectories: true)
        let log = try Data(contentsOf: target.folder.appending(path: "storage-7.sqlite-wal"))
        try Data(contentsOf: target.folder.appending(path: "storage-7.sqlite")).write(
            to: crashed.appending(path: "storage-7.sqlite"))
        try log.prefix(log.count - 100).write(to: crashed.appending(path: "storage-7.sqlite-wal"))
        let engine = SQLiteEngine(folder: crashed.path)
        let found = try #require(try await engine.open().storages.first?.imported)
        #expect(found.chunks == 3 && found.start == snapshot.state)
        state = found
        while true {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 4_000)
            if rows.isEmpty { break }
            state = try await engine.ingest(rows, nil, chunk: state.chunks, of: snapshot.state, into: Sample.storage)
        }
        try await engine.finishImport(of: snapshot.state, in: Sample.storage)
        let copy = try await engine.snapshot(of: Sample.partition, in: Sample.storage)
        let (ours, theirs) = (try await copy.checksum(), try await snapshot.checksum())
        #expect(ours == theirs)
        await copy.close()
        await snapshot.close()
        await engine.close()
    }
}
