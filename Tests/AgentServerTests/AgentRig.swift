// Agents in this process, with real sockets, files and fsyncs, that start from a topology on disk; no coordinator is in reach.

import Engine
import FoundationEssentials
import Identity
import KeyEncoding
import LogStorage
import Logging
import Model
import NIOCore
import NIOPosix
import ServiceLifecycle
import Settings
import Wire

@testable import AgentServer

final class AgentRig: @unchecked Sendable {
    let root: String
    let nodes: [NodeID]
    let table: TableDescriptor
    private(set) var configurations: [NodeID: AgentConfiguration] = [:]
    private var running: [NodeID: (agent: RunningAgent, group: ServiceGroup, task: Task<Void, any Error>)] = [:]

    init(nodes names: [String], log: LogOptions = LogOptions()) async throws {
        root = FileManager.default.temporaryDirectory.path + "/coxswain-rig-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        nodes = try names.map { try NodeID($0) }
        let text = Column(name: try RelationName("id"), type: .text)
        let count = Column(name: try RelationName("n"), type: .integer)
        table = TableDescriptor(
            id: TableID(10), name: try RelationName("t"), columns: [text, count], partitionKey: text.name, sortKey: nil,
            replicationFactor: 3, minInSync: 2, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        let authority = try Authority.create(cluster: "rig", at: BootTime.wall)
        let keyring = try GossipKeyring.generate()
        var descriptors: [NodeDescriptor] = []
        for node in nodes {
            let ports = try await FreePorts.take(4)
            let listen = AgentFile.Listen(
                gateway: "127.0.0.1:\(ports[0])", link: "127.0.0.1:\(ports[1])", gossip: "127.0.0.1:\(ports[2])",
                status: "127.0.0.1:\(ports[3])")
            let configuration = AgentConfiguration(
                node: node, zone: try ZoneName("z1"), data: "\(root)/\(node)", listen: listen, log: log)
            configurations[node] = configuration
            let folder = try DataFolder(configuration.data)
            try Self.writeIdentity(of: node, into: try folder.folder("identity"), authority: authority, keyring: keyring)
            try await makeEmptyReplica(in: try folder.folder("storages"))
            descriptors.append(
                NodeDescriptor(
                    id: node, store: folder.store, session: SessionID(5), generation: folder.generation,
                    zone: configuration.zone,
                    addresses: configuration.addresses, status: .healthy))
        }
        let partition = PartitionDescriptor(
            id: PartitionID(11), table: table.id, range: .all, epoch: Epoch(1), primary: nodes[0],
            replicas: descriptors.map {
                ReplicaDescriptor(node: $0.id, store: $0.store, storage: StorageID(11), role: .inSync)
            },
            status: .active)
        let changes: [TopologyChange] = descriptors.map { .node($0) } + [.table(table), .partition(partition)]
        let topology = Topology(revision: Revision(history: 1, index: 20), changes: changes)
        for node in nodes {
            try DurableFile.replace("\(root)/\(node)/topology", with: topology.serialized())
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// What an agent has on its disk before its table is active: a member of an in-sync set is never made out of nothing (rule E4).
    private func makeEmptyReplica(in folder: String) async throws {
        let engine = SQLiteEngine(folder: folder)
        _ = try await engine.open()
        try await engine.create(
            StorageID(11), for: table,
            holding: PartitionState(partition: PartitionID(11), range: .all, applied: .zero, checksum: 0))
        await engine.close()
    }

    private static func writeIdentity(
        of node: NodeID, into path: String, authority: Authority, keyring: GossipKeyring
    ) throws {
        let key = try PrivateKey.generate()
        let identity = try PeerIdentity(cluster: "rig", role: .node, name: node.name)
        let certificate = try authority.issue(
            identity, publicKey: try key.publicKey(), addresses: ["127.0.0.1"], at: BootTime.wall)
        try SecretFile.write(Array(try key.pem().utf8), to: path + "/node.key")
        try SecretFile.write(Array(try certificate.pem().utf8), to: path + "/node.crt")
        try SecretFile.write(Array(try authority.certificate.pem().utf8), to: path + "/authority.crt")
        try SecretFile.write(Array(try keyring.json()), to: path + "/gossip.key")
        let cluster = """
            {"cluster": {"name": "rig", "id": "00000000000000000000000000000001"}, "coordinators":
             [{"node_id": "c1", "api": "127.0.0.1:9", "link": "127.0.0.1:9", "gossip": "127.0.0.1:9", "zone": "z1"}]}
            """
        try DurableFile.replace(path + "/cluster.json", with: Array(cluster.utf8))
    }

    func start(_ node: NodeID, wrapping: (SQLiteEngine) -> any StorageEngine = { $0 }) async throws {
        guard let configuration = configurations[node] else { return }
        var logger = Logger(label: "rig") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        logger[metadataKey: "node"] = "\(node)"
        let parts = try await open(configuration, logger, wrapping)
        // Ended as a signal would end it: in order, each service after those that need it.
        let group = ServiceGroup(services: [Process(parts: parts, logger: logger)], logger: logger)
        running[node] = (parts.agent, group, Task { try await group.run() })
    }

    /// The folder of one that has ended is free as soon as the last of its tasks has let go of it.
    private func open(
        _ configuration: AgentConfiguration, _ logger: Logger, _ wrapping: (SQLiteEngine) -> any StorageEngine
    ) async throws -> AgentParts {
        let end = ContinuousClock.now + .seconds(10)
        while true {
            do { return try await AgentParts.open(configuration, logger: logger, wrapping: wrapping) } catch {
                guard case .locked? = error as? StorageError, ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    func stop(_ node: NodeID) async {
        guard let (_, group, task) = running.removeValue(forKey: node) else { return }
        await group.triggerGracefulShutdown()
        _ = await task.result
    }

    private struct Process: Service {
        let parts: AgentParts
        let logger: Logger
        func run() async throws { try await parts.run(until: [], logger: logger) }
    }

    func agent(_ node: NodeID) -> RunningAgent { running[node]!.agent }

    func stopAll() async {
        for node in nodes { await stop(node) }
    }

    /// Writes one row at the primary.
    @discardableResult
    func putOnce(
        _ id: String, _ n: Int64, under idempotencyKey: IdempotencyKey? = nil, at node: NodeID
    ) async throws -> Position {
        let key = try KeyLayout(table).key(of: [.text(id)])
        let mutation = Mutation.put(key: key, values: [.text(id), .integer(n)])
        return try await agent(node).write([mutation], under: idempotencyKey, to: PartitionID(11), at: Epoch(1))
    }

    /// Writes one row at the primary, asking again while it is not ready.
    func put(_ id: String, _ n: Int64, at node: NodeID) async throws -> Position {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do {
                return try await putOnce(id, n, at: node)
            } catch {
                guard ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    func strongGet(_ id: String, at node: NodeID) async throws -> [Value]? {
        let key = try KeyLayout(table).key(of: [.text(id)])
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do {
                let location = try await agent(node).strongRead(of: PartitionID(11), at: Epoch(1))
                let row = try await agent(node).engine.get(key, in: location.storage)
                try await agent(node).confirmStrongRead(of: PartitionID(11), at: Epoch(1))
                return row
            } catch {
                guard ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}

enum BootTime {
    static var wall: WallTime { WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }
}

/// Ports that were free a moment ago.
enum FreePorts {
    static func take(_ count: Int) async throws -> [Int] {
        var channels: [any Channel] = []
        for _ in 0..<count {
            channels.append(
                try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get())
        }
        let ports = channels.compactMap { $0.localAddress?.port }
        for channel in channels { try await channel.close() }
        return ports
    }
}
