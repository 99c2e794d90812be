// Puts a coordinator together: opens what is on disk, makes the services in the order of their dependencies, and runs them until a
// signal. Nothing here decides anything.

import Catalog
import Consensus
import CoordinatorCore
import Identity
import LogStorage
package import Logging
import Membership
import Metrics
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Planning
import ServiceLifecycle
import Telemetry
import Transport
import UnixSignals
import Wire

package enum CoordinatorProcess {
    /// How long callers have to finish what they asked, all services together, before they are cut off.
    private static let shutdownLimit = Duration.seconds(3)

    /// Runs the coordinator that `configuration` describes until it is told to stop.
    package static func run(_ configuration: CoordinatorConfiguration, logLevel: Logger.Level) async throws {
        HeapSettings.apply()
        let registry = MetricsRegistry()
        Telemetry.bootstrap(node: configuration.node.name, level: logLevel, registry: registry)
        let logger = Logger(label: "coordinator")
        let member = try await MemberFolder.open(configuration.data, options: configuration.log)
        member.tell(logger)
        let (id, folder, store, peers) = (member.id(of: configuration.node), member.folder, member.store, member.peers)
        // Held no longer than until it is in the core: all of a snapshot is in it.
        let recovered = (consume member).recovered
        let entries = recovered.entries.count
        let identity = try configuration.identity()
        let keyring = try configuration.keyring()
        let contexts = LinkContexts(
            server: try NIOSSLContext(configuration: identity.linkServer()),
            client: try NIOSSLContext(configuration: identity.linkClient()))
        let endpoint = LinkEndpoint(
            cluster: configuration.cluster, clusterName: configuration.clusterName, node: configuration.node,
            store: folder.store, generation: folder.generation, contexts: { contexts })

        let core = try Self.core(
            configuration, id, consume recovered, seed: GossipSeed(keys: keyring.listed, primary: keyring.primary))
        let loop = Self.consensusLoop()
        let links = PeerLinks(endpoint: endpoint, conversation: .raft, logger: logger, group: loop)
        let roundTrips = Timer(label: "coxswain_gossip_probe_rtt_seconds")
        let seal = GossipSeal(keyring, of: configuration.cluster)
        let keys = KeyringKeeper(seal: seal, path: configuration.keyringFile, logger: logger)
        let gossip = GossipService(
            node: configuration.node, generation: folder.generation, profile: Self.profile(configuration, folder.store),
            tuning: configuration.gossip, address: configuration.listen.gossip,
            seal: seal,
            coordinators: [], endpoint: endpoint, logger: logger,
            roundTrip: { [roundTrips] span in roundTrips.recordNanoseconds(span.microseconds * 1_000) })
        let runtime = CoordinatorRuntime(
            core: consume core, store: store, peers: peers, links: links, gossip: gossip, keys: keys,
            places: GroupPlaces(configuration.members), logger: logger, loop: loop, stops: StopPoint(folder: folder.path))
        await runtime.start()
        let sessions = AgentSessions(
            backend: runtime, signingAs: identity, of: configuration.cluster, logger: logger
        ) { gossip.linkEnded(to: $0) }
        let listener = LinkListener(
            endpoint: endpoint, address: configuration.listen.link,
            handlers: [.raft: { await runtime.serve($0) }, .session: { await sessions.serve($0) }], logger: logger)
        let metrics = CoordinatorMetrics(runtime: runtime, gossip: gossip, registry: registry)
        let health = HealthServer(
            host: configuration.listen.metrics.host, port: configuration.listen.metrics.port, registry: registry,
            logger: logger, collect: { await metrics.collect() }, readiness: { await metrics.readiness() })

        let issuer = try TokenIssuer(key: try TokenKey.open(in: folder), cluster: configuration.cluster)
        let api = ControlAPI(
            settings: APISettings(
                clusterName: configuration.clusterName, cluster: configuration.cluster, node: configuration.node,
                keyring: keyring),
            plane: runtime, issuer: issuer, authority: try configuration.authority())
        let server = try APIServer(
            host: configuration.listen.api.host, port: configuration.listen.api.port, tls: identity.httpsServer(), api: api,
            logger: logger)
        let publisher = TokenKeyPublisher(issuer: issuer, plane: runtime, node: configuration.node, logger: logger)

        let applied = await runtime.statusNow.applied
        logger.notice(
            "coordinator starts",
            metadata: [
                "member": "\(runtime.id)", "store": "\(folder.store)", "generation": "\(folder.generation)",
                "applied": "\(applied)", "entries": "\(entries)",
            ])
        // Ended from the last to the first: leadership is somebody else's before anything here stops to answer.
        let services: [any Service] = [
            links, listener, keys, InformedGossip(gossip: gossip, keys: keys), runtime, server, health, publisher,
            HandOver(runtime: runtime),
        ]
        var whole = ServiceGroupConfiguration(
            services: services.map { .init(service: $0, successTerminationBehavior: .gracefullyShutdownGroup) },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        whole.maximumGracefulShutdownDuration = Self.shutdownLimit
        try await ServiceGroup(configuration: whole).run()
        logger.notice("coordinator stopped")
        withExtendedLifetime(folder) {}
    }

    /// Longer than a client takes from an answer to its next command, and shorter than anybody who watches a follower would notice.
    private static let commitNewsDelay = Span.milliseconds(3)

    /// The event loop on which consensus runs. On a machine with cores to spare it is one of its own, so that clients' handshakes and
    /// bulk never hold back a heartbeat. On a small one all connections share one loop with it: there a thread more is only a change of
    /// threads more for each request, several times its work. To be called once, before anything else asks for a loop.
    private static func consensusLoop() -> any EventLoop {
        guard System.coreCount > 2 else {
            NIOSingletons.groupLoopCountSuggestion = 1
            return MultiThreadedEventLoopGroup.singleton.next()
        }
        // It ends with the process.
        return MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
    }

    /// The settings say who founded the group, and nothing about who belongs to it since: that stands in the log.
    private static func core(
        _ configuration: CoordinatorConfiguration, _ id: MemberID, _ recovered: RaftStore.Recovered, seed: GossipSeed
    ) throws -> Coordinator {
        let founding = try MemberConfiguration(voters: configuration.members.map { MemberID($0.node) })
        let now = BootClock.now()
        let raft = Raft(
            id: id,
            settings: RaftSettings(
                electionTimeout: configuration.electionTimeout, heartbeatInterval: configuration.heartbeat,
                commitNewsDelay: Self.commitNewsDelay),
            hardState: recovered.hardState, snapshot: recovered.snapshot ?? .founding(founding), entries: recovered.entries,
            seed: UInt64.random(in: .min ... .max), at: now)
        return Coordinator(
            id: raft.id, raft: raft, codec: .standard,
            memberZones: Dictionary(uniqueKeysWithValues: configuration.members.map { ($0.node, $0.zone) }),
            settings: CoordinatorSettings(
                answerTime: max(.seconds(1), configuration.electionTimeout * 3),
                repairs: RepairLimits(delay: configuration.repairDelay),
                leadershipDelay: configuration.leadershipDelay),
            gossipSeed: seed,
            numbersAfter: UInt64.random(in: 0...(.max >> 3)), at: now)
    }

    private static func profile(_ configuration: CoordinatorConfiguration, _ store: StoreID) -> MemberProfile {
        let own = configuration.members.first { $0.node == configuration.node }
        return MemberProfile(
            kind: .coordinator, zone: configuration.zone,
            gossip: (own?.gossip ?? configuration.listen.gossip).description,
            link: (own?.link ?? configuration.listen.link).description, store: store, session: .none)
    }
}

extension CoordinatorCodec {
    /// Protocol buffers, and SHA-256 for the audit trail.
    static let standard = CoordinatorCodec(
        encode: { $0.serialized() },
        decode: { (bytes) throws(MalformedEntry) in
            do throws(WireError) { return try CatalogEntry(bytes: bytes) } catch {
                throw MalformedEntry(field: error.field, detail: "\(error)")
            }
        },
        encodeSnapshot: { $0.serializedInParts() }, decodeSnapshot: { try? CatalogSnapshot(parts: $0) },
        digest: { Digest.sha256($0) })
}

/// Gives leadership away before the process stops, so that nobody waits for a time-out.
private struct HandOver: Service {
    let runtime: CoordinatorRuntime

    func run() async throws {
        // Cancelled instead, the process ends at once, as if it had been killed.
        try? await gracefulShutdown()
        await runtime.handOver()
    }
}
