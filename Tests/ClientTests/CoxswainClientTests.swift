import FoundationEssentials
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import Client

@Suite struct CoxswainClientTests {
    /// Gateways that answer as the test says, in a time of its own: pauses and answers take none of ours.
    private final class World: Sendable {
        enum Reply {
            case answer(_ status: Int, _ body: String, after: Int64 = 1)
            case silence
        }

        struct Asked: Equatable {
            let gateway: String
            let once: String?
        }

        private struct State {
            var now: ContinuousClock.Instant
            var rows: [Asked] = []
            var routes = 0
        }

        /// The table's primary first.
        let gateways: [String]
        private let start = ContinuousClock.now
        private let state: Mutex<State>
        private let answersRoutes: Bool
        private let rows: @Sendable (_ gateway: String, _ turn: Int) -> Reply

        init(
            _ gateways: [String], answersRoutes: Bool = true,
            rows: @escaping @Sendable (_ gateway: String, _ turn: Int) -> Reply
        ) {
            self.gateways = gateways
            self.answersRoutes = answersRoutes
            self.rows = rows
            state = Mutex(State(now: start))
        }

        /// What rows were asked for.
        var asked: [Asked] { state.withLock { $0.rows } }
        var routesAsked: Int { state.withLock { $0.routes } }
        var elapsed: Duration { state.withLock { $0.now - start } }

        static func partition(_ gateways: [String], epoch: Int = 3) -> String {
            let replicas = gateways.map { "{\"node\":\"n\",\"gateway\":\"\($0)\",\"role\":\"inSync\"}" }.joined(separator: ",")
            return "{\"id\":20,\"epoch\":\(epoch),\"primary\":\"n\",\"gateway\":\"\(gateways[0])\",\"from\":null,\"to\":null,"
                + "\"replicas\":[\(replicas)]}"
        }

        private var route: String {
            """
            {"table":"t","revision":"1:9","columns":[{"name":"id","type":"text"},{"name":"v","type":"integer"}],
             "partition_key":"id","sort_key":null,"partitions":[\(Self.partition(gateways))]}
            """
        }

        private func reply(_ url: String, _ headers: [(String, String)]) -> Reply {
            let parts = url.split(separator: "/").map(String.init)
            guard gateways.contains(parts[1]) else { return .silence }
            if parts.last == "routes" {
                state.withLock { $0.routes += 1 }
                return answersRoutes ? .answer(200, route) : .silence
            }
            let turn = state.withLock { state in
                state.rows.append(Asked(gateway: parts[1], once: headers.first { $0.0 == "idempotency-key" }?.1))
                return state.rows.count - 1
            }
            return rows(parts[1], turn)
        }

        private func exchange(
            _ url: String, _ headers: [(String, String)], _ milliseconds: Int64
        ) throws(HTTPCalls.Failure) -> HTTPCalls.Answer {
            guard case .answer(let status, let body, let after) = reply(url, headers), after <= milliseconds else {
                state.withLock { $0.now += .milliseconds(milliseconds) }
                throw .unanswered("no answer in \(milliseconds) ms")
            }
            state.withLock { $0.now += .milliseconds(after) }
            return HTTPCalls.Answer(status: status, body: try? JSONValue(Data(body.utf8)))
        }

        func client(hasToken: Bool = true, seeds: [String]? = nil) -> CoxswainClient {
            let clock = ClientClock(now: { self.state.withLock { $0.now } }) { end in
                self.state.withLock { $0.now = max($0.now, end) }
            }
            let calls = HTTPCalls { (_, url, headers, _, milliseconds) async throws(HTTPCalls.Failure) in
                try self.exchange(url, headers, milliseconds)
            }
            let control = ControlClient(endpoints: ["https://c:1", "https://c:2"], calls: calls, clock: clock)
            return CoxswainClient(
                calls: calls, control: control, clusterID: "0", principal: "p", fixedToken: hasToken ? "token" : nil,
                gateways: seeds ?? gateways, clock: clock)
        }
    }

    private static let written =
        #"{"partition":20,"position":{"epoch":3,"run":1,"sequence":7}}"#
    private let row = JSONValue.object(["id": .string("a"), "v": .number(1)])
    private let budget = Duration.milliseconds(CoxswainClient.Settings().budgetMilliseconds)

    private func failure(_ body: () async throws -> some Sendable) async -> ClientError? {
        do { _ = try await body() } catch { return error as? ClientError }
        return nil
    }

