// Puts an agent together: opens what is on disk, makes the services in the order of their dependencies, and runs them until a
// signal. Nothing here decides anything.

import Access
import AgentCore
import DurableLog
package import Engine
import Identity
import LogStorage
package import Logging
import Membership
import Model
import NIOSSL
import Replication
import RoutingTable
import ServiceLifecycle
import Settings
package import Telemetry
import Transport
package import UnixSignals
import Wire

package enum AgentProcess {
    /// Runs the agent that `configuration` describes until it is told to stop.
    ///
    /// - Parameter replacesDamaged: whether a damaged store is set aside and an empty one begun (rule E4).
    /// - Throws: `DamagedStore` when it is damaged and not to be replaced.
    package static func run(
        _ configuration: AgentConfiguration, logLevel: Logger.Level, replacesDamaged: Bool = false
    ) async throws {
        let registry = MetricsRegistry()
        Telemetry.bootstrap(node: configuration.node.name, level: logLevel, registry: registry)
        let logger = Logger(label: "agent")
        let parts: AgentParts
        do {
            parts = try await AgentParts.open(configuration, registry: registry, logger: logger)
        } catch let damage as DamagedStore where replacesDamaged {
            let aside = try DataFolder.setAside(
                ["log", "storages", "topology"], in: configuration.data, because: damage.findings.joined(separator: "\n"))
            logger.critical(
                "damaged data set aside",
                metadata: ["findings": "\(damage.findings.joined(separator: "; "))", "folder": "\(aside)"])
            parts = try await AgentParts.open(configuration, registry: registry, logger: logger)
        }
        try await parts.run(until: [.sigterm, .sigint], logger: logger)
    }
}

