// What the engine remembers of writes that are to happen once (rule R8).

import Engine
import Foundation
import Model
import Testing

@Suite struct WriteRecordTests {
    private let partition = Sample.partition
    private let storage = Sample.storage

    private func key(_ second: Int64) throws -> IdempotencyKey {
        var random = SeededGenerator(seed: UInt64(second))
        return IdempotencyKey(madeAt: WallTime(milliseconds: second * 1_000), random: &random)
    }

    /// An entry that puts one row under a key made at `second`, and forgets keys older than `horizon`.
    private func entry(_ sample: Sample, _ sequence: Int, row: Int, at second: Int64, horizon: Int64) throws -> CommittedEntry {
        let write = AppliedWrite(
            key: try key(second), row: try sample.key(row), checksum: UInt32(row), position: sample.position(sequence))
        return CommittedEntry(
            position: sample.position(sequence), checksum: UInt32(sequence * 3), mutations: [try sample.put(row)],
            record: WriteRecord([write], horizon: WallTime(milliseconds: horizon * 1_000)))
    }

    private func recall(_ engine: SQLiteEngine, _ second: Int64, _ partition: PartitionID) async throws -> Recollection {
        try await engine.recall(try key(second), of: partition, in: storage)
    }

    @Test("a write is remembered with its rows, also by the next life of the engine, and another is not known")
    func remembers() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        try await sample.engine.apply(
            [try entry(sample, 1, row: 1, at: 700, horizon: 100), try entry(sample, 2, row: 2, at: 701, horizon: 101)],
            to: partition, in: storage)
        let known = try await recall(sample.engine, 700, partition)
        #expect(known.write?.position == sample.position(1) && known.write?.checksum == 1)
        #expect(known.applied == sample.position(2) && known.forgotten == ForgottenKeys())
        #expect(try await recall(sample.engine, 702, partition).write == nil)
        await sample.engine.close()
        let again = SQLiteEngine(folder: sample.folder.path)
        _ = try await again.open()
        #expect(try await recall(again, 701, partition).write?.position == sample.position(2))
        await again.close()
    }

    @Test("a key is forgotten only when the horizon has passed it, and is known for forgotten wherever the horizon goes")
    func forgets() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        for (sequence, second) in [600, 601, 602].enumerated() {
            try await sample.engine.apply(
                [try entry(sample, sequence + 1, row: sequence, at: Int64(second), horizon: 0)], to: partition, in: storage)
        }
        try await sample.engine.apply([try entry(sample, 4, row: 4, at: 1_201, horizon: 601)], to: partition, in: storage)
        #expect(try await recall(sample.engine, 600, partition).write == nil)
        #expect(try await recall(sample.engine, 601, partition).write != nil)
        try await sample.engine.apply([try entry(sample, 5, row: 5, at: 1_000, horizon: 300)], to: partition, in: storage)
        let forgotten = try await recall(sample.engine, 600, partition).forgotten
        #expect(forgotten.contains(time(600)) && !forgotten.contains(time(601)))
    }

    private func time(_ second: Int64) -> WallTime { WallTime(milliseconds: second * 1_000) }

    @Test("clocks that were ahead for a day leave nobody refused but those whose keys are forgotten (R8)")
    func clocksAhead() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(0)
        let day: Int64 = 86_400
        let seconds = [10_000, 10_001] + [day + 10_002, day + 10_700, day + 11_400, day + 12_100] + [10_002, 11_000, 11_700]
        for (index, second) in seconds.enumerated() {
            try await sample.engine.apply(
                [try entry(sample, index + 1, row: index, at: second, horizon: second - 600)], to: partition, in: storage)
        }
        let known = try await recall(sample.engine, 11_700, partition)
        for (index, second) in seconds.enumerated() {
            // Nothing that was used is unknown.
            let write = try await recall(sample.engine, second, partition).write
            #expect(write != nil || known.forgotten.contains(time(second)), "\(second)")
            #expect(write == nil || write?.position == sample.position(index + 1))
        }
        #expect(known.write != nil && known.forgotten.contains(time(day + 11_400)))
        for second in [11_702, 12_300, day] as [Int64] { #expect(!known.forgotten.contains(time(second)), "\(second)") }
        await sample.engine.close()
        let again = SQLiteEngine(folder: sample.folder.path)
        _ = try await again.open()
        #expect(try await recall(again, 11_700, partition).forgotten == known.forgotten)
        await again.close()
    }

    @Test("of forgotten keys so many spans are kept apart, and beyond that nothing is lost of the oldest")
    func spans() {
        var forgotten = ForgottenKeys(before: time(1_000))
        forgotten.insert(time(1_600)..<time(1_601))
        #expect(forgotten.spans == [time(0)..<time(1_601)])
        let later = (1...20).map { time(Int64($0) * 10_000)..<time(Int64($0) * 10_000 + 1) }
        later.reversed().forEach { forgotten.insert($0) }
        #expect(forgotten.spans.count == ForgottenKeys.most)
        #expect(forgotten.spans[0].lowerBound == time(0))
        #expect(later.allSatisfy { forgotten.contains($0.lowerBound) })
        #expect(!forgotten.contains(time(195_000)) && forgotten.end == time(200_001))
    }

    @Test("keys go after their rows: children of a split know them, a copy brings those of its range and what is forgotten")
    func goWithTheirRows() async throws {
        let (source, target) = (try Sample(), try Sample())
        defer {
            source.remove()
            target.remove()
        }
        try await source.filled(0)
        for number in 1...40 {
            try await source.engine.apply(
                [try entry(source, number, row: number, at: 700 + Int64(number), horizon: number < 40 ? 100 : 702)],
                to: partition, in: storage)
        }
        let (lower, upper) = try #require(KeyRange.all.split(at: try source.key(21)))
        let halves = [(20, lower), (21, upper)].map {
            PartitionState(partition: PartitionID($0), range: $1, applied: source.position(40), checksum: 3)
        }
        try await source.engine.split(partition, into: halves, in: storage, at: source.position(40))
        for child in halves { #expect(try await recall(source.engine, 705, child.partition).write != nil) }
        // And so does what a merge makes of the children, all of them.
        let parents = halves.map { MergedPartition(partition: $0.partition, end: source.position(40)) }
        let merged = PartitionState(partition: PartitionID(22), range: .all, applied: source.position(40), checksum: 4)
        try await source.engine.merge(parents, into: merged, in: storage)
        for number in 2...40 { #expect(try await recall(source.engine, 700 + Int64(number), merged.partition).write != nil) }
        let forgotten = try await recall(source.engine, 701, merged.partition).forgotten
        try await source.engine.split(merged.partition, into: halves, in: storage, at: source.position(40))

        _ = try await target.engine.open()
        let snapshot = try await source.engine.snapshot(of: PartitionID(21), in: storage)
        _ = try await target.engine.beginImport(storage, for: target.table, at: snapshot.state)
        var (last, chunk, pages) = (IdempotencyKey?.none, UInt64(0), 0)
        repeat {
            let record = try await snapshot.writes(after: last, byteLimit: 500)
            try await target.engine.ingest([], record, chunk: chunk, of: snapshot.state, into: storage)
            (last, chunk, pages) = (record.writes.last?.key, chunk + 1, pages + 1)
        } while last != nil
        #expect(pages > 2)
        try await target.engine.finishImport(of: snapshot.state, in: storage)
        for number in 1...40 {
            let known = try await recall(target.engine, 700 + Int64(number), PartitionID(21))
            #expect((known.write != nil) == upper.contains(try source.key(number)))
            #expect(known.forgotten == forgotten && forgotten.contains(time(701)))
        }
        // With the partition its keys go.
        try await source.engine.remove(PartitionID(21), from: storage)
        #expect(try await recall(source.engine, 730, PartitionID(20)).write == nil)
        #expect(try await recall(source.engine, 705, PartitionID(20)).write != nil)
        await snapshot.close()
    }
}
