import AgentCore
import Engine
import Foundation
import KeyEncoding
import LogStorage
import Model
import Replication
import Synchronization
import Testing

@testable import AgentServer

@Suite(.serialized, .timeLimit(.minutes(5))) struct AgentRuntimeTests {
    @Test("three agents without any coordinator replicate, serve strong reads, and after a restart have every write (R7)")
    func servesFromDisk() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<25 {
                        _ = try await rig.put("w\(writer)-\(number)", Int64(number), at: primary)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await rig.strongGet("w3-7", at: primary) == [.text("w3-7"), .integer(7)])
        let before = await rig.agent(primary).status()
        #expect(before.fsyncs > 0)
        await rig.stopAll()

        for node in rig.nodes { try await rig.start(node) }
        for writer in 0..<8 {
            for number in 0..<25 {
                let row = try await rig.strongGet("w\(writer)-\(number)", at: primary)
                #expect(row == [.text("w\(writer)-\(number)"), .integer(Int64(number))])
            }
        }
        _ = try await rig.put("after", 1, at: primary)
        await rig.stopAll()
    }

    @Test(
        "a write that was ordered and not committed when its agent stops has an unknown outcome; one that comes later was not made"
    )
    func stopsAmidWrite() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        _ = try await rig.put("a", 1, at: primary)
        // No coordinator is there to leave it out of the in-sync set.
        await rig.stop(rig.nodes[2])
        let agent = rig.agent(primary)
        let before = await agent.status().partitions.first?.last.sequence ?? 0
        let mutation = Mutation.put(key: try KeyLayout(rig.table).key(of: [.text("b")]), values: [.text("b"), .integer(2)])
        let write = Task { try await agent.write([mutation], under: nil, to: PartitionID(11), at: Epoch(1)) }
        let end = ContinuousClock.now + .seconds(60)
        while await agent.status().partitions.first?.last.sequence ?? 0 <= before, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        await rig.stop(primary)
        await #expect(throws: DataRefusal.outcomeUnknown("the agent stopped before it was committed")) { try await write.value }
        await #expect(throws: DataRefusal.unavailable("the agent is stopping")) {
            try await agent.write([mutation], under: nil, to: PartitionID(11), at: Epoch(1))
        }
        await rig.stopAll()
    }

    @Test("what a partition keeps in memory for those who come back holds no segment of the log (R9)")
    func shortensItsLog() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"], log: LogOptions(segmentBytes: 4_096))
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        for number in 0..<600 { _ = try await rig.put("r\(number)", Int64(number), at: primary) }
        for node in rig.nodes {
            let log = rig.agent(node).runtime.storage
            try await eventually("\(node) keeps \(log.segmentCount) segments") { log.segmentCount <= 4 }
        }
        await rig.stopAll()

        for node in rig.nodes { try await rig.start(node) }
        for number in 0..<600 {
            #expect(try await rig.strongGet("r\(number)", at: primary) == [.text("r\(number)"), .integer(Int64(number))])
        }
        _ = try await rig.put("after", 1, at: primary)
        await rig.stopAll()
    }

    @Test("a write under a key happens once: asked for again, after other writes and after a restart of all (R8)")
    func happensOnce() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        _ = try await rig.put("ready", 0, at: primary)
        var random = SystemRandomNumberGenerator()
        let key = IdempotencyKey(madeAt: BootTime.wall, random: &random)
        let first = try await rig.putOnce("a", 1, under: key, at: primary)
        #expect(try await rig.putOnce("a", 1, under: key, at: primary) == first)
        _ = try await rig.putOnce("a", 2, at: primary)
        #expect(try await rig.putOnce("a", 1, under: key, at: primary) == first)
        await #expect(throws: DataRefusal.keyReused) { try await rig.putOnce("a", 3, under: key, at: primary) }

        await rig.stopAll()
        for node in rig.nodes { try await rig.start(node) }
        _ = try await rig.put("ready", 0, at: primary)
        #expect(try await rig.putOnce("a", 1, under: key, at: primary) == first)
        #expect(try await rig.strongGet("a", at: primary) == [.text("a"), .integer(2)])
        for (age, isTaken) in [(590, true), (601, false), (-290, true), (-301, false)] as [(Int64, Bool)] {
            let key = IdempotencyKey(madeAt: BootTime.wall - .seconds(age), random: &random)
            let outcome = await Result { try await rig.putOnce("b", 1, under: key, at: primary) }
            switch outcome {
            case .success: #expect(isTaken)
            case .failure(DataRefusal.keyExpired): #expect(!isTaken)
            case .failure(let error): Issue.record(error)
            }
        }
        await rig.stopAll()
    }

    @Test("while entries wait for room, a primary refuses writes and says where room lacks, in its status and metrics too")
    func refusesWithoutRoom() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        let primary = rig.nodes[0]
        let sick = Mutex<SickEngine?>(nil)
        try await rig.start(primary) { sound in
            sick.withLock {
                let engine = SickEngine(sound)
                $0 = engine
                return engine
            }
        }
        for node in rig.nodes.dropFirst() { try await rig.start(node) }
        _ = try await rig.put("a", 1, at: primary)
        let engine = try #require(sick.withLock { $0 })
        let agent = rig.agent(primary)
        engine.set { $0 == .apply ? .diskFull(StorageID(11)) : nil }
        // The first row may be what waits, and then this one is refused until there is room.
        let held = Task { try await rig.put("b", 2, at: primary) }
        let end = ContinuousClock.now + .seconds(60)
        while agent.runtime.troubles.lackOfRoom(in: StorageID(11)) == nil, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        await #expect(
            throws: DataRefusal.diskFull("on n1: no room left on the disk of storage 11; what is committed waits for it")
        ) { try await rig.putOnce("c", 3, at: primary) }
        let status = await agent.status()
        #expect(status.engine == .degraded("waiting: no room left on the disk of storage 11"))
        #expect(StatusMetrics.render(status, tokens: nil).contains("\ncoxswain_engine_storages_waiting 1\n"))

        engine.set { _ in nil }
        _ = try await held.value
        #expect(try await rig.strongGet("b", at: primary) == [.text("b"), .integer(2)])
        while await agent.status().engine != .healthy, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await agent.status().engine == .healthy)
        // A removal that waits is no reason to refuse anything.
        let removal = EngineTroubles.Trouble(error: .diskFull(StorageID(11)), holdsEntries: false)
        agent.runtime.troubles.set(removal, of: StorageID(11))
        try await rig.putOnce("c", 3, at: primary)
        await rig.stopAll()
    }

    @Test("an agent whose log has rotted, or whose storage is gone, refuses to start and says what it found (E4)")
    func refusesDamage() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        _ = try await rig.put("a", 1, at: rig.nodes[0])
        await rig.stopAll()

        let log = rig.root + "/n2/log"
        let segment = try #require(
            FileManager.default.contentsOfDirectory(atPath: log).filter { $0.hasPrefix("segment-") }.sorted().first)
        var bytes = try Data(contentsOf: URL(filePath: "\(log)/\(segment)"))
        // Behind the header, in the first record.
        bytes[100] ^= 0x10
        try bytes.write(to: URL(filePath: "\(log)/\(segment)"))
        try FileManager.default.removeItem(atPath: rig.root + "/n3/storages")
        for (node, word) in [(rig.nodes[1], "log"), (rig.nodes[2], "is not there")] {
            do {
                try await rig.start(node)
                Issue.record("\(node) started")
                await rig.stop(node)
            } catch let damage as DamagedStore {
                #expect(damage.findings.contains { $0.contains(word) }, "\(damage)")
            }
        }
        try await rig.start(rig.nodes[0])
        await rig.stopAll()
    }

    @Test("an agent whose storages cannot be opened for lack of space does not take them for damaged")
    func fullAtStart() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        let node = rig.nodes[0]
        try await rig.start(node)
        await rig.stopAll()
        await #expect(throws: EngineError.diskFull(StorageID(11))) {
            try await rig.start(node) { sound in
                let engine = SickEngine(sound)
                engine.set { call in call == .open ? .diskFull(StorageID(11)) : nil }
                return engine
            }
        }
        try await rig.start(node)
        await rig.stopAll()
    }

    @Test("damage that is met by nobody but who looks for an earlier write is said, and nothing is ordered for it (F6, R8)")
    func damagedWriteRecords() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        let primary = rig.nodes[0]
        let sick = Mutex<SickEngine?>(nil)
        try await rig.start(primary) { sound in
            let engine = SickEngine(sound)
            sick.withLock { $0 = engine }
            return engine
        }
        for node in rig.nodes.dropFirst() { try await rig.start(node) }
        _ = try await rig.put("a", 1, at: primary)
        let engine = try #require(sick.withLock { $0 })
        engine.set { $0 == .recall ? .damaged(StorageID(11), detail: "page 9") : nil }
        var random = SystemRandomNumberGenerator()
        let key = IdempotencyKey(madeAt: BootTime.wall, random: &random)
        await #expect(throws: DataRefusal.self) { try await rig.putOnce("b", 2, under: key, at: primary) }
        let end = ContinuousClock.now + .seconds(60)
        while await rig.agent(primary).status().damaged.isEmpty, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await rig.agent(primary).status().damaged.first?.detail.contains("page 9") ?? false)
        await rig.stopAll()
    }

    /// What does not read: the header, our own records of what is in the file, or whatever the disk is asked for.
    enum Unreadable: CaseIterable {
        case header, records, everything

        var says: String {
            switch self {
            case .header: "page 1 of its file is not what was written"
            case .records: "page 4 of its file is not what was written"
            case .everything: "Input/output error"
            }
        }

        func strike(_ path: String) throws {
            guard self != .everything else {
                try FileManager.default.removeItem(atPath: path)
                // Nothing is mapped where a file begins: there the kernel answers with EIO.
                return try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/proc/self/mem")
            }
            var bytes = try Data(contentsOf: URL(filePath: path))
            bytes[(self == .header ? 1 : 4) * 8_192 - 4_000] ^= 4
            try bytes.write(to: URL(filePath: path))
        }
    }

    @Test(
        "an agent with a storage that does not read starts, says so, and gives out nothing of it (F6)",
        arguments: Unreadable.allCases)
    func startsBesideDamage(_ fault: Unreadable) async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        _ = try await rig.put("a", 1, at: rig.nodes[0])
        await rig.stopAll()
        let database = rig.root + "/n3/storages/storage-11.sqlite"
        let whole = try Data(contentsOf: URL(filePath: database))
        try fault.strike(database)
        try await rig.start(rig.nodes[2])
        let agent = rig.agent(rig.nodes[2])
        let status = await agent.status()
        #expect(status.damaged.map(\.partition) == [PartitionID(11)])
        #expect(status.damaged.first?.detail.contains(fault.says) ?? false, "\(status.damaged)")
        #expect(status.unreadable.map(\.storage) == [StorageID(11)])
        #expect(await agent.runtime.localStorage(of: PartitionID(11)) == nil)
        // Nobody has let it go: it may be the best copy that there is. Once it reads again, it counts again.
        #expect((try? FileManager.default.attributesOfItem(atPath: database)) != nil)
        await rig.stopAll()
        try FileManager.default.removeItem(atPath: database)
        try whole.write(to: URL(filePath: database))
        for node in rig.nodes { try await rig.start(node) }
        let again = await rig.agent(rig.nodes[2]).status()
        #expect(again.damaged.isEmpty && again.unreadable.isEmpty && again.engine == .healthy)
        _ = try await rig.put("b", 2, at: rig.nodes[0])
        #expect(try await rig.strongGet("a", at: rig.nodes[0]) == [.text("a"), .integer(1)])
        await rig.stopAll()
    }

    @Test("a storage that does not read, of which the topology knows nothing, is told of in state, health and metrics")
    func unknownUnreadable() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        let path = rig.root + "/n1/storages/storage-77.sqlite"
        try Data(repeating: 0xEE, count: 3 * 8_192).write(to: URL(filePath: path))
        try await rig.start(rig.nodes[0])
        let agent = rig.agent(rig.nodes[0])
        let status = await agent.status()
        #expect(status.damaged.isEmpty && status.unreadable.map(\.storage) == [StorageID(77)])
        guard case .degraded(let why) = status.engine else {
            Issue.record("\(status.engine)")
            return await rig.stopAll()
        }
        #expect(why.contains("storage 77"))
        let document = String(decoding: try JSONEncoder().encode(StatusDocument(status)), as: UTF8.self)
        #expect(document.contains(#""storage_id":77"#), "\(document)")
        #expect(StatusMetrics.render(status, tokens: nil).contains("\ncoxswain_engine_storages_unreadable 1\n"))
        #expect(FileManager.default.fileExists(atPath: path))
        await rig.stopAll()
    }

    @Test("what keeps all storages alike from being opened keeps the agent from starting: no descriptors, no right, no room")
    func refusesWhatIsNotTheFiles() throws {
        let storage = StorageID(11)
        let errors: [(error: EngineError, goesOn: Bool)] = [
            (.damaged(storage, detail: "x"), true), (.unreadable(storage, detail: "x"), true),
            (.inputOutput(storage, detail: "x"), false), (.diskFull(storage), false), (.busy(storage, detail: "x"), false),
            (.failed(storage, detail: "x"), false),
        ]
        let identity = AgentIdentity(node: try NodeID("n1"), store: StoreID(1), generation: Generation(1))
        for (error, goesOn) in errors {
            let inventory = StorageInventory(storages: [], damaged: [(storage, error)])
            let core = AgentCore(
                identity: identity, topology: Topology(), recovered: [:], engine: [], unreadable: inventory.unreadable,
                startedAt: .origin)
            #expect(StoreCheck.findings(in: inventory, [:], core).isEmpty == goesOn, "\(error)")
            #expect(inventory.unreadable.isEmpty != goesOn, "\(error)")
        }
    }

    @Test(
        "a storage that is not there is damage, unless the log knows of a later epoch than the mirror (E4, F6)",
        arguments: [0, 1])
    func missingStorage(later: UInt64) throws {
        let identity = AgentIdentity(node: try NodeID("n1"), store: StoreID(1), generation: Generation(1))
        let own = ReplicaDescriptor(node: identity.node, store: identity.store, storage: StorageID(7), role: .inSync)
        let partition = PartitionDescriptor(
            id: PartitionID(7), table: TableID(1), range: .all, epoch: Epoch(3), primary: identity.node, replicas: [own],
            status: .active)
        let topology = Topology(revision: Revision(history: 1, index: 9), changes: [.partition(partition)])
        var records = RecoveredPartition()
        records.add(.hardState(PartitionID(7), HardState(epoch: Epoch(3 + later))))
        let core = AgentCore(
            identity: identity, topology: topology, recovered: [PartitionID(7): records], engine: [], startedAt: .origin)
        let found = StoreCheck.findings(in: StorageInventory(storages: [], damaged: []), [PartitionID(7): records], core)
        #expect(found.isEmpty == (later > 0))
    }

    @Test("an agent whose mirror of the topology has rotted does not start, and names the file (L1)")
    func refusesDamagedMirror() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        let path = rig.root + "/n1/topology"
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes.removeLast(3)
        try bytes.write(to: URL(filePath: path))
        do {
            try await rig.start(rig.nodes[0])
            Issue.record("it started")
        } catch let damage as DamagedStore {
            #expect("\(damage)".contains(path) && "\(damage)".contains("--replace-damaged"), "\(damage)")
        }
        await rig.stopAll()
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
