import Foundation
import Glibc
import LogStorage
import Logging
import Model
import Synchronization
import Telemetry
import Testing
import Wire

@testable import AgentServer

@Suite struct TopologyMirrorTests {
    @Test("a flush that fails under the mirror ends the process, as everywhere else, and nothing is said to be saved (C3)")
    func flushFails() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/topology-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let failing = Flush { _ in
            errno = EIO
            return -1
        }
        let (failures, continuation) = AsyncStream.makeStream(of: StorageError.self)
        let saved = Mutex<[Revision]>([])
        let mirror = TopologyMirror(
            file: TopologyFile(path: path, flush: failing), logger: Logger(label: "test"),
            onDiskFailure: DiskFailureResponse { continuation.yield($0) }
        ) { revision in saved.withLock { $0.append(revision) } }
        let running = Task { try await mirror.run() }
        mirror.save(Topology(revision: Revision(history: 1, index: 7)))
        var told = failures.makeAsyncIterator()
        #expect(await told.next() == .syncFailed(path: path + ".tmp", code: EIO))
        running.cancel()
        try await running.value
        #expect(saved.withLock { $0.isEmpty })
    }

    @Test("a mirror of which a bit turned over, or that was cut short, is no topology; one that an older version left is")
    func damage() throws {
        let path = FileManager.default.temporaryDirectory.path + "/topology-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = TopologyFile(path: path)
        let zone = try ZoneName("z1")
        let node = NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(9), session: SessionID(3), generation: Generation(1), zone: zone,
            addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), status: .healthy)
        let topology = Topology(revision: Revision(history: 1, index: 7), changes: [.node(node)])
        #expect(try file.load() == Topology())
        try file.save(topology)
        #expect(try file.load() == topology)
        let whole = try #require(try DurableFile.read(path))
        for index in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[index] ^= 1 << UInt8(bit)
                try Data(bytes).write(to: URL(filePath: path))
                #expect(throws: TopologyFile.Damage.self, "bit \(bit) of byte \(index)") { try file.load() }
            }
            try Data(whole[..<index]).write(to: URL(filePath: path))
            #expect(throws: TopologyFile.Damage.self, "cut at \(index)") { try file.load() }
        }
        try Data(topology.serialized()).write(to: URL(filePath: path))
        #expect(try file.load() == topology)
    }

    @Test("of all topologies that wait for the disk only the newest is kept, whichever came last")
    func keepsTheNewest() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/topology-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let (revisions, save) = AsyncStream.makeStream(of: Revision.self)
        let mirror = TopologyMirror(file: TopologyFile(path: path), logger: Logger(label: "test")) { save.yield($0) }
        for index in [1, 2, 9, 4] as [UInt64] { mirror.save(Topology(revision: Revision(history: 1, index: index))) }
        #expect(mirror.waitingCount == 1)
        let running = Task { try await mirror.run() }
        var told = revisions.makeAsyncIterator()
        #expect(await told.next() == Revision(history: 1, index: 9))
        running.cancel()
        try await running.value
    }

    @Test("a save that failed is made up for, without another change of the topology (T1)")
    func savesLater() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/mirror-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (complaints, complain) = AsyncStream.makeStream(of: String.self)
        let (revisions, save) = AsyncStream.makeStream(of: Revision.self)
        let mirror = TopologyMirror(
            file: TopologyFile(path: folder + "/topology"),
            logger: Logger(label: "test") { _ in JSONLogHandler(node: "n1") { complain.yield($0) } },
            retryPause: .milliseconds(1)
        ) { save.yield($0) }
        let running = Task { try await mirror.run() }
        mirror.save(Topology(revision: Revision(history: 1, index: 7)))
        for await complaint in complaints where complaint.contains("not saved") { break }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        var told = revisions.makeAsyncIterator()
        #expect(await told.next() == Revision(history: 1, index: 7))
        running.cancel()
        try await running.value
    }
}
