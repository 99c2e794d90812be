import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import Membership
import Model
import NIOCore
import NIOEmbedded
import RoutingTable
import Testing
import Transport

@testable import AgentServer

@Suite struct StatusAnswersTests {
    /// An agent that knows one table and leads its only partition.
    private struct Plane: DataPlane {
        var node: NodeID { report.node }
        let routes: Routes
        var report: AgentStatus

        func damageFound(in partition: PartitionID, _ what: String) {}
        func awaitHandOver(of partition: PartitionID, holding bytes: Int, until deadline: LogicalInstant) async -> Bool {
            false
        }

        init(engine: EngineHealth = .healthy, session: SessionID = SessionID(5), isNameInUse: Bool = false) throws {
            let node = try NodeID("n1")
            let addresses = NodeAddresses(gossip: "127.0.0.1:3", link: "127.0.0.1:2", service: "127.0.0.1:1")
            let column = Column(name: try RelationName("name"), type: .text)
            let table = TableDescriptor(
                id: TableID(4), name: try RelationName("packages"), columns: [column], partitionKey: column.name, sortKey: nil,
                replicationFactor: 1, minInSync: 1, status: .active, capacity: Capacity(mode: .onDemand),
                createdAt: WallTime(milliseconds: 0))
            let partition = PartitionDescriptor(
                id: PartitionID(7), table: table.id, range: .all, epoch: Epoch(3), primary: node,
                replicas: [ReplicaDescriptor(node: node, store: StoreID(1), storage: StorageID(7), role: .inSync)],
                status: .active)
            let descriptor = NodeDescriptor(
                id: node, store: StoreID(1), session: SessionID(5), generation: Generation(2), zone: try ZoneName("a"),
                addresses: addresses, status: .healthy)
            routes = try Routes(
                Topology(
                    revision: Revision(history: 1, index: 12),
                    changes: [.node(descriptor), .table(table), .partition(partition)]))
            report = AgentStatus(
                node: node, cluster: try ClusterID("0123456789abcdef0123456789abcdef"), zone: try ZoneName("a"),
                store: StoreID(1), generation: Generation(2), session: session, addresses: addresses, version: "0.1",
                uptime: .seconds(3), members: try Self.beliefs(), swim: Self.counters, isNameInUse: isNameInUse,
                datagrams: Self.datagrams, ignoredGossip: [.otherVersion: 4, .late: 2],
                revision: routes.revision,
                newestRevision: routes.revision,
                revisionAge: .zero,
                partitions: [
                    PartitionReport(
                        partition: partition.id, epoch: Epoch(3), isPrimary: true, role: .inSync, rows: 10, bytes: 1_000,
                        readsPerSecond: 1, writesPerSecond: 2, lag: .milliseconds(4), last: .zero, applied: .zero)
                ], engine: engine, fsyncs: 17)
        }

        private static var counters: Swim.Counters {
            var counters = Swim.Counters()
            (counters.probes, counters.failedProbes, counters.unheardProbes) = (9, 5, 2)
            counters.identitiesInUse = 1
            counters.exchanges = 3
            return counters
        }

        private static var datagrams: GossipSocket.Counters {
            var counters = GossipSocket.Counters()
            (counters.sent, counters.received, counters.unsent) = (70, 60, 1)
            return counters
        }

        /// One member, whom another accuses.
        private static func beliefs() throws -> [MemberBelief] {
            let profile = MemberProfile(
                kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:3", link: "127.0.0.1:2", store: StoreID(1),
                session: .none)
            var swim = Swim(
                node: try NodeID("n1"), generation: Generation(1), profile: profile, tuning: .fast, seed: 1, at: .origin)
            let rumour = MemberRecord(
                node: try NodeID("n2"), life: Life(generation: Generation(6), incarnation: 4), status: .suspect,
                profile: profile, accuser: try NodeID("n3"))
            let message = SwimMessage(
                from: try NodeID("n3"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
                rumours: [rumour])
            _ = swim.step(.received(message, from: "127.0.0.1:9"), at: .origin)
            return swim.beliefs(at: .origin + .milliseconds(250))
        }

        func write(
            _ mutations: [Mutation], under: IdempotencyKey?, to: PartitionID, at: Epoch
        ) async throws(DataRefusal) -> Position {
            throw .unavailable("not asked here")
        }
        func readAsked(of: PartitionID, at: Key) {}
        func strongRead(of: PartitionID, at: Epoch) async throws(DataRefusal) -> ReplicaLocation {
            throw .unavailable("not asked here")
        }
        func confirmStrongRead(of: PartitionID, at: Epoch) async throws(DataRefusal) { throw .unavailable("not asked here") }
        func boundedRead(of: PartitionID, at: Epoch, within: Span) async throws(DataRefusal) -> ReplicaLocation {
            throw .unavailable("not asked here")
        }
        func confirmLocalRead(of: PartitionID, in: StorageID) async throws(DataRefusal) { throw .unavailable("not asked here") }
        func localRead(of: PartitionID) async throws(DataRefusal) -> ReplicaLocation { throw .unavailable("not asked here") }
        func status() async -> AgentStatus { report }
    }