/// The parts of one agent and how they hang together.
package struct AgentParts {
    /// How long callers have to finish what they asked, all services together, before they are cut off.
    private static let shutdownLimit = Duration.seconds(3)

    package let agent: RunningAgent
    private let folder: DataFolder
    private let runtime: AgentRuntime
    private let engine: any StorageEngine
    private let services: [any Service]
    private let membership: GossipService
    private let keys: KeyringKeeper
    private let session: AgentSession
    private let links: PeerLinks
    private let worker: EngineWorker
    private let copies: CopyDispatcher
    private let mirror: TopologyMirror
    private let splits: SplitService

    /// Opens the data folder, joins the cluster if this is the first start, and puts everything together.
    ///
    /// - Parameter wrapping: what stands between the agent and its engine: in tests, one that fails.
    /// - Throws: `DamagedStore` when the node may not speak for its replicas.
    package static func open(
        _ configuration: AgentConfiguration, registry: MetricsRegistry = MetricsRegistry(), logger: Logger,
        wrapping: (SQLiteEngine) -> any StorageEngine = { $0 }
    ) async throws -> AgentParts {
        let folder = try DataFolder(configuration.data)
        let credentials = try await ClusterCredentials.obtain(configuration, in: folder, logger: logger)
        let parts = try await AgentParts(
            configuration, folder: folder, credentials: credentials, registry: registry, logger: logger, wrapping: wrapping)
        await parts.connect()
        let revision = await parts.runtime.topology.revision
        logger.info(
            "agent starts",
            metadata: [
                "store": "\(folder.store)", "generation": "\(folder.generation)", "revision": "\(revision)",
            ])
        return parts
    }

    /// Runs all services until a signal, a shutdown or the end of one of them; then closes what is open.
    package func run(until signals: [UnixSignal], logger: Logger) async throws {
        var whole = ServiceGroupConfiguration(
            services: services.map {
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            }, gracefulShutdownSignals: signals, logger: logger)
        whole.maximumGracefulShutdownDuration = Self.shutdownLimit
        let group = ServiceGroup(configuration: whole)
        let result: Result<Void, any Error>
        do { result = .success(try await group.run()) } catch { result = .failure(error) }
        await engine.close()
        withExtendedLifetime(folder) {}
        try result.get()
        logger.notice("agent stopped")
    }

    private init(
        _ configuration: AgentConfiguration, folder: DataFolder, credentials: ClusterCredentials, registry: MetricsRegistry,
        logger: Logger, wrapping: (SQLiteEngine) -> any StorageEngine
    ) async throws {
        let endpoint = try Self.endpoint(configuration, folder, credentials)
        let now = BootClock.now()

        // What the disk holds: the topology as last seen, the node's log, the storages.
        let file = TopologyFile(path: folder.path + "/topology")
        let topology = try StoreCheck.topology(in: file, of: folder)
        let recovered = try StoreCheck.openLog(in: folder, options: configuration.log)
        if let torn = recovered.log.storage.torn {
            logger.notice("the log's unfinished end was cut", metadata: ["record": "\(torn.record)"])
        }
        let engine = wrapping(
            SQLiteEngine(folder: try folder.folder("storages"), onDiskFailure: configuration.log.onDiskFailure))
        let inventory = try await engine.open()
        do { try StoreCheck.requireSpace(inventory) } catch {
            await engine.close()
            throw error
        }
        let core = AgentCore(
            identity: AgentIdentity(node: configuration.node, store: folder.store, generation: folder.generation),
            topology: topology, recovered: recovered.partitions, engine: Self.replicas(in: inventory),
            unreadable: inventory.unreadable, startedAt: now)
        let findings = StoreCheck.findings(in: inventory, recovered.partitions, core)
        guard findings.isEmpty else {
            await engine.close()
            throw DamagedStore(folder: folder.path, findings: findings)
        }
        for (storage, what) in inventory.unreadable.sorted(by: { $0.key < $1.key }) {
            logger.critical("a storage could not be opened", metadata: ["storage": "\(storage)", "damage": "\(what)"])
        }

        let meters = AgentMeters(in: registry)
        let runtime = AgentRuntime(
            core: core, log: recovered.log, engine: engine, meters: meters, logger: logger,
            stops: StopPoint(folder: folder.path))
        let agent = RunningAgent(
            runtime: runtime, engine: engine, configuration: configuration, cluster: credentials.cluster, logger: logger)
        let worker = EngineWorker(engine: engine, troubles: runtime.troubles, logger: logger) { runtime.inbox.put($0) }
        let links = PeerLinks(endpoint: endpoint, conversation: .replication, logger: logger)
        let relay = DeltaRelay()
        let session = AgentSession(
            endpoint: endpoint,
            coordinators: { credentials.coordinators.compactMap(\.address) },
            registration: AgentRegistration(
                store: folder.store, generation: folder.generation, zone: configuration.zone,
                addresses: configuration.addresses, instanceType: configuration.instanceType, version: RunningAgent.version,
                isLogIntact: true, canBeginLater: true),
            owner: agent, relay: relay, logger: logger)
        let seal = credentials.seal
        let keys = KeyringKeeper(seal: seal, path: credentials.keyringPath, logger: logger)
        let membership = GossipService(
            node: configuration.node, generation: folder.generation,
            profile: MemberProfile(
                kind: .agent, zone: configuration.zone, gossip: configuration.listen.gossip, link: configuration.listen.link,
                store: folder.store, session: .none),
            tuning: SwimTuning.named(configuration.tuning.gossipProfile ?? "fast") ?? .fast,
            address: try Self.hostPort(configuration.listen.gossip, "listen.gossip"), seal: seal,
            coordinators: credentials.coordinators.compactMap(\.rosterEntry), endpoint: endpoint, logger: logger,
            roundTrip: { meters.roundTrip.record($0) })
        let follower = Follower(runtime: runtime, gossip: membership, session: session)
        let peers = PeerTopology(
            endpoint: endpoint, authority: credentials.tls.authority, relay: relay, follower: follower, logger: logger)
        let rumours = RumourService(
            gossip: membership, session: session, ownRevision: { runtime.routes.revision }, heard: { peers.heard(from: $0) },
            logger: logger)
        let streams = CopyStreams(engine: engine, endpoint: endpoint, host: agent, meters: meters, logger: logger)
        let copies = CopyDispatcher(streams: streams, logger: logger) { runtime.inbox.put($0) }
        let listener = LinkListener(
            endpoint: endpoint, address: try Self.hostPort(configuration.listen.link, "listen.link"),
            handlers: [
                .replication: { link in await Self.receive(from: link, into: runtime, logger: logger) },
                .copy: { link in await streams.receive(on: link) },
                .topology: { link in await relay.serve(link) { runtime.routes.topology } },
            ], logger: logger)
        let mirror = TopologyMirror(file: file, logger: logger) { runtime.inbox.put(.topologySaved($0)) }
        let statistics = StatisticsService(agent: agent)
        let splits = SplitService(report: { await agent.reportLoads() }, search: { await agent.findKey(for: $0) })
        let scrub = ScrubService(runtime: runtime, worker: worker, pace: ScrubPace(configuration.tuning), meters: meters)
        let tokens = TokenVerifier(cluster: credentials.cluster, audience: .data)
        let gatewayAddress = try Self.hostPort(configuration.listen.gateway, "listen.gateway")
        let gateway = try Gateway(
            host: gatewayAddress.host, port: gatewayAddress.port, tls: credentials.tls.httpsServer(), plane: agent,
            engine: engine, tokens: tokens, meters: meters, logger: logger)
        let processMetrics = ProcessMetrics(registry: registry)
        let furtherMetrics = { @Sendable () async -> String in
            processMetrics.collect()
            return registry.exposition()
        }
        let statusAddress = try Self.hostPort(configuration.listen.status, "listen.status")
        let status = try StatusServer(
            host: statusAddress.host, port: statusAddress.port, plane: agent, tokens: tokens,
            furtherMetrics: furtherMetrics, logger: logger)

        let metrics = try configuration.listen.metrics.map { listen in
            let address = try Self.hostPort(listen, "listen.metrics")
            return MetricsServer(
                host: address.host, port: address.port, plane: agent, tokens: tokens, furtherMetrics: furtherMetrics,
                logger: logger)
        }

        (self.folder, self.runtime, self.engine, self.agent) = (folder, runtime, engine, agent)
        (self.membership, self.keys, self.session, self.links) = (membership, keys, session, links)
        (self.worker, self.copies, self.mirror, self.splits) = (worker, copies, mirror, splits)
        services =
            [
                worker, mirror, links, listener, copies, keys, runtime, InformedGossip(gossip: membership, keys: keys),
                rumours, peers,
                LinkWatch(links: links, gossip: membership),
                session, statistics, splits, scrub, gateway, status,
            ]
            + (metrics.map { [$0] } ?? [])
    }

    /// Ties the knots: the runtime hands its work to the others, the session reports for the agent.
    private func connect() async {
        agent.attach(session: session, membership: membership, keys: keys, folder: folder)
        let store = folder.store
        await runtime.attach(
            AgentRuntime.Hands(
                engine: worker,
                send: { [links] message, node in links.send(message.serialized(), to: node) },
                propose: { [session] proposal, request in session.propose(proposal, as: request) },
                askTopology: { [session] revision in session.askTopology(from: revision) },
                confirmQuorum: { [session] in session.confirmQuorum() },
                copy: { [copies] order in copies.submit(order) },
                stopCopy: { [copies] partition, target in copies.stop(partition, to: target) },
                findSplitKey: { [splits] order in splits.find(order) },
                topologyChanged: { [links, keys, membership, mirror, runtime] topology in
                    // Its registration comes behind all that was decided before this start.
                    let isCurrent =
                        topology.nodes[runtime.node].map {
                            $0.store == store && $0.generation == membership.generation
                        } ?? false
                    keys.follow(topology.gossipKeys, isCurrent: isCurrent)
                    let me = topology.nodes.filter { $0.value.status != .decommissioned && $0.key != runtime.node }
                    links.setPeers(me.mapValues(\.addresses.link))
                    membership.adopt(topology)
                    mirror.save(topology)
                }, fenced: { [agent] partition, operation in agent.fenced(partition, for: operation) }))
    }

    private static func receive(from link: Link, into runtime: AgentRuntime, logger: Logger) async {
        do {
            for try await frame in link.frames {
                runtime.received(try PeerMessage(bytes: frame), from: link.peer.node)
            }
        } catch {
            logger.debug("a peer's link ended", metadata: ["peer": "\(link.peer.node)", "reason": "\(error)"])
        }
    }

    private static func replicas(in inventory: StorageInventory) -> [EngineReplica] {
        inventory.storages.flatMap { storage -> [EngineReplica] in
            let held = storage.partitions.map {
                EngineReplica(
                    partition: $0.partition, storage: storage.storage, range: $0.range, applied: $0.applied)
            }
            guard let begun = storage.imported?.start, !held.contains(where: { $0.partition == begun.partition }) else {
                return held
            }
            // A copy that has not all arrived holds nothing yet that counts.
            let copy = EngineReplica(
                partition: begun.partition, storage: storage.storage, range: begun.range, applied: .zero, isImporting: true)
            return held + [copy]
        }
    }

    private static func endpoint(
        _ configuration: AgentConfiguration, _ folder: DataFolder, _ credentials: ClusterCredentials
    ) throws -> LinkEndpoint {
        let contexts = LinkContexts(
            server: try NIOSSLContext(configuration: credentials.tls.linkServer()),
            client: try NIOSSLContext(configuration: credentials.tls.linkClient()))
        return LinkEndpoint(
            cluster: credentials.cluster, clusterName: credentials.clusterName, node: configuration.node,
            store: folder.store, generation: folder.generation, contexts: { contexts })
    }

    private static func hostPort(_ text: String, _ field: String) throws(InvalidValue) -> HostPort {
        guard let address = HostPort(text) else { throw InvalidValue(field: field, detail: "'\(text)' is not host:port") }
        return address
    }
}

extension CoordinatorMember {
    fileprivate var address: CoordinatorAddress? {
        (try? NodeID(nodeID)).map { CoordinatorAddress(node: $0, link: link) }
    }

    fileprivate var rosterEntry: RosterEntry? {
        guard let node = try? NodeID(nodeID), let zone = try? ZoneName(zone) else { return nil }
        return RosterEntry(
            node: node, generation: Generation(0),
            profile: MemberProfile(
                kind: .coordinator, zone: zone, gossip: gossip, link: link, store: StoreID(0), session: .none))
    }
}
