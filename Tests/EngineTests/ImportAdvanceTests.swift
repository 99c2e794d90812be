import Engine
import Foundation
import Model
import Testing

/// An unfinished copy that is brought on to a later point of its source's history.
@Suite struct ImportAdvanceTests {
    private let storage = StorageID(30)

    /// A source with 400 rows at its fourth entry, and a target that has stored two chunks of them.
    private func begun() async throws -> (source: Sample, target: Sample, ImportState) {
        let (source, target) = (try Sample(), try Sample())
        try await source.filled(400)
        _ = try await target.engine.open()
        let snapshot = try await source.engine.snapshot(of: Sample.partition, in: Sample.storage)
        var state = try await target.engine.beginImport(storage, for: target.table, at: snapshot.state)
        for _ in 0..<2 {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 8_000)
            state = try await target.engine.ingest(rows, nil, chunk: state.chunks, of: state.start, into: storage)
        }
        await snapshot.close()
        return (source, target, state)
    }

    /// Changes on both sides of any cursor.
    private func changes(_ source: Sample, from first: Int) throws -> [CommittedEntry] {
        try (0..<10).map { turn in
            source.entry(
                first + turn,
                [
                    try source.put(turn * 40 + 1, bytes: 9), .delete(key: try source.key(turn * 40 + 2)),
                    try source.put(1_000 + turn), try source.put(-turn - 1),
                ])
        }
    }

    @Test("the rows up to the cursor follow the entries, those behind it come with a later snapshot, and both ends are equal")
    func advances() async throws {
        let (source, target, first) = try await begun()
        var state = first
        defer {
            source.remove()
            target.remove()
        }
        let entries = try changes(source, from: 5)
        try await source.engine.apply(entries, to: Sample.partition, in: Sample.storage)
        for part in [entries[..<3], entries[3...]] {
            state = try await target.engine.advanceImport(by: Array(part), chunk: state.chunks, of: state.start, in: storage)
            // Whoever is killed here finds rows and cursor as they belong together.
            await target.engine.close()
            let found = try await target.engine.open()
            #expect(found.storages.first?.imported == state)
        }
        let snapshot = try await source.engine.snapshot(of: Sample.partition, in: Sample.storage)
        #expect(state.start == snapshot.state)
        while true {
            let rows = try await snapshot.rows(after: state.last, byteLimit: 8_000)
            if rows.isEmpty { break }
            state = try await target.engine.ingest(rows, nil, chunk: state.chunks, of: state.start, into: storage)
        }
        try await target.engine.finishImport(of: state.start, in: storage)
        let copy = try await target.engine.snapshot(of: Sample.partition, in: storage)
        #expect(try await copy.checksum() == snapshot.checksum())
        await copy.close()
        await snapshot.close()
        await source.engine.close()
        await target.engine.close()
    }

    @Test("entries with a gap, out of turn or for another copy change nothing")
    func refused() async throws {
        let (source, target, state) = try await begun()
        defer {
            source.remove()
            target.remove()
        }
        let (engine, storage) = (target.engine, storage)
        let entries = try changes(source, from: 5)
        let torn = [entries[0], entries[2]]
        await #expect(throws: EngineError.gap(Sample.partition, applied: source.position(5), next: source.position(7))) {
            try await engine.advanceImport(by: torn, chunk: state.chunks, of: state.start, in: storage)
        }
        await #expect(throws: EngineError.notNextChunk(expected: 2, found: 3)) {
            try await engine.advanceImport(by: entries, chunk: 3, of: state.start, in: storage)
        }
        var other = state.start
        other.checksum ^= 1
        await #expect(throws: EngineError.noImport(storage)) {
            try await engine.advanceImport(by: entries, chunk: state.chunks, of: other, in: storage)
        }
        #expect(try await engine.state(of: storage)?.imported == state)
        // Who was still sending at the earlier point is not heard any more.
        try await engine.advanceImport(by: entries, chunk: state.chunks, of: state.start, in: storage)
        await #expect(throws: EngineError.noImport(storage)) {
            try await engine.ingest([], nil, chunk: state.chunks, of: state.start, into: storage)
        }
        await source.engine.close()
        await engine.close()
    }

    @Test("what is stored is kept for whoever can bring it on; for all others the copy begins anew, with nothing stored")
    func kept() async throws {
        let (source, target, state) = try await begun()
        defer {
            source.remove()
            target.remove()
        }
        var later = state.start
        (later.applied, later.checksum) = (source.position(9), 27)
        let kept = try await target.engine.beginImport(storage, for: target.table, at: later, advancing: true)
        #expect(kept == state)
        let anew = try await target.engine.beginImport(storage, for: target.table, at: later)
        #expect(anew == ImportState(start: later, chunks: 0, last: nil))
        #expect(try await target.engine.statistics(of: .all, in: storage).rows == 0)
        await source.engine.close()
        await target.engine.close()
    }

    @Test("a copy whose removal is cut off is never brought on: the cursor goes before the rows", arguments: [true, false])
    func cutOff(isDropped: Bool) async throws {
        let (source, target, state) = try await begun()
        defer {
            source.remove()
            target.remove()
        }
        // Beside another one, so that the file stays.
        let (lower, upper) = try #require(KeyRange.all.split(at: try source.key(20)))
        await target.engine.close()
        target.remove()
        _ = try await target.engine.open()
        try await target.engine.create(
            storage, for: target.table,
            holding: PartitionState(partition: PartitionID(99), range: lower, applied: .zero, checksum: 0))
        let start = PartitionState(
            partition: Sample.partition, range: upper, applied: state.start.applied, checksum: state.start.checksum)
        let snapshot = try await source.engine.snapshot(of: Sample.partition, in: Sample.storage)
        let rows = try await snapshot.rows(after: nil, byteLimit: 1 << 20).filter { upper.contains($0.key) }
        await snapshot.close()
        _ = try await target.engine.beginImport(storage, for: target.table, at: start)
        try await target.engine.ingest(rows, nil, chunk: 0, of: start, into: storage)
        var later = start
        later.applied = source.position(9)
        if isDropped {
            #expect(try await !target.engine.remove(Sample.partition, from: storage, limit: 10))
        } else {
            let begun = try await target.engine.beginImport(
                storage, for: target.table, at: later, advancing: false, limit: 10)
            #expect(begun == nil)
        }
        #expect(try await target.engine.statistics(of: upper, in: storage).rows == UInt64(rows.count - 10))
        let found = try await target.engine.beginImport(storage, for: target.table, at: later, advancing: true)
        #expect(found == ImportState(start: later, chunks: 0, last: nil))
        #expect(try await target.engine.statistics(of: upper, in: storage).rows == 0)
        await source.engine.close()
        await target.engine.close()
    }
}
