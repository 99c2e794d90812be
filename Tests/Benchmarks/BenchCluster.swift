// A cluster of real processes for one part of the benches, and what every part asks of it.

import Client
import Dispatch
import FoundationEssentials
import Glibc
import Identity
import KeyEncoding
import Launching
import Model
import NIOCore
import Settings

struct BenchCluster: Sendable {
    let local: LocalCluster
    let context: ClusterContext
    let calls: HTTPCalls
    let control: ControlClient

    /// Brings up three coordinators and `agents` agents, does `work`, and leaves no process and no file behind.
    static func with<Result: Sendable>(
        agents: Int, _ settings: BenchSettings, tuning: CoordinatorFile.Tuning = .init(),
        _ work: @Sendable (BenchCluster) async throws -> Result
    ) async throws -> Result {
        let folder = try BenchFolder.make()
        defer { BenchFolder.remove(folder) }
        let local = try LocalCluster(folder: folder, basePort: settings.basePort, agentCount: max(1, agents), isTemporary: true)
        try local.check()
        let signals = local.children.endOnSignals { BenchFolder.remove(folder) }
        defer {
            for signal in signals { signal.cancel() }
            local.children.killAll()
        }
        // No repair meanwhile: it would be measured too.
        let files = try ClusterFiles(
            cluster: "bench", members: local.coordinators, operatorName: "admin", repairDelaySeconds: 3_600,
            tuning: tuning)
        try files.write(to: folder)
        let context = try ClusterContext(path: "\(folder)/context.json")
        let calls = HTTPCalls(tls: context.tls)
        let cluster = BenchCluster(
            local: local, context: context, calls: calls, control: ControlClient(endpoints: context.endpoints, calls: calls))
        let result = try await {
            do {
                try await cluster.start(agents: agents, pin: try files.authority.certificate.pin())
                return try await work(cluster)
            } catch {
                try? await calls.shutDown()
                throw error
            }
        }()
        try await calls.shutDown()
        return result
    }

    private func start(agents: Int, pin: String) async throws {
        for spec in local.coordinators { try local.startCoordinator(spec.node.name) }
        _ = try await leader()
        guard agents > 0 else { return }
        for agent in local.agents {
            let answer = try await control.call(
                .post, "/nodes/join-tokens",
                body: .object([
                    "ttl_seconds": .number(600), "uses": .number(1), "zone": .string(agent.zone),
                    "node_id": .string(agent.name),
                ]))
            guard let token = answer.body["token"]?.string else { throw BenchFailure("no join token: \(answer.body.text)") }
            try local.writeAgent(agent, token: token, pin: pin)
            try local.startAgent(agent.name)
        }
        try await waitUntilHealthy()
    }

    // MARK: - Waiting

    /// Asks again and again until there is an answer.
    /// - Throws: `BenchFailure` naming what was waited for, and the last error.
    func eventually<Value>(
        _ what: String, within seconds: Double = 30, everyMilliseconds pause: Int64 = 25, _ attempt: () async throws -> Value?
    ) async throws -> Value {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var last: (any Error)?
        while ContinuousClock.now < deadline {
            do { if let value = try await attempt() { return value } } catch { last = error }
            try await Task.sleep(for: .milliseconds(pause))
        }
        throw BenchFailure("waited \(Int(seconds)) s for \(what)" + (last.map { ": \($0)" } ?? ""))
    }

    /// The name of the coordinator that leads.
    func leader() async throws -> String {
        try await eventually("a coordinator that leads") {
            let body = try await control.call(.get, "/cluster/status", milliseconds: 2_000).body
            return body["raft"]?["leader"]?.string ?? body["leader"]?.string
        }
    }

