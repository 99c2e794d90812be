@testable import Consensus
import DiskKit
import DurableLog
import Foundation
import Glibc
import LogStorage
import Model
import Synchronization
import Testing
import Wire

@testable import CoordinatorServer

/// A member's store in a folder of its own, opened and left as a process would.
private final class StoreFolder {
    private let place: StorePlace
    var path: String { place.path }
    var options = LogOptions(segmentBytes: 16 << 10, reserveBytes: 0, spaceInterval: .milliseconds(5))

    init(on disk: SmallDisk? = nil) { place = StorePlace(on: disk) }

    /// Runs one life of a member.
    func run<Answer>(_ body: (RaftStore, RaftStore.Recovered) async throws -> Answer) async throws -> Answer {
        let folder = try DataFolder(path)
        let (store, recovered) = try await RaftStore.open(in: folder, options: options)
        defer { withExtendedLifetime(folder) {} }
        return try await body(store, recovered)
    }

    func recovered() async throws -> RaftStore.Recovered { try await run { $1 } }

    func names(_ inner: String) throws -> [String] { try place.names(inner) }
    func edit(_ name: String, _ change: (inout Data) -> Void) throws { try place.edit(name, change) }
}

@Suite struct RaftStoreTests {
    private func entry(_ index: UInt64, term: UInt64 = 1, bytes: Int = 8) -> Consensus.Entry {
        Consensus.Entry(
            id: EntryID(term: Term(term), index: LogIndex(index)),
            content: .command([UInt8](repeating: UInt8(index & 0xFF), count: bytes)))
    }

    private func persist(
        _ entries: [Consensus.Entry] = [], state: HardState? = nil, snapshot: Consensus.Snapshot? = nil,
        replacesLog: Bool = false
    ) -> Persist {
        Persist(
            sequence: 1, hardState: state ?? HardState(term: Term(1)), hardStateChanged: state != nil, snapshot: snapshot,
            replacesLog: replacesLog, entries: entries, answers: [])
    }

    private func snapshot(_ index: UInt64, term: UInt64 = 1, bytes: Int = 3) throws -> Consensus.Snapshot {
        Consensus.Snapshot(
            id: EntryID(term: Term(term), index: LogIndex(index)),
            configuration: try MemberConfiguration(voters: [MemberID(try NodeID("c1"))]),
            data: [UInt8](repeating: 5, count: bytes))
    }

    @Test("what is written comes back: votes, entries, cuts and snapshots")
    func roundTrip() async throws {
        let folder = StoreFolder()
        let vote = HardState(term: Term(3), vote: MemberID(try NodeID("c2")), commit: LogIndex(2))
        try await folder.run { store, recovered in
            #expect(recovered.entries.isEmpty && recovered.snapshot == nil && recovered.repairs.isEmpty)
            try await store.write(persist([entry(1), entry(2), entry(3)]))
            try await store.write(persist([entry(2, term: 3)], state: vote))
            try await store.write(persist([], state: vote, snapshot: try snapshot(1)))
        }
        let recovered = try await folder.recovered()
        #expect(recovered.hardState == vote)
        #expect(recovered.snapshot == (try snapshot(1)))
        #expect(recovered.entries == [entry(2, term: 3)])
    }