    private func text(_ response: Response) async throws -> String {
        final class Sink: ResponseBodyWriter {
            var bytes: [UInt8] = []
            func write(_ buffer: ByteBuffer) async throws { bytes += buffer.readableBytesView }
            func finish(_ trailing: HTTPFields?) async throws {}
        }
        let sink = Sink()
        try await response.body.write(sink)
        return String(decoding: sink.bytes, as: UTF8.self)
    }

    private func answers(engine: EngineHealth = .healthy) throws -> StatusAnswers {
        StatusAnswers(plane: try Plane(engine: engine), tokens: nil, furtherMetrics: { "further 1\n" })
    }

    @Test("/status names the node, its partitions with role and epoch, and the revision")
    func status() async throws {
        let body = try await text(answers().status())
        for part in [
            #""node_id":"n1""#, #""partition_id":7"#, #""role":"primary""#, #""epoch":3"#, #""revision":"1:12""#,
            #""fsyncs":17"#,
            #""health":"healthy""#, #""status":"suspect""#, #""incarnation":4"#, #""age_ms":250"#, #""accusers":["n3"]"#,
            #""isolated":false"#,
        ] {
            #expect(body.contains(part), "\(part) in \(body)")
        }
    }

    @Test("a fence that stands for want of the coordinators' quorum is named beside its partition, and counted")
    func fencedWithoutQuorum() async throws {
        for isNamed in [false, true] {
            var plane = try Plane()
            plane.report.fenced = [PartitionID(7)]
            if isNamed { plane.report.fencedWithoutQuorum = [PartitionID(7)] }
            let answers = StatusAnswers(plane: plane, tokens: nil, furtherMetrics: { "" })
            let body = try JSONDecoder().decode(Findings.self, from: Data(try await text(answers.status()).utf8))
            let finding = isNamed ? "FENCED_NO_QUORUM" : nil
            #expect(body == Findings(partitions: [.init(partition_id: 7, fenced: true, finding: finding)]))
            let metrics = try await text(answers.metrics())
            #expect(metrics.contains("coxswain_partitions_fenced_no_quorum \(isNamed ? 1 : 0)\n"))
        }
    }

    /// What `/status` says of each partition's fence.
    private struct Findings: Decodable, Equatable {
        struct Entry: Decodable, Equatable {
            let partition_id: UInt64
            let fenced: Bool
            let finding: String?
        }
        let partitions: [Entry]
    }