    func waitUntilHealthy() async throws {
        try await eventually("\(local.agents.count) healthy agents", within: 60) { () async throws -> Void? in
            if let ended = local.ended(among: local.agents.map(\.name)).first { throw BenchFailure(ended) }
            let nodes =
                try await control.call(.get, "/clusters/\(context.clusterID)/nodes", milliseconds: 5_000).body.array ?? []
            return nodes.count { $0["status"]?.string?.lowercased() == "healthy" } == local.agents.count ? () : nil
        }
    }

    /// What became of long work.
    enum Outcome: Sendable {
        case succeeded
        case aborted(String)
        /// It had not ended after so long, and was cancelled.
        case hung(String)
    }

    /// Starts long work and waits for its end.
    /// - Parameter during: called between two looks at the operation.
    func operate(
        _ path: String, _ body: JSONValue, within seconds: Double, during: () async throws -> Void = {}
    ) async throws -> Outcome {
        let answer = try await control.call(.post, path, body: body)
        guard let id = answer.location?.split(separator: "/").last else {
            throw BenchFailure("\(path) names no operation: \(answer.body.text)")
        }
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let operation = try await control.call(.get, "/operations/\(id)", milliseconds: 5_000).body
            switch operation["phase"]?.string {
            case "succeeded": return .succeeded
            case "running": break
            default: return .aborted(operation["error"]?.string ?? operation.text)
            }
            guard ContinuousClock.now < deadline else {
                _ = try? await control.call(.post, "/operations/\(id):cancel", milliseconds: 5_000)
                return .hung("at step \(operation["step"]?.string ?? "?") after \(Int(seconds)) s")
            }
            try await during()
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Until no operation is under way, and none has anything left to remove.
    func waitUntilClean() async throws {
        try await eventually("the end of all operations and cleanups", within: 60) { () async throws -> Void? in
            let answer = try await control.call(.get, "/operations", milliseconds: 5_000).body
            guard let operations = answer.array ?? answer["operations"]?.array else {
                throw BenchFailure("no list of operations: \(answer.text)")
            }
            return operations.allSatisfy { $0["phase"]?.string != "running" && $0["cleanups_left"]?.unsigned == 0 } ? () : nil
        }
    }

    /// Until every agent is healthy and each partition has `count` copies in sync.
    func waitUntilWhole(copies count: Int = 3) async throws {
        try await waitUntilHealthy()
        try await eventually("\(count) copies in sync", within: 120) { () async throws -> Void? in
            let topology = try await control.call(.get, "/cluster/topology", milliseconds: 5_000).body
            let partitions = topology["partitions"]?.array ?? []
            return !partitions.isEmpty && partitions.allSatisfy { $0["in_sync"]?.array?.count == count } ? () : nil
        }
    }

    /// A partition as the coordinators have it.
    struct Placement: Sendable {
        let id: UInt64
        let primary: String
        /// Names of agents, as the primary is.
        let replicas: [String]
        let inSync: [String]
    }

    /// The table's partitions in key order, once each has a primary.
    func placements(of table: String) async throws -> [Placement] {
        try await eventually("primaries of \(table)") {
            let topology = try await control.call(.get, "/cluster/topology", milliseconds: 5_000).body
            let partitions = (topology["partitions"]?.array ?? []).filter { $0["table"]?.string == table }
            let placements = partitions.compactMap { partition -> Placement? in
                guard let id = partition["id"]?.unsigned, let primary = partition["primary"]?.string else { return nil }
                return Placement(
                    id: id, primary: primary, replicas: partition["replicas"]?.array?.compactMap { $0["node"]?.string } ?? [],
                    inSync: partition["in_sync"]?.array?.compactMap { $0.string } ?? [])
            }
            return placements.count == partitions.count && !placements.isEmpty ? placements : nil
        }
    }

    /// Sets an entry of the configuration that holds for all.
    func configure(_ name: String, _ value: Int) async throws {
        _ = try await control.call(.put, "/config/global/entries/\(name)", body: .object(["value": .number(value)]))
    }

    // MARK: - Tables

    /// Makes a table of a text key and a text column, which the operator may read and write.
    func makeTable(_ name: String, cuts: [String], factor: Int = 3) async throws {
        let columns = ["id", "body"].map { JSONValue.object(["name": .string($0), "type": .string("text")]) }
        _ = try await control.call(
            .post, "/tables",
            body: .object([
                "table_name": .string(name), "partition_key": .string("id"),
                "capacity": .object(["mode": .string("ON_DEMAND")]), "schema": .object(["attributes": .array(columns)]),
                "replication_factor": .number(factor), "partitions": .number(cuts.count + 1),
                "split_keys": .array(cuts.map { .array([.string($0)]) }),
            ]))
        try await eventually("table \(name)") { () async throws -> Void? in
            let table = try await control.call(.get, "/tables/\(name)", milliseconds: 5_000).body
            return table["status"]?.string == "ACTIVE" ? () : nil
        }
        _ = try await control.call(
            .put, "/tables/\(name)/access-policies/\(context.principal)",
            body: .object(["actions": .array([.string("read"), .string("write")]), "effect": .string("allow")]))
    }

    /// - Parameter patience: milliseconds that one attempt waits for its answer.
    func client(patience: Int64 = 3_000) -> CoxswainClient {
        var settings = CoxswainClient.Settings()
        settings.attemptMilliseconds = patience
        return CoxswainClient(
            calls: calls, control: control, clusterID: context.clusterID, principal: context.principal, settings: settings,
            gateways: local.agents.map { "127.0.0.1:\($0.gateway)" })
    }

    /// The table's partitions, once every one of them has a primary that a client can reach.
    func route(of table: String) async throws -> TableRoute {
        try await eventually("a route to \(table)") {
            let route = try await client().route(of: table)
            return route.partitions.allSatisfy { $0.gateway != nil } ? route : nil
        }
    }

    func agent(atGateway address: String) -> LocalCluster.Agent? {
        local.agents.first { address.hasSuffix(":\($0.gateway)") }
    }

    // MARK: - What it cost

    struct Cost: Sendable {
        /// Seconds of processor time.
        let processor: Double
        let syncs: Double

        static let none = Cost(processor: 0, syncs: 0)

        static func - (later: Cost, earlier: Cost) -> Cost {
            Cost(processor: later.processor - earlier.processor, syncs: later.syncs - earlier.syncs)
        }
    }

    /// Thousandths of a core that one of these members uses while nobody asks it for anything.
    func atRest(_ names: [String], rounds: Int) async throws -> Samples {
        var samples = Samples()
        for _ in 0..<rounds {
            let (before, start) = (try await cost(of: names), ContinuousClock.now)
            try await Task.sleep(for: .seconds(1))
            let used = try await cost(of: names) - before
            samples.add(used.processor * 1_000 / (ContinuousClock.now - start).inSeconds / Double(names.count))
        }
        return samples
    }

    /// What these members have used since they started.
    func cost(of names: [String]) async throws -> Cost {
        var processor = 0.0
        var syncs = 0.0
        for name in names {
            guard let process = local.children.process(of: name) else { continue }
            processor += try ProcessFigures.processor(of: process)
            syncs += try await self.syncs(of: name)
        }
        return Cost(processor: processor, syncs: syncs)
    }

    private func syncs(of name: String) async throws -> Double {
        let port =
            local.coordinators.first { $0.node.name == name }?.metrics ?? local.agents.first { $0.name == name }?.status ?? 0
        let metric = "coxswain_log_fsyncs_total "
        let answer = try await calls.call(.get, "http://127.0.0.1:\(port)/metrics", milliseconds: 2_000)
        let line = String(buffer: answer.content).split(separator: "\n").first { $0.hasPrefix(metric) }
        guard let count = line.flatMap({ Double($0.dropFirst(metric.count)) }) else {
            throw BenchFailure("\(name) does not say how often it synced its log")
        }
        return count
    }
}
