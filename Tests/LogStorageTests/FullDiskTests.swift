import DiskKit
import DurableLog
import Foundation
@testable import LogStorage
import Model
import Synchronization
import Testing

@Suite("A disk that is nearly full, full, and has space again") struct FullDiskTests {
    private static func open(
        _ disk: SmallDisk, reserve: Int = 256 << 10, failures: Failures = Failures(), replay: (LogRecord) -> Void = { _ in }
    ) throws -> GroupCommitLog {
        let options = LogOptions(
            segmentBytes: 64 << 10, reserveBytes: reserve, spaceInterval: .milliseconds(5), onDiskFailure: failures.response)
        return try GroupCommitLog(folder: disk.path + "/log", store: StoreID(42), options: options, replay: replay)
    }

    private static func record(_ number: Int) -> NewRecord {
        NewRecord(kind: 1, payload: Array("\(number)".utf8) + [UInt8](repeating: 7, count: 4_000))
    }

    @Test(
        "the bound is met early, opens again only with a quarter more, and waiting is full whatever is free",
        arguments: [
            (DiskSpace.ample(free: 900), 100, true, false, DiskSpace.ample(free: 100)),
            (.ample(free: 900), 99, true, false, .nearlyFull(free: 99, bound: 100)),
            (.ample(free: 900), 900, false, false, .nearlyFull(free: 900, bound: 100)),
            (.nearlyFull(free: 99, bound: 100), 124, true, false, .nearlyFull(free: 124, bound: 100)),
            (.nearlyFull(free: 99, bound: 100), 125, true, false, .ample(free: 125)),
            (.full(free: 0, bound: 100), 110, true, false, .nearlyFull(free: 110, bound: 100)),
            (.full(free: 0, bound: 100), 900, true, true, .full(free: 900, bound: 100)),
        ])
    func states(before: DiskSpace, free: Int, isReserved: Bool, isWaiting: Bool, after: DiskSpace) {
        #expect(before.seen(free: free, bound: 100, isReserved: isReserved, isWaiting: isWaiting) == after)
        #expect(after.admits == (after == .ample(free: free)))
    }

    @Test(
        "before a write has to wait, the log says that the disk is nearly full",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func early() async throws {
        let disk = try SmallDisk(bytes: 2 << 20)
        let log = try Self.open(disk)
        try await eventually("space at the start") { log.space.admits }
        try disk.fill(leaving: 128 << 10)
        try await eventually("the bound is met") { if case .nearlyFull = log.space { true } else { false } }
        // What was admitted before has its space: the rest of this segment, and the next one.
        for number in 0..<16 { _ = try await log.append([Self.record(number)]) }
        try disk.makeRoom()
        try await eventually("space again") { log.space.admits }
    }

    @Test(
        "on a full disk writes wait, and go on by themselves in their order when there is space",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func full() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let failures = Failures()
        let done = Mutex<[Int]>([])
        do {
            let log = try Self.open(disk, failures: failures)
            try disk.fill()
            for number in 0..<60 {
                log.submit([Self.record(number)]) { result in
                    if case .success = result { done.withLock { $0.append(number) } }
                }
            }
            try await eventually("a write waits") { if case .full = log.space { true } else { false } }
            #expect(log.statistics.oldestPending != nil)
            let before = done.withLock { $0.count }
            #expect(before >= 15 && before < 60, "\(before) were written into what was reserved")
            // Those who come while others wait stand behind them.
            for number in 60..<80 {
                log.submit([Self.record(number)]) { result in
                    if case .success = result { done.withLock { $0.append(number) } }
                }
            }
            try disk.makeRoom()
            try await eventually("all are written") { done.withLock { $0.count } == 80 }
            #expect(done.withLock { $0 } == Array(0..<80))
            #expect(log.statistics.oldestPending == nil)
            try await eventually("space again") { log.space.admits }
        }
        #expect(failures.seen.isEmpty)
        var found: [[UInt8]] = []
        _ = try Self.open(disk) { found.append($0.payload) }
        #expect(found == (0..<80).map { Self.record($0).payload })
    }

    @Test(
        "what comes when a part of its batch is written stands behind the part that waits",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func amidBatch() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let log = try Self.open(disk)
        let asked = Mutex<[Int]>([])
        let done = Mutex<[Int]>([])
        /// Whoever is answered asks for one more: before the others of its batch are put aside.
        @Sendable func submit(_ number: Int) {
            asked.withLock { asked in
                asked.append(number)
                log.submit([Self.record(number)]) { result in
                    guard case .success = result else { return }
                    done.withLock { $0.append(number) }
                    if number < 100 { submit(number + 100) }
                }
            }
        }
        try disk.fill()
        for number in 0..<60 { submit(number) }
        try await eventually("a write waits") { if case .full = log.space { true } else { false } }
        try disk.makeRoom()
        try await eventually("all are written") { done.withLock { $0.count } == 120 }
        #expect(done.withLock { $0 } == asked.withLock { $0 })
    }

    @Test(
        "an unfinished write is cut off on a full disk too, though no copy of it can be kept",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func torn() async throws {
        // No room for a second segment, whose space could be used.
        let disk = try SmallDisk(bytes: 100 << 10)
        do {
            let log = try Self.open(disk)
            for number in 1...2 { _ = try await log.append([Self.record(number)]) }
        }
        let segment = URL(fileURLWithPath: disk.path + "/log/segment-00000000000000000001")
        var bytes = try Data(contentsOf: segment)
        let first = SegmentHeader.bytes + RecordFormat.encodedBytes(payload: Self.record(1).payload.count)
        bytes.resetBytes(in: first + 40..<bytes.count)
        try bytes.write(to: segment)
        try disk.fill()
        var found = 0
        let log = try Self.open(disk) { _ in found += 1 }
        #expect(found == 1)
        #expect(log.torn?.record == RecordNumber(2))
    }

    @Test(
        "a log that was stopped on a full disk opens on it again, says so, and goes on when there is space",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func restart() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let acknowledged = Mutex(0)
        do {
            let log = try Self.open(disk)
            try disk.fill()
            for number in 0..<60 {
                log.submit([Self.record(number)]) { if case .success = $0 { acknowledged.withLock { $0 += 1 } } }
            }
            try await eventually("a write waits") { if case .full = log.space { true } else { false } }
        }
        var found = 0
        let log = try Self.open(disk) { _ in found += 1 }
        #expect(found == acknowledged.withLock { $0 })
        #expect(!log.space.admits)
        try disk.makeRoom()
        try await eventually("space again") { log.space.admits }
        #expect(try await log.append([Self.record(99)]).lowerBound == RecordNumber(UInt64(found) + 1))
    }

    @Test(
        "a snapshot that does not fit leaves the former one, and no part of itself",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func snapshot() throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let files = try SnapshotFiles(folder: disk.path + "/snapshots")
        try files.save(Snapshot(index: 5, term: 1, body: [1, 2, 3]))
        try disk.fill(leaving: 64 << 10)
        #expect {
            try files.save(Snapshot(index: 9, term: 1, body: [UInt8](repeating: 1, count: 500_000)))
        } throws: { if case StorageError.noSpace = $0 { true } else { false } }
        #expect(try files.find().newest?.index == 5)
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path + "/snapshots").count == 1)
        try disk.makeRoom()
        try files.save(Snapshot(index: 9, term: 1, body: [UInt8](repeating: 1, count: 500_000)))
        #expect(try files.find().newest?.index == 9)
    }
}