    @Test("a snapshot that made the log void is said in it before anything follows: two starts later the new entries are there")
    func voidLog() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in try await store.write(persist([entry(1), entry(2), entry(3)])) }
        // The snapshot is durable, and the process dies before the record that says that it took the log's place.
        let taken = try snapshot(2, term: 5)
        try SnapshotFiles(folder: folder.path + "/snapshots").save(
            LogStorage.Snapshot(index: 2, term: 5, body: taken.serialized()))
        try await folder.run { store, recovered in
            #expect(recovered.entries.isEmpty)
            try await store.write(persist([entry(3, term: 5)]))
        }
        let recovered = try await folder.recovered()
        #expect(recovered.snapshot == taken)
        #expect(recovered.entries == [entry(3, term: 5)])
    }

    @Test("a compaction that meets a newer vote on its way to the disk does not bring back the older one")
    func voteDuringCompaction() async throws {
        let folder = StoreFolder()
        folder.options.flush = .slower(by: .milliseconds(30))
        let first = HardState(term: Term(1), vote: MemberID(try NodeID("c1")))
        let second = HardState(term: Term(2), vote: MemberID(try NodeID("c2")))
        try await folder.run { store, _ in
            for index in 1...40 { try await store.write(persist([entry(UInt64(index), bytes: 1_000)], state: first)) }
            try await store.write(persist(snapshot: try snapshot(20)))
            try await store.write(persist(snapshot: try snapshot(40)))
            async let vote: Void = store.write(persist(state: second))
            async let compaction: Void = store.compact(below: LogIndex(40))
            _ = try await (vote, compaction)
        }
        #expect(try await folder.recovered().hardState == second)
    }

    @Test("the vote stays when the records that it stood among are dropped")
    func voteKept() async throws {
        let folder = StoreFolder()
        let vote = HardState(term: Term(1), vote: MemberID(try NodeID("c2")))
        try await folder.run { store, _ in
            try await store.write(persist(state: vote))
            for index in 1...60 {
                let write = Persist(
                    sequence: UInt64(index), hardState: vote, hardStateChanged: false, snapshot: nil, replacesLog: false,
                    entries: [entry(UInt64(index), bytes: 1_000)], answers: [])
                try await store.write(write)
            }
            for index: UInt64 in [30, 50] {
                let write = Persist(
                    sequence: index, hardState: vote, hardStateChanged: false, snapshot: try snapshot(index),
                    replacesLog: false,
                    entries: [], answers: [])
                try await store.write(write)
            }
            let whole = try folder.names("log").count
            try await store.compact(below: LogIndex(51))
            #expect(try folder.names("log").count < whole)
        }
        #expect(try await folder.recovered().hardState == vote)
    }

    @Test("the log is kept back to the former snapshot, so that a newest one that is not whole costs nothing")
    func formerSnapshot() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in
            for index in 1...60 { try await store.write(persist([entry(UInt64(index), bytes: 1_000)])) }
            let whole = try folder.names("log").count
            try await store.write(persist(snapshot: try snapshot(30)))
            try await store.compact(below: LogIndex(31))
            #expect(try folder.names("log").count == whole)
            try await store.write(persist(snapshot: try snapshot(50)))
            try await store.compact(below: LogIndex(51))
            #expect(try folder.names("log").count < whole)
        }
        let newest = try #require(folder.names("snapshots").last)
        try folder.edit("snapshots/" + newest) { $0[60] ^= 1 }
        let recovered = try await folder.recovered()
        #expect(recovered.snapshot?.id.index == LogIndex(30))
        #expect(recovered.entries.map(\.id.index.number) == Array(31...60))
        #expect(recovered.repairs.count == 1)
        #expect(recovered.repairs.first?.contains(newest) == true)
    }

    @Test("a newest snapshot that is not whole, with a log that does not reach back to the former one, is damage that names it")
    func noFormerSnapshot() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in
            try await store.write(persist([entry(1), entry(2)]))
            try await store.write(persist([], snapshot: try snapshot(90, term: 4), replacesLog: true))
            try await store.write(persist([entry(91, term: 4)]))
        }
        let newest = try #require(folder.names("snapshots").last)
        try folder.edit("snapshots/" + newest) { $0.removeLast() }
        await #expect {
            _ = try await folder.recovered()
        } throws: { error in
            (error as? DamagedMember)?.reason.contains(newest) == true
        }
    }

    @Test("a log with a hole is a damaged member, told with file, offset and reason; it is as damaged at the next start")
    func hole() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in
            for index in 1...5 { try await store.write(persist([entry(UInt64(index))])) }
        }
        let segment = try #require(folder.names("log").first { $0.hasPrefix("segment-") })
        try folder.edit("log/" + segment) { $0[100] ^= 1 }
        for _ in 1...2 {
            await #expect {
                _ = try await folder.recovered()
            } throws: { error in
                let reason = (error as? DamagedMember)?.reason ?? ""
                return reason.contains("\(folder.path)/log/\(segment), byte 64: ") && reason.contains("unreadable record")
            }
        }
    }

    @Test("a member whose folder was emptied but for its identity is damaged and not new")
    func emptied() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in try await store.write(persist([entry(1)])) }
        try FileManager.default.removeItem(atPath: folder.path + "/log")
        await #expect(throws: DamagedMember.self) { _ = try await folder.recovered() }
    }

    @Test(
        "on a full disk a snapshot of one's own is left out, and what has its space reserved is written",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func fullDisk() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let folder = StoreFolder(on: disk)
        try await folder.run { store, _ in
            for index in 1...20 { try await store.write(persist([entry(UInt64(index), bytes: 100)])) }
            try disk.fill(leaving: 16 << 10)
            try await store.write(persist(snapshot: try snapshot(10, bytes: 200_000)))
            #expect(store.skippedSnapshots == 1)
            try await store.compact(below: LogIndex(11))
            try await store.write(persist([entry(21, bytes: 100)]))
        }
        try disk.makeRoom()
        let recovered = try await folder.recovered()
        #expect(recovered.snapshot == nil)
        #expect(recovered.entries.map(\.id.index.number) == Array(1...21))
    }

    @Test(
        "a snapshot that takes the log's place waits for space, and what follows waits behind it",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func fullDiskAndLeader() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let folder = StoreFolder(on: disk)
        try await folder.run { store, _ in
            try await store.write(persist([entry(1)]))
            try disk.fill(leaving: 16 << 10)
            let order = Mutex<[Int]>([])
            store.write(persist(snapshot: try snapshot(90, term: 2, bytes: 200_000), replacesLog: true)) { _ in
                order.withLock { $0.append(1) }
            }
            async let second: Void = store.write(persist([entry(91, term: 2)]))
            // The store's queue has come by them when it comes to this.
            try await store.compact(below: .zero)
            #expect(order.withLock { $0.isEmpty })
            try disk.makeRoom()
            try await second
            #expect(order.withLock { $0 } == [1])
        }
        let recovered = try await folder.recovered()
        #expect(recovered.snapshot?.id.index == LogIndex(90))
        #expect(recovered.entries == [entry(91, term: 2)])
    }

    @Test("word that the store must not be used again ends the process when the disk fails under it")
    func condemnFails() async throws {
        let folder = StoreFolder()
        let failed = Mutex<[StorageError]>([])
        let fails = Mutex(false)
        folder.options.flush = Flush { _ in
            guard fails.withLock({ $0 }) else { return 0 }
            errno = EIO
            return -1
        }
        folder.options.onDiskFailure = DiskFailureResponse { error in failed.withLock { $0.append(error) } }
        try await folder.run { store, _ in
            fails.withLock { $0 = true }
            let result = await store.condemn(because: "a test")
            #expect(throws: StorageError.self) { try result.get() }
        }
        #expect(failed.withLock { $0 } == [.syncFailed(path: folder.path + "/condemned.tmp", code: EIO)])
    }

    @Test(
        "word that the store must not be used again waits for space",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func condemnOnFullDisk() async throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let folder = StoreFolder(on: disk)
        let isLeft = Mutex(false)
        try await folder.run { store, _ in
            try disk.fill(leaving: 0)
            let (answers, continuation) = AsyncStream.makeStream(of: Void.self)
            store.condemn(because: "a test") { result in
                if case .success = result { isLeft.withLock { $0 = true } }
                continuation.finish()
            }
            // The store's queue has come by it when it comes to this.
            try await store.compact(below: .zero)
            #expect(!isLeft.withLock { $0 } && !FileManager.default.fileExists(atPath: folder.path + "/condemned"))
            try disk.makeRoom()
            for await _ in answers {}
        }
        #expect(isLeft.withLock { $0 })
        #expect(FileManager.default.fileExists(atPath: folder.path + "/condemned"))
    }

    @Test("a snapshot that lies on disk otherwise than in memory is not read from there")
    func keepsNoDamagedSnapshot() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in
            let taken = try snapshot(7, bytes: 3_000)
            try await store.write(persist(snapshot: taken))
            let name = try #require(folder.names("snapshots").last)
            try folder.edit("snapshots/" + name) { $0[$0.count / 2] ^= 1 }
            #expect(await store.keep(taken) == nil)
        }
    }

    @Test("a snapshot's bytes can be had from the disk, whole and in parts, as long as somebody may ask for them")
    func keepsSnapshot() async throws {
        let folder = StoreFolder()
        try await folder.run { store, _ in
            let taken = Consensus.Snapshot(
                id: EntryID(term: Term(1), index: LogIndex(7)),
                configuration: try MemberConfiguration(voters: [MemberID(try NodeID("c1"))]),
                configurationIndex: LogIndex(3), data: (0..<3_000).map { UInt8(truncatingIfNeeded: $0 / 3) })
            #expect(await store.keep(taken) == nil)
            try await store.write(persist(snapshot: taken))
            let kept = try #require(await store.keep(taken))
            for index in [20, 30] as [UInt64] { try await store.write(persist(snapshot: try snapshot(index))) }
            #expect(await store.keep(taken) == nil)
            #expect(kept == taken.contents)
            #expect(kept.bytes(in: 0..<3_000) == taken.data)
            #expect(kept.bytes(in: 2_990..<3_000) == Array(taken.data[2_990...]))
            #expect(kept.bytes(in: 0..<0) == [])
        }
    }
}
