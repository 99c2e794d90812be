import DiskKit
import Engine
import Foundation
import LogStorage
import Model
import Testing

/// Disks that fail under the engine.
@Suite(.timeLimit(.minutes(5))) struct SickDiskTests {
    @Test("a flush that fails under the engine ends the process, and is never tried again (C3)")
    func flushFails() async throws {
        try #require(FailingFlush.install())
        let failures = DiskFailures()
        let sample = try Sample(onDiskFailure: failures.response)
        defer { sample.remove() }
        try await sample.filled(100)
        try await sample.engine.sync(Sample.storage)
        try await sample.engine.apply(
            [sample.entry(2, [try sample.put(1)])], to: Sample.partition, in: Sample.storage)

        FailingFlush.begin(in: sample.folder.path)
        await #expect(throws: EngineError.self) { try await sample.engine.sync(Sample.storage) }
        let database = sample.folder.path + "/storage-7.sqlite"
        #expect(failures.seen == [.syncFailed(path: database, code: EIO)])
        // The next one would succeed, and say of pages that the kernel has given up that they are on disk.
        FailingFlush.end(in: sample.folder.path)
        await #expect(throws: EngineError.self) { try await sample.engine.sync(Sample.storage) }
        await #expect(throws: EngineError.self) {
            try await sample.engine.apply(
                [sample.entry(3, [try sample.put(2)])], to: Sample.partition, in: Sample.storage)
        }
        await sample.engine.close()
    }

    @Test("so does one that fails while the write-ahead log is brought into the database (C3)")
    func checkpointFails() async throws {
        try #require(FailingFlush.install())
        let failures = DiskFailures()
        let sample = try Sample(onDiskFailure: failures.response)
        defer { sample.remove() }
        // The first write to a log flushes its header.
        try await sample.filled(100)
        FailingFlush.begin(in: sample.folder.path)
        // Commits need no flush, so all goes well until the log is long.
        var failedAt: Int?
        for number in 2...200 where failedAt == nil {
            let rows = try (0..<100).map { try sample.put(number * 100 + $0, bytes: 8_000) }
            let entry = sample.entry(number, rows)
            do throws(EngineError) {
                _ = try await sample.engine.apply([entry], to: Sample.partition, in: Sample.storage)
            } catch {
                guard case .syncFailed = error else { throw error }
                failedAt = number
            }
        }
        #expect(failedAt ?? 0 > 10)
        #expect(failures.seen.count == 1)
        FailingFlush.end(in: sample.folder.path)
        await sample.engine.close()
    }

    @Test("the write-ahead log is on the disk before SQLite notes how much of it may be in the database")
    func logIsFlushedFirst() async throws {
        try #require(FailingFlush.install())
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(100)
        func longest() -> FailingFlush.LogFlush? {
            FailingFlush.logFlushes(in: sample.folder.path).first { $0.bytes > 60 << 20 }
        }
        for number in 2...200 where longest() == nil {
            let rows = try (0..<100).map { try sample.put(number * 100 + $0, bytes: 8_000) }
            try await sample.engine.apply([sample.entry(number, rows)], to: Sample.partition, in: Sample.storage)
        }
        #expect(longest()?.noted == 0)
        #expect(FailingFlush.logFlushes(in: sample.folder.path).contains { $0.noted > 8_000 })
        await sample.engine.close()

        // So it is when the last connection is closed.
        let closed = try Sample()
        defer { closed.remove() }
        try await closed.filled(2_000)
        await closed.engine.close()
        let flushes = FailingFlush.logFlushes(in: closed.folder.path)
        let whole = try #require(flushes.map(\.bytes).max())
        #expect(whole > 200_000 && flushes.first { $0.bytes == whole }?.noted == 0)
    }

    @Test("while somebody reads for long, not every commit flushes the log that cannot be shortened, and later it is")
    func longReader() async throws {
        try #require(FailingFlush.install())
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(100)
        let reader = try await sample.engine.snapshot(of: Sample.partition, in: Sample.storage)
        var number = 1
        func apply(_ count: Int, bytes: Int) async throws {
            number += 1
            let rows = try (0..<count).map { try sample.put(number * 100 + $0, bytes: bytes) }
            try await sample.engine.apply([sample.entry(number, rows)], to: Sample.partition, in: Sample.storage)
        }
        func flushes() -> [FailingFlush.LogFlush] {
            FailingFlush.logFlushes(in: sample.folder.path).filter { $0.bytes > 60 << 20 }
        }
        while flushes().isEmpty, number < 200 { try await apply(100, bytes: 8_000) }
        let first = flushes()
        #expect(!first.isEmpty && first.allSatisfy { $0.noted < 1_000 })
        for _ in 0..<20 { try await apply(1, bytes: 40) }
        #expect(flushes() == first)
        await reader.close()
        // Once as much has come again, all of it is brought into the file.
        func isWhole() -> Bool { flushes().contains { $0.noted > 15_000 } }
        while !isWhole(), number < 400 { try await apply(100, bytes: 8_000) }
        #expect(isWhole())
        await sample.engine.close()
    }

    @Test(
        "on a full disk an entry is refused whole, for want of room and nothing else, and is taken when there is some (F6)",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func fullDisk() async throws {
        try #require(FailingFlush.install())
        let disk = try SmallDisk(bytes: 8 << 20)
        let sample = try Sample(in: disk.path + "/storages")
        try await sample.filled(100)
        try disk.fill()
        let large = sample.entry(2, try (1_000..<1_100).map { try sample.put($0, bytes: 8_000) })
        for _ in 0..<3 {
            do throws(EngineError) {
                _ = try await sample.engine.apply([large], to: Sample.partition, in: Sample.storage)
                Issue.record("there was room")
            } catch {
                #expect(error.remedy == .room, "\(error)")
            }
        }
        #expect(try await sample.engine.statistics(of: .all, in: Sample.storage).rows == 100)
        try disk.makeRoom()
        try await sample.engine.apply([large], to: Sample.partition, in: Sample.storage)
        #expect(try await sample.engine.statistics(of: .all, in: Sample.storage).rows == 200)
        await sample.engine.close()
    }

    @Test(
        "a storage whose making ran out of room, wherever in it, is made when there is some",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func makingOnFullDisk() async throws {
        try #require(FailingFlush.install())
        let disk = try SmallDisk(bytes: 2 << 20)
        let sample = try Sample(in: disk.path + "/storages")
        _ = try await sample.engine.open()
        var refusals = 0
        for pages in 0..<64 {
            let storage = StorageID(UInt64(100 + pages))
            func make() async throws(EngineError) {
                _ = try await sample.engine.create(storage, for: sample.table, holding: Sample.fresh, limit: 1_000)
            }
            try disk.fill(leaving: pages * 4_096)
            do throws(EngineError) { try await make() } catch { refusals += 1 }
            try disk.makeRoom()
            try await make()
            #expect(try await sample.engine.state(of: storage)?.partitions == [Sample.fresh])
            #expect(try await sample.engine.remove(Sample.partition, from: storage, limit: 1_000))
        }
        // Else there was always too much room, or never enough.
        #expect((8..<64).contains(refusals), "\(refusals)")
        await sample.engine.close()
    }

    @Test("a removal takes no more rows in a step than it may, and is over when it says so")
    func removalInSteps() async throws {
        let sample = try Sample()
        defer { sample.remove() }
        try await sample.filled(1_000)
        let middle = try sample.key(500)
        let halves = [
            PartitionState(
                partition: PartitionID(8), range: KeyRange(low: .least, high: middle), applied: sample.position(10), checksum: 1
            ),
            PartitionState(
                partition: PartitionID(9), range: KeyRange(low: middle, high: nil), applied: sample.position(10), checksum: 1),
        ]
        try await sample.engine.split(Sample.partition, into: halves, in: Sample.storage, at: sample.position(10))
        var left: [UInt64] = []
        while try await !sample.engine.remove(PartitionID(8), from: Sample.storage, limit: 200) {
            left.append(try await sample.engine.statistics(of: .all, in: Sample.storage).rows)
        }
        #expect(left == [800, 600])
        #expect(try await sample.engine.statistics(of: .all, in: Sample.storage).rows == 500)
        #expect(try await sample.engine.state(of: Sample.storage)?.partitions.map(\.partition) == [PartitionID(9)])
        await sample.engine.close()
    }
}