@Suite("A disk that fails while something is made durable (C3)") struct FailedFlushTests {
    /// Answers with an error from the given call on, and counts.
    private final class Disk: Sendable {
        private let calls = Mutex(0)
        private let failing = Mutex(false)
        var count: Int { calls.withLock { $0 } }
        func fail() { failing.withLock { $0 = true } }
        var flush: Flush {
            Flush { descriptor in
                self.calls.withLock { $0 += 1 }
                guard self.failing.withLock({ $0 }) else { return fdatasync(descriptor) }
                errno = EIO
                return -1
            }
        }
    }

    @Test("the response is called once, nothing is flushed a second time, and every later request is refused")
    func once() async throws {
        let folder = try Folder()
        let (disk, failures) = (Disk(), Failures())
        let options = LogOptions(
            segmentBytes: 1 << 16, reserveBytes: 0, spaceInterval: .seconds(60), flush: disk.flush,
            onDiskFailure: failures.response)
        let log = try GroupCommitLog(folder: folder.path, store: StoreID(42), options: options) { _ in }
        _ = try await log.append([NewRecord(kind: 1, payload: [1])])
        disk.fail()
        let before = disk.count
        for _ in 0..<3 {
            await #expect(throws: StorageError.stopped) { _ = try await log.append([NewRecord(kind: 1, payload: [2])]) }
        }
        #expect(disk.count == before + 1)
        let segment = folder.path + "/segment-00000000000000000001"
        #expect(failures.seen == [.syncFailed(path: segment, code: EIO)])
    }

    @Test("a small file whose flush fails keeps its old content")
    func smallFile() throws {
        let folder = try Folder()
        let path = folder.path + "/file"
        try DurableFile.replace(path, with: [1])
        let disk = Disk()
        disk.fail()
        #expect(throws: StorageError.syncFailed(path: path + ".tmp", code: EIO)) {
            try DurableFile.replace(path, with: [2], flush: disk.flush)
        }
        #expect(try DurableFile.read(path) == [1])
        #expect(try folder.names() == ["file"])
    }

    @Test(
        "a data folder is opened on a disk without a free block, as often as need be",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func startOnFullDisk() throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let path = disk.path + "/data"
        do { _ = try DataFolder(path, random: 7) }
        for generation: UInt64 in 2...5 {
            try disk.fill(leaving: 0)
            let data = try DataFolder(path)
            #expect(data.store == StoreID(7))
            #expect(data.generation == Generation(generation))
        }
    }
}