    @Test("a write that meets a fence waits for its end, at the same gateway, however often it is told to")
    func fenced() async throws {
        let world = World(["h:1", "h:2"]) { _, turn in
            guard turn < 200 else { return .answer(200, Self.written) }
            return .answer(503, #"{"code":"PARTITION_FENCED","retryable":true,"retry_after_ms":20}"#)
        }
        let receipt = try await world.client().put(row, key: "[\"a\"]", in: "t")
        #expect(receipt.position.sequence == 7 && !receipt.mayBeEarlier)
        #expect(world.asked.count == 201 && world.asked.allSatisfy { $0 == world.asked[0] && $0.gateway == "h:1" })
        #expect(world.routesAsked == 1)
    }

    @Test("who is refused for ever is told so when the time is up, and not later")
    func refusedForEver() async throws {
        let world = World(["h:1", "h:2"]) { _, _ in .answer(503, #"{"code":"UNAVAILABLE","retryable":true}"#) }
        guard case .refused(let problem) = await failure({ try await world.client().put(row, key: "[\"a\"]", in: "t") }) else {
            Issue.record("not refused")
            return
        }
        #expect(problem.code == "UNAVAILABLE")
        #expect(world.elapsed <= budget && world.elapsed >= budget - .milliseconds(250), "\(world.elapsed)")
    }

    @Test("a refusal says nothing of an earlier try that nobody answered")
    func refusedAfterSilence() async throws {
        let world = World(["h:1", "h:2"]) { _, turn in
            turn == 0 ? .silence : .answer(409, #"{"code":"CONFLICT","retryable":false}"#)
        }
        guard case .outcomeUnknown = await failure({ try await world.client().put(row, key: "[\"a\"]", in: "t") }) else {
            Issue.record("told as if it were known")
            return
        }
        #expect(world.asked.count == 2 && world.asked[0].once != nil && world.asked[0].once == world.asked[1].once)
    }

    @Test("a refusal that names the partition's new primary leads there at once")
    func misdirected() async throws {
        let newer = World.partition(["h:2", "h:1"], epoch: 4)
        let world = World(["h:1", "h:2"]) { gateway, _ in
            gateway == "h:2" ? .answer(200, Self.written) : .answer(421, "{\"code\":\"NOT_HERE\",\"partition\":\(newer)}")
        }
        let client = world.client()
        for _ in 0..<2 { _ = try await client.put(row, key: "[\"a\"]", in: "t") }
        #expect(world.asked.map(\.gateway) == ["h:1", "h:2", "h:2"])
        #expect(world.routesAsked == 1 && world.elapsed < .milliseconds(5), "\(world.elapsed)")
    }

    @Test(
        "where gateways, agents and coordinators are silent, a request ends in its time all the same",
        arguments: [true, false], [true, false])
    func silent(hasToken: Bool, answersRoutes: Bool) async throws {
        let gateways = (1...12).map { "h:\($0)" }
        let world = World(gateways, answersRoutes: answersRoutes) { _, _ in .silence }
        let client = world.client(hasToken: hasToken, seeds: gateways + (1...12).map { "http://a:\($0)" })
        let error = await failure { try await client.put(row, key: "[\"a\"]", in: "t") }
        #expect(error != nil && world.elapsed <= budget && world.elapsed > budget / 2, "\(world.elapsed)")
    }

    @Test("sockets that accept and never answer do not hold a request up for longer than it may last", .timeLimit(.minutes(1)))
    func silentSockets() async throws {
        var gateways: [String] = []
        var servers: [any Channel] = []
        for _ in 0..<4 {
            let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .bind(host: "127.0.0.1", port: 0).get()
            servers.append(server)
            gateways.append("127.0.0.1:\(try #require(server.localAddress?.port))")
        }
        let calls = HTTPCalls(tls: .makeClientConfiguration())
        var settings = CoxswainClient.Settings()
        settings.budgetMilliseconds = 300
        for token in [nil, "token"] {
            let client = CoxswainClient(
                calls: calls, control: ControlClient(endpoints: ["https://" + gateways[0]], calls: calls), clusterID: "0",
                principal: "p", settings: settings, fixedToken: token, gateways: gateways + gateways.map { "http://" + $0 })
            let start = ContinuousClock.now
            let error = await failure { try await client.get(key: "[\"a\"]", in: "t") }
            // A second for each gateway would be four.
            #expect(error != nil && .now - start < .seconds(2), "\(.now - start)")
        }
        try await calls.shutDown()
        for server in servers { try await server.close() }
    }

    @Test("a read that any copy may answer goes to the one that answers fastest; a strong one to the primary")
    func nearest() async throws {
        let world = World(["far:1", "near:1"]) { gateway, _ in
            .answer(200, #"{"row":{"id":"a","v":1}}"#, after: gateway == "near:1" ? 1 : 30)
        }
        let client = world.client()
        for _ in 0..<20 { _ = try await client.get(key: "[\"a\"]", in: "t", consistency: .eventual) }
        #expect(world.asked.count { $0.gateway == "near:1" } >= 18)
        _ = try await client.get(key: "[\"a\"]", in: "t")
        #expect(world.asked.last?.gateway == "far:1")
    }
}
