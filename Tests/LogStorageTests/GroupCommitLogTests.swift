import Dispatch
import DurableLog
import Foundation
import Glibc
import LogStorage
import Model
import Synchronization
import Testing

@Suite struct GroupCommitLogTests {
    private static let store = StoreID(42)

    private static func open(
        _ folder: Folder, segmentBytes: Int = 4_096, failures: Failures = Failures()
    ) throws -> (log: GroupCommitLog, records: [LogRecord]) {
        var records: [LogRecord] = []
        let options = LogOptions(segmentBytes: segmentBytes, reserveBytes: 0, onDiskFailure: failures.response)
        let log = try GroupCommitLog(folder: folder.path, store: store, options: options) { records.append($0) }
        return (log, records)
    }

    private static func record(_ text: String) -> NewRecord { NewRecord(kind: 1, payload: Array(text.utf8)) }

    @Test("records get numbers without a gap from 1 and are all there after reopening, over many segments")
    func reopen() async throws {
        let folder = try Folder()
        do {
            let (log, found) = try Self.open(folder)
            #expect(found.isEmpty)
            for index in 0..<200 {
                let numbers = try await log.append([Self.record("record \(index)"), Self.record("and its fellow")])
                #expect(numbers == RecordNumber(UInt64(2 * index + 1))..<RecordNumber(UInt64(2 * index + 3)))
            }
            #expect(log.segmentCount > 2)
            #expect(log.end == RecordNumber(401))
        }
        let (log, found) = try Self.open(folder)
        #expect(found.map(\.number.value) == Array(1...400))
        #expect(found[398].payload == Array("record 199".utf8))
        #expect(try await log.append([Self.record("goes on")]).lowerBound == RecordNumber(401))
    }

    @Test("beyond its bound the log takes only what is decided already, and says how much waits")
    func bound() async throws {
        let folder = try Folder()
        // The first group holds the disk until the test has seen enough.
        let gate = DispatchSemaphore(value: 0)
        let isHeld = Atomic<Bool>(false)
        let flush = Flush { descriptor in
            if isHeld.load(ordering: .relaxed) { gate.wait() }
            return fdatasync(descriptor)
        }
        let options = LogOptions(segmentBytes: 1 << 16, pendingBytes: 100, reserveBytes: 0, flush: flush)
        let log = try GroupCommitLog(folder: folder.path, store: Self.store, options: options) { _ in }
        isHeld.store(true, ordering: .relaxed)
        let results = Mutex<[Bool]>([])
        let submit = { (count: Int, isDecided: Bool) in
            log.submit([NewRecord(kind: 1, payload: [UInt8](repeating: 7, count: count))], isDecided: isDecided) { result in
                let isTaken = if case .success = result { true } else { false }
                results.withLock { $0.append(isTaken) }
            }
        }
        submit(60, false)
        try await eventually("it is being written") { log.statistics.oldestPending != nil }
        submit(60, false)
        submit(60, false)
        #expect(results.withLock { $0 } == [false])
        submit(60, true)
        #expect(log.pendingBytes == 180)
        isHeld.store(false, ordering: .relaxed)
        gate.signal()
        try await eventually("all that was taken is written") { results.withLock { $0 } == [false, true, true, true] }
        try await eventually("nothing waits") { log.pendingBytes == 0 }
    }

