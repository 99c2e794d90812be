import Foundation
import NIOHTTP1
import ProcessKit
import Synchronization

/// A cluster of real processes on this machine: three coordinators and five agents in three zones, or what a test asks for, in a folder
/// of its own. They share its loopback, or each is a host of a network of their own.
final class Cluster: Sendable {
    static let coordinators = ["c1", "c2", "c3"]
    static let agents = ["n1", "n2", "n3", "n4", "n5"]
    private static let zones = ["a", "b", "c"]

    struct AgentPorts: Sendable {
        let gateway, link, gossip, status: Int
        var host = "127.0.0.1"
    }
    struct CoordinatorPorts: Sendable {
        let api, link, gossip, metrics: Int
        var host = "127.0.0.1"
    }

    let folder: URL
    /// Who is to take part, in their order.
    let agentNames: [String]
    let coordinatorNames: [String]
    let agentPorts: [String: AgentPorts]
    let coordinatorPorts: [String: CoordinatorPorts]
    /// As the operator whom `cluster init` made.
    let operators: HTTP
    /// Without a certificate: what clients are.
    let clients: HTTP
    private let network: TestNetwork?
    /// An agent's status is on its host's loopback: who reads it has to be there. Empty where all are.
    private let visitors: [String: HTTP]
    private let processes = Mutex<[String: Running]>([:])
    /// The host that operators and clients are on.
    static let outside = "outside"

    /// Makes the folder with the operator's commands; nothing runs yet.
    ///
    /// - Parameter places: of agents that are to be at certain ports.
    init(
        on network: TestNetwork? = nil, coordinators: [String] = Cluster.coordinators, agents: [String] = Cluster.agents,
        places: [String: AgentPorts] = [:]
    ) async throws {
        agentNames = agents
        coordinatorNames = coordinators
        folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-e2e-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        self.network = network
        try network?.add(Self.outside)
        var agentPorts: [String: AgentPorts] = [:]
        var coordinatorPorts: [String: CoordinatorPorts] = [:]
        let ports = Ports.free(4 * (coordinators.count + agents.count))
        for (index, name) in (coordinators + agents).enumerated() {
            let (own, host) = (Array(ports[(4 * index)...]), try network?.add(name) ?? "127.0.0.1")
            if let place = places[name] {
                agentPorts[name] = place
            } else if index < coordinators.count {
                coordinatorPorts[name] = CoordinatorPorts(
                    api: own[0], link: own[1], gossip: own[2], metrics: own[3], host: host)
            } else {
                agentPorts[name] = AgentPorts(gateway: own[0], link: own[1], gossip: own[2], status: own[3], host: host)
            }
        }
        self.agentPorts = agentPorts
        self.coordinatorPorts = coordinatorPorts
        try await ClusterFiles.initialise(folder, coordinators: coordinatorPorts)
        let authority = folder.appending(path: "authority.crt")
        operators = try HTTP(
            authority: authority,
            identity: (folder.appending(path: "operator.crt"), folder.appending(path: "operator.key")),
            on: await network?.loops(on: Self.outside))
        clients = try HTTP(authority: authority, on: await network?.loops(on: Self.outside))
        var visitors: [String: HTTP] = [:]
        if let network {
            for name in agents { visitors[name] = try HTTP(authority: authority, on: await network.loops(on: name)) }
        }
        self.visitors = visitors
    }

    // MARK: Processes

    func startCoordinators() throws { for name in coordinatorNames { try start(name) } }

    /// Starts a member with its configuration file, the first time or again.
    func start(_ name: String, arguments: [String] = []) throws {
        let program = name.hasPrefix("c") ? "coxswain-coordinator" : "coxswain-agent"
        let file = name.hasPrefix("c") ? "coordinator.json" : "agent.json"
        let running = try Running(
            program, ["--config", folder.appending(path: "\(name)/\(file)").path] + arguments,
            by: network?.prefix(on: name) ?? [], log: folder.appending(path: "\(name).out"))
        processes.withLock { $0[name] = running }
    }

    /// Joins the agents with a token each, as an operator does, all at once.
    func startAgents() async throws {
        for name in agentNames { try await configure(name) }
        for name in agentNames { try start(name) }
    }

    /// Brings all up.
    func startAll() async throws {
        try startCoordinators()
        try await expectEventually("a leader", within: 15) { try await !self.leader().isEmpty }
        try await startAgents()
        try await waitForHealth()
    }

    /// Starts an agent that has nothing on its disk, with a token of its own.
    func join(_ name: String) async throws {
        try await configure(name)
        try start(name)
    }

    /// An agent's settings, and a token for it.
    private func configure(_ name: String) async throws {
        guard let index = agentNames.firstIndex(of: name), let ports = agentPorts[name] else {
            throw Failure("no ports for \(name)")
        }
        try await ClusterFiles.configureAgent(
            name, zone: Self.zones[index % Self.zones.count], ports: ports, coordinators: coordinatorPorts, in: folder,
            by: network?.prefix(on: Self.outside) ?? [])
    }