    @Test("/metrics is well-formed: every family has help and type before its samples")
    func metrics() async throws {
        let body = try await text(answers().metrics())
        var known: Set<Substring> = ["further"]
        for line in body.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                known.insert(line.split(separator: " ")[2])
            } else if !line.hasPrefix("#") {
                #expect(known.contains(line.prefix { $0 != " " && $0 != "{" }), "\(line)")
            }
        }
        #expect(body.contains("coxswain_gossip_members{state=\"suspect\"} 1\n"))
        #expect(body.contains("coxswain_gossip_false_positives_total 0\n"))
        #expect(body.contains("coxswain_gossip_isolated 0\n"))
        #expect(body.contains("coxswain_gossip_identity_in_use_total 1\n"))
        #expect(body.contains("coxswain_gossip_disputed_identities_total 0\n"))
        #expect(body.contains("coxswain_gossip_refused_strangers_total 0\n"))
        // The kinds of a failure add up to the failures.
        #expect(body.contains("coxswain_gossip_probe_failures_total{kind=\"member\"} 3\n"))
        #expect(body.contains("coxswain_gossip_probe_failures_total{kind=\"everybody\"} 2\n"))
        #expect(body.components(separatedBy: "coxswain_gossip_probe_failures_total{").count == 3)
        #expect(body.components(separatedBy: "coxswain_gossip_link_pings_total{").count == 5)
        #expect(body.contains("coxswain_gossip_exchanges_total 3\n"))
        // Every reason is there from zero.
        for (reason, count) in [
            ("echo", 0), ("misdirected", 0), ("late", 2), ("implausible", 0), ("retired", 0), ("other_version", 4),
            ("disputed", 0),
            ("crowded", 0),
        ] {
            #expect(body.contains("coxswain_gossip_ignored_total{reason=\"\(reason)\"} \(count)\n"), "\(reason)")
        }
        #expect(body.contains("coxswain_gossip_datagrams_total{direction=\"sent\"} 70\n"))
        #expect(body.contains("coxswain_gossip_datagrams_total{direction=\"received\"} 60\n"))
        #expect(body.contains("coxswain_gossip_unsent_total 1\n"))
        #expect(body.contains("coxswain_gossip_decrypt_failures_total{reason=\"replayed\"} 0\n"))
        #expect(body.contains("coxswain_partitions{role=\"primary\"} 1\n"))
        #expect(body.hasSuffix("further 1\n"))
    }

    @Test(
        "what is not offered is told so, with what is",
        arguments: [
            (HTTPRequest.Method.post, "/status", 405, "METHOD_NOT_ALLOWED"), (.delete, "/metrics", 405, "METHOD_NOT_ALLOWED"),
            (.get, "/nowhere", 404, "NOT_FOUND"), (.post, "/nowhere", 404, "NOT_FOUND"),
        ])
    func notOffered(method: HTTPRequest.Method, path: String, status: Int, code: String) async throws {
        let router = Router()
        router.add(middleware: OfferedPaths(paths: ["/status"] + StatusAnswers.healthPaths))
        try answers().addHealthRoutes(to: router)
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path),
            body: RequestBody(buffer: ByteBuffer()))
        let context = BasicRequestContext(
            source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test")))
        let response = try await router.buildResponder().respond(to: request, context: context)
        let body = try await text(response)
        #expect(response.status.code == status && body.contains("\"code\":\"\(code)\"") && body.contains("\"hint\""), "\(body)")
        #expect(response.headers[.allow] == (status == 405 ? "GET" : nil))
    }

    @Test(
        "a route is asked for by table and key, each once, and by nothing else",
        arguments: [
            ("table=packages&key=[%22x%22]", 200, #""partition_id":7"#),
            ("table=packages&key=[%22x%22]&epoch=3", 400, #""field":"epoch""#),
            ("table=packages&Key=[%22x%22]", 400, #""field":"Key""#),
            ("table=packages&key=[%22x%22]&key=[%22y%22]", 400, #""field":"key""#),
        ])
    func routeParameters(query: String, status: Int, part: String) async throws {
        let request = Request(
            head: HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: "/v1/route?" + query),
            body: RequestBody(buffer: ByteBuffer()))
        let response = try answers().route(request)
        let body = try await text(response)
        #expect(response.status.code == status && body.contains(part), "\(body)")
        #expect(status == 200 || body.contains("\"hint\""), "\(body)")
    }

    @Test("a failed engine makes the node not ready")
    func readiness() async throws {
        #expect(try await answers().readiness().status == .ok)
        #expect(try await answers(engine: .failed("disk")).readiness().status == .serviceUnavailable)
    }

    @Test("a process that found another under its name is not ready while it is not the one that is registered")
    func copy() async throws {
        for (session, isNameInUse, isReady) in [(0, false, true), (0, true, false), (5, true, true)] as [(UInt64, Bool, Bool)] {
            let plane = try Plane(session: SessionID(session), isNameInUse: isNameInUse)
            let answers = StatusAnswers(plane: plane, tokens: nil, furtherMetrics: { "" })
            let status = await answers.readiness().status
            #expect(status == (isReady ? .ok : .serviceUnavailable), "session \(session), in use: \(isNameInUse)")
        }
    }

    @Test(
        "only loopback names pass as host",
        arguments: [
            ("127.0.0.1:7471", true), ("localhost", true), ("LOCALHOST:1", true), ("[::1]:7471", true),
            ("evil.example:7471", false),
            ("127.0.0.1.evil.example", false), ("", false), ("[::2]", false),
        ])
    func hosts(authority: String, passes: Bool) {
        #expect(StatusServer.isLoopback(LoopbackHost.host(of: authority)) == passes)
    }

    @Test("the endpoint does not bind to anything but loopback")
    func binding() throws {
        #expect(throws: StatusServer.Refusal.notLoopback("0.0.0.0")) {
            try StatusServer(host: "0.0.0.0", port: 0, plane: try Plane(), logger: Logger(label: "test"))
        }
    }
}