    @Test("writers at the same time share syncs")
    func groupCommit() async throws {
        let folder = try Folder()
        let (log, _) = try Self.open(folder, segmentBytes: 1 << 20)
        let count = 2_000
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<count {
                group.addTask {
                    await confirmAppended(log, index)
                }
            }
        }
        let statistics = log.statistics
        #expect(statistics.records == UInt64(count))
        #expect(statistics.syncs < UInt64(count) / 2, "\(statistics.syncs) syncs")
        #expect(statistics.buckets.reduce(0, +) == statistics.syncs)
        #expect(statistics.oldestPending == nil)
        #expect(log.end == RecordNumber(UInt64(count) + 1))
    }

    @Test("records are read back from any number on, within a budget of bytes but at least one")
    func readBack() async throws {
        let folder = try Folder()
        let (log, _) = try Self.open(folder)
        for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
        for number in [1, 2, 77, 150, 299, 300] as [UInt64] {
            let records = try log.records(from: RecordNumber(number), bytes: 30)
            #expect(records.first?.number == RecordNumber(number))
            #expect(records.first?.payload == Array("record \(number)".utf8))
            #expect(records.count <= 4)
        }
        #expect(try log.records(from: RecordNumber(301), bytes: 30).isEmpty)
        #expect(try log.records(from: RecordNumber(5), bytes: 0).count == 1)
    }

    @Test("a record longer than a segment gets a segment of its size")
    func longRecord() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            _ = try await log.append([Self.record("short")])
            _ = try await log.append([NewRecord(kind: 2, payload: [UInt8](repeating: 9, count: 300_000))])
            _ = try await log.append([Self.record("short again")])
            #expect(try log.records(from: RecordNumber(2), bytes: 1).first?.payload.count == 300_000)
        }
        #expect(try Self.open(folder).records.map(\.payload.count) == [5, 300_000, 11])
    }

    @Test("dropping a prefix removes whole segments only, and what is left reopens")
    func drop() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
            let before = log.segmentCount
            try await log.drop(below: RecordNumber(200))
            #expect(log.segmentCount < before)
            #expect(log.first <= RecordNumber(200))
            #expect(log.first > RecordNumber(1))
            #expect(throws: StorageError.noSuchRecord(RecordNumber(1))) { try log.records(from: RecordNumber(1), bytes: 10) }
            try await log.drop(below: RecordNumber(10_000))
            #expect(log.segmentCount == 1)
        }
        let (log, found) = try Self.open(folder)
        #expect(found.last?.number == RecordNumber(300))
        #expect(found.first?.number == log.first)
    }

    @Test("a torn tail is cut, kept aside, and written over")
    func torn() async throws {
        let folder = try Folder()
        let end: Int
        do {
            let (log, _) = try Self.open(folder)
            _ = try await log.append([Self.record("kept")])
            end = SegmentHeader.bytes + RecordFormat.encodedBytes(payload: 4)
            _ = try await log.append([Self.record("was being written when the power went")])
        }
        let name = try #require(folder.segments().first)
        try folder.edit(name) { bytes in for index in end + 40..<bytes.count { bytes[index] = 0 } }
        let lost = Array(try folder.bytes(name)[end..<end + 40])
        do {
            let (log, found) = try Self.open(folder)
            #expect(found.count == 1)
            #expect(log.torn?.record == RecordNumber(2))
            #expect(try folder.bytes("torn-00000000000000000001-00000000000000000002").starts(with: lost.prefix(32)))
            // Nothing of it may be there when the next write stops half way.
            #expect(try folder.bytes(name)[end...].allSatisfy { $0 == 0 })
            #expect(try await log.append([Self.record("next")]).lowerBound == RecordNumber(2))
        }
        #expect(try Self.open(folder).records.map(\.payload) == [Array("kept".utf8), Array("next".utf8)])
    }

    @Test("a log whose oldest segment, or whole folder, is gone is damaged and not a shorter or a new one")
    func lostFront() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
            try await log.drop(below: RecordNumber(150))
        }
        let segments = try folder.segments()
        func damage() -> LogDamage.Cause? {
            do {
                _ = try Self.open(folder)
                return nil
            } catch StorageError.damaged(let path, let damage) {
                #expect(path == folder.path + "/" + segments[0])
                return damage.cause
            } catch {
                Issue.record(error)
                return nil
            }
        }
        let first = try #require(UInt64(segments[0].dropFirst("segment-".count)))
        #expect(first > 1)
        try folder.remove(segments[0])
        #expect(damage() == .missingSegment(first))
        for name in try folder.names() { try folder.remove(name) }
        #expect(damage() == .missingSegment(first))
    }

    @Test("a drop that was interrupted before its segments went is carried on at the next start")
    func interruptedDrop() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
        }
        let segments = try folder.segments()
        let contents = try segments.map { ($0, try folder.bytes($0)) }
        do { try await Self.open(folder).log.drop(below: RecordNumber(150)) }
        let left = try folder.segments()
        for (name, bytes) in contents.prefix(segments.count - left.count).suffix(1) { try folder.write(bytes, name) }
        let found = try Self.open(folder).records
        #expect(found.last?.number == RecordNumber(300))
        #expect(try folder.segments() == left)
    }

    @Test("a segment of another format is refused by its number: neither cut nor called damaged")
    func otherFormat() async throws {
        let folder = try Folder()
        do { _ = try await Self.open(folder).log.append([Self.record("one")]) }
        let name = try #require(folder.segments().first)
        try folder.edit(name) { bytes in
            bytes[8] = 1
            let sum = CRC32C.of(Array(bytes[..<60]))
            bytes.replaceSubrange(60..<64, with: withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        }
        let before = try folder.bytes(name)
        #expect(throws: StorageError.otherFormat(path: folder.path + "/" + name, found: 1, known: 2)) {
            try Self.open(folder)
        }
        #expect(try folder.bytes(name) == before)
    }

    @Test("of torn tails the newest few are kept")
    func tornBounded() async throws {
        let folder = try Folder()
        for round in 1...12 {
            let (log, _) = try Self.open(folder)
            _ = try await log.append([Self.record("kept")])
            let name = try #require(folder.segments().last)
            let end = SegmentHeader.bytes + round * RecordFormat.encodedBytes(payload: 4)
            try folder.edit(name) { bytes in bytes[end] = 5 }
        }
        _ = try Self.open(folder)
        let torn = try folder.names().filter { $0.hasPrefix("torn-") }
        #expect(torn.count == 8)
        #expect(torn.last?.hasSuffix("13") == true)
    }

    @Test("a hole, a missing segment and a foreign one are refused, and nothing is changed")
    func damage() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
        }
        let segments = try folder.segments()
        let whole = try folder.bytes(segments[1])
        try folder.edit(segments[1]) { $0[200] ^= 1 }
        let broken = try folder.bytes(segments[1])
        #expect(throws: StorageError.self) { try Self.open(folder) }
        #expect(try folder.bytes(segments[1]) == broken)
        try folder.remove(segments[1])
        #expect(throws: StorageError.self) { try Self.open(folder) }
        try folder.write(whole, segments[1])
        #expect(try Self.open(folder).records.count == 300)
        #expect(throws: StorageError.self) {
            try GroupCommitLog(folder: folder.path, store: StoreID(43), options: LogOptions()) { _ in }
        }
    }

    @Test("a crash between making a segment and naming it leaves nothing behind")
    func crashWhileRolling() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            _ = try await log.append([Self.record("one")])
        }
        try folder.write([1, 2, 3], "next.tmp")
        try folder.write([], "making-spare.tmp")
        let (log, found) = try Self.open(folder)
        #expect(found.count == 1)
        #expect(try !folder.names().contains("next.tmp"))
        #expect(try await log.append([Self.record("two")]).lowerBound == RecordNumber(2))
    }

    @Test("a segment that was named before its first record was written is empty, not damaged")
    func crashAfterRolling() async throws {
        let folder = try Folder()
        do {
            let (log, _) = try Self.open(folder)
            for index in 1...300 { _ = try await log.append([Self.record("record \(index)")]) }
        }
        let last = try #require(folder.segments().last)
        let header = try folder.bytes(last).prefix(SegmentHeader.bytes)
        try folder.write(Array(header) + [UInt8](repeating: 0, count: 4_096 - SegmentHeader.bytes), last)
        let (log, found) = try Self.open(folder)
        #expect(log.end == RecordNumber(UInt64(found.count) + 1))
        #expect(try await log.append([Self.record("next")]).lowerBound == log.end || log.end > RecordNumber(1))
    }

    @Test("after a disk failure the response is called once, every later request is refused, and what was acknowledged reopens")
    func diskFailure() async throws {
        let folder = try Folder()
        let failures = Failures()
        let (log, _) = try Self.open(folder, segmentBytes: 4_096, failures: failures)
        _ = try await log.append([Self.record("one")])
        try FileManager.default.moveItem(atPath: folder.path, toPath: folder.path + "-away")
        await #expect(throws: StorageError.self) {
            _ = try await log.append([NewRecord(kind: 1, payload: [UInt8](repeating: 1, count: 8_000))])
        }
        try FileManager.default.moveItem(atPath: folder.path + "-away", toPath: folder.path)
        #expect(failures.seen.count == 1)
        await #expect(throws: StorageError.stopped) { _ = try await log.append([Self.record("after")]) }
        #expect(try Self.open(folder).records.count == 1)
    }

    @Test("a flush that fails while records are dropped stops the log too")
    func dropFails() async throws {
        let folder = try Folder()
        let failures = Failures()
        let fails = Mutex(false)
        let flush = Flush { _ in
            guard fails.withLock({ $0 }) else { return 0 }
            errno = EIO
            return -1
        }
        let options = LogOptions(segmentBytes: 4_096, reserveBytes: 0, flush: flush, onDiskFailure: failures.response)
        let log = try GroupCommitLog(folder: folder.path, store: Self.store, options: options) { _ in }
        for index in 1...100 { _ = try await log.append([Self.record("record \(index) of a hundred, each some bytes long")]) }
        fails.withLock { $0 = true }
        await #expect(throws: StorageError.syncFailed(path: folder.path + ".floor.tmp", code: EIO)) {
            try await log.drop(below: RecordNumber(90))
        }
        #expect(failures.seen.count == 1)
        fails.withLock { $0 = false }
        await #expect(throws: StorageError.stopped) { _ = try await log.append([Self.record("after")]) }
        #expect(log.first == .first)
    }
}

private func confirmAppended(_ log: GroupCommitLog, _ index: Int) async {
    do {
        _ = try await log.append([NewRecord(kind: 1, payload: Array("record \(index)".utf8))])
    } catch {
        Issue.record(error)
    }
}