    func process(_ name: String) -> Running? { processes.withLock { $0[name] } }
    func kill(_ names: [String]) {
        let doomed = processes.withLock { all in names.compactMap { all.removeValue(forKey: $0) } }
        for process in doomed { Foundation.kill(process.identifier, SIGKILL) }
        for process in doomed { process.kill() }
    }

    /// Kills whatever still runs and removes the folder; the logs stay when `COXSWAIN_KEEP` is set.
    func tearDown() async {
        kill(processes.withLock { Array($0.keys) })
        await operators.close()
        await clients.close()
        for visitor in visitors.values { await visitor.close() }
        if ProcessInfo.processInfo.environment["COXSWAIN_KEEP"] == nil { try? FileManager.default.removeItem(at: folder) }
    }

    /// The last lines that a member wrote, for a failure's message.
    func tail(of name: String, lines: Int = 15) -> String {
        let text = (try? String(contentsOf: folder.appending(path: "\(name).out"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    // MARK: The control API

    /// Asks the coordinators in turn until one answers with something else than "no leader here".
    func api(
        _ method: HTTPMethod, _ path: String, body: String? = nil, headers: [(String, String)] = []
    ) async throws -> HTTP.Answer {
        let deadline = ContinuousClock.now + .seconds(15 * patience)
        var last = "no coordinator runs"
        while ContinuousClock.now < deadline {
            for name in coordinatorNames where process(name) != nil {
                guard let ports = coordinatorPorts[name] else { continue }
                do {
                    let answer = try await operators.send(
                        method, "https://\(ports.host):\(ports.api)/api/v1\(path)", body: body, headers: headers)
                    if answer.status != 503 { return answer }
                    last = "\(name): 503 \(answer.text)"
                } catch {
                    last = "\(name): \(error)"
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure("\(method) \(path): \(last)")
    }

    /// The member that leads, by each member's own word.
    func leader() async throws -> String {
        for name in coordinatorNames where process(name) != nil {
            guard let ports = coordinatorPorts[name] else { continue }
            let status = try? await operators.send(.GET, "https://\(ports.host):\(ports.api)/api/v1/cluster/status", within: 2)
            if let leader = status?.json["raft"]?["leader"]?.string ?? status?.json["leader"]?.string { return leader }
        }
        throw Failure("no leader")
    }

    /// - Parameter count: how many agents have joined, if not all.
    func waitForHealth(of count: Int? = nil) async throws {
        try await expectEventually("\(count ?? agentNames.count) healthy nodes", within: 30) {
            let topology = try await self.api(.GET, "/cluster/topology")
            let nodes = topology.json["nodes"]?.array ?? []
            return nodes.count { $0["status"]?.string?.lowercased() == "healthy" } == count ?? self.agentNames.count
        }
    }

    /// Waits for an operation's end.
    /// - Returns: its phase.
    func wait(for operation: String, within seconds: Double = 60) async throws -> String {
        var last = ""
        try await expectEventually("operation \(operation) ends (last: \(last))", within: seconds) {
            let answer = try await self.api(.GET, "/operations/\(operation)")
            last = answer.text
            let phase = answer.json["phase"]?.string?.lowercased() ?? ""
            return phase == "succeeded" || phase == "aborted" || phase == "failed"
        }
        return try await api(.GET, "/operations/\(operation)").json["phase"]?.string?.lowercased() ?? ""
    }

    /// Starts long work and gives back the operation's id.
    func begin(_ path: String, _ body: String) async throws -> String {
        let answer = try await api(.POST, path, body: body)
        guard answer.status == 202, let location = answer.headers.first(name: "location"),
            let id = location.split(separator: "/").last
        else { throw Failure("POST \(path): \(answer.status) \(answer.text)") }
        return String(id)
    }

    /// Starts long work until it succeeds. A fence that cannot end in time aborts its operation (rule M4) and leaves nothing behind,
    /// so on a busy machine an operator asks again; five times are enough.
    func complete(_ path: String, _ body: String) async throws {
        var last = ""
        for _ in 0..<5 {
            var operation = ""
            // Refused for as long as a member that was slow is catching up.
            try await expectEventually("POST \(path) is taken", within: 20) {
                operation = try await begin(path, body)
                return true
            }
            guard try await wait(for: operation) != "succeeded" else { return }
            last = try await api(.GET, "/operations/\(operation)").text
        }
        throw Failure("POST \(path) was aborted each time: \(last)")
    }

    func token(for table: String, actions: [String] = ["read", "write"], seconds: Int = 3_600) async throws -> String {
        let policy = try await api(
            .PUT, "/tables/\(table)/access-policies/e2e",
            body: "{\"actions\":[\(actions.map { "\"\($0)\"" }.joined(separator: ","))],\"effect\":\"allow\"}")
        guard policy.status < 300 else { throw Failure("policy: \(policy.status) \(policy.text)") }
        let answer = try await api(
            .POST, "/tables/\(table)/credentials", body: "{\"principal_arn\":\"e2e\",\"ttl_seconds\":\(seconds)}")
        guard let token = answer.json["token"]?.string else { throw Failure("token: \(answer.status) \(answer.text)") }
        return token
    }

    // MARK: The agents' own word

    func status(of agent: String) async throws -> [String: JSON] {
        guard let ports = agentPorts[agent] else { throw Failure("no agent \(agent)") }
        let answer = try await read("/status", of: agent, at: ports.status)
        guard answer.status == 200 else { throw Failure("\(agent): \(answer.status) \(answer.text)") }
        return answer.json
    }

    /// The value of one series without labels.
    func meter(_ name: String, of agent: String) async throws -> Double {
        try Meters(await metrics(of: agent)).total(name)
    }

    /// What a member has counted, all of it at one moment.
    func meters(of name: String) async throws -> Meters { Meters(try await metrics(of: name)) }

    private func metrics(of name: String) async throws -> String {
        if let ports = agentPorts[name] { return try await read("/metrics", of: name, at: ports.status).text }
        guard let ports = coordinatorPorts[name] else { throw Failure("no member \(name)") }
        return try await clients.send(.GET, "http://\(ports.host):\(ports.metrics)/metrics", within: 5).text
    }

    /// What `observer` holds of the members that it knows: an agent by its own status, a coordinator that leads by what it tells operators
    /// of agents.
    func beliefs(of observer: String) async throws -> [String: String] {
        var found: [String: String] = [:]
        if agentPorts[observer] != nil {
            for member in try await status(of: observer)["members"]?.array ?? [] {
                if let name = member["node_id"]?.string { found[name] = member["status"]?.string }
            }
        } else {
            for node in try await api(.GET, "/cluster/topology").json["nodes"]?.array ?? [] {
                if let name = node["node_id"]?.string { found[name] = node["gossip"]?["status"]?.string }
            }
        }
        return found
    }

    /// Waits until each agent's disk holds the storages of its replicas, and no other.
    func expectNoLeftovers() async throws {
        let folders = agentNames.map { ($0, folder.appending(path: "\($0)/data").path) }
        try await expectEventually("nothing is left behind on a disk", within: 30) {
            var wanted: [String: Set<UInt64>] = [:]
            let partitions = try await self.api(.GET, "/cluster/topology").json["partitions"]?.array ?? []
            for replica in partitions.flatMap({ $0["replicas"]?.array ?? [] }) {
                guard let name = replica["node"]?.string, let storage = replica["storage"]?.string.flatMap(UInt64.init) else {
                    throw Failure("nobody knows where \(replica) is")
                }
                wanted[name, default: []].insert(storage)
            }
            let found = try StorageFiles.differences(from: wanted, in: Dictionary(uniqueKeysWithValues: folders))
            return !partitions.isEmpty && found.isEmpty
        }
    }

    private func read(_ path: String, of agent: String, at port: Int) async throws -> HTTP.Answer {
        try await (visitors[agent] ?? clients).send(.GET, "http://127.0.0.1:\(port)\(path)", within: 2)
    }

    /// Where a key lives, as one running agent knows it.
    func route(_ table: String, key: String) async throws -> [String: JSON] {
        for agent in Self.agents where process(agent) != nil {
            guard let ports = agentPorts[agent] else { continue }
            let url = "http://127.0.0.1:\(ports.status)/v1/route?table=\(table)&key=\(key.percentEncoded)"
            if let answer = try? await clients.send(.GET, url, within: 2), answer.status == 200 { return answer.json }
        }
        throw Failure("no agent knows a route for \(key)")
    }
}

/// `/metrics` of one process at one moment.
struct Meters {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") } }

    /// The sum of a family, or of those series of it that have `label`.
    /// - Throws: where there is none.
    func total(_ name: String, _ label: String = "") throws -> Double {
        let found = lines.filter {
            ($0.hasPrefix("coxswain_\(name) ") || $0.hasPrefix("coxswain_\(name){")) && (label.isEmpty || $0.contains(label))
        }
        guard !found.isEmpty else { throw Failure("no series \(name) \(label)") }
        return found.reduce(0) { $0 + ($1.split(separator: " ").last.flatMap { Double($0) } ?? 0) }
    }

    /// Datagrams of gossip that were none, or did not open.
    var refusedDatagrams: Double {
        get throws { try total("gossip_malformed_total") + total("gossip_decrypt_failures_total") }
    }
}
