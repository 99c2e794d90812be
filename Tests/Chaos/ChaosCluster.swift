// The cluster: hosts, files and processes, and how each of them is broken and mended.

import Client
import DiskKit
import FoundationEssentials
import Glibc
import Identity
import Launching
import Model
import ProcessKit
import Settings
import Synchronization

struct ChaosFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

final class ChaosCluster: Sendable {
    static let clients = "clients"
    /// Each but the last has its data on this machine's disk.
    private static let smallDisks: Set = ["n5", "n6"]
    private static let diskBytes = 768 * 1_024 * 1_024

    let folder: String
    let network: TestNetwork
    let coordinators: [CoordinatorSpec]
    let agents: [AgentSpec]
    let disks: [String: SmallDisk]
    let children: Children
    let context: ClusterContext
    let calls: HTTPCalls
    let control: ControlClient
    private let files: ClusterFiles
    private let programs: String

    /// Makes hosts and files; nothing runs yet.
    init(in folder: String) async throws {
        self.folder = folder
        network = try TestNetwork()
        try network.addOwn(Self.clients)
        let zones = try ["a", "b", "c"].map { try ZoneName($0) }
        var (coordinators, agents, disks): ([CoordinatorSpec], [AgentSpec], [String: SmallDisk]) = ([], [], [:])
        for number in 1...3 {
            let host = try network.add("c\(number)")
            coordinators.append(CoordinatorSpec(node: try NodeID("c\(number)"), zone: zones[number - 1], host: host))
        }
        for number in 1...6 {
            let name = "n\(number)"
            var spec = AgentSpec(node: try NodeID(name), zone: zones[(number - 1) % 3], host: try network.add(name))
            if Self.smallDisks.contains(name) {
                let disk = try SmallDisk(bytes: Self.diskBytes)
                disks[name] = disk
                spec.data = "\(disk.inside)/data"
                var tuning = AgentFile.Tuning()
                (tuning.logSegmentMebibytes, tuning.diskReserveMebibytes) = (4, 16)
                spec.tuning = tuning
            }
            agents.append(spec)
        }
        (self.coordinators, self.agents, self.disks) = (coordinators, agents, disks)
        children = Children()
        // Whole: who is put on a disk of its own starts in another working directory.
        programs = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path
        files = try ClusterFiles(cluster: "chaos", members: coordinators, operatorName: "admin", repairDelaySeconds: 15)
        try files.write(to: folder)
        context = try ClusterContext(path: "\(folder)/context.json")
        calls = HTTPCalls(tls: context.tls)
        control = ControlClient(endpoints: context.endpoints, calls: calls)
    }

    var agentNames: [String] { agents.map(\.node.name) }
    var coordinatorNames: [String] { coordinators.map(\.node.name) }
    var names: [String] { coordinatorNames + agentNames }
    var gateways: [String] { agents.map { $0.address($0.gateway) } }

    /// Starts everybody for the first time.
    func start() async throws {
        for name in coordinatorNames { try start(name) }
        let pin = try files.authority.certificate.pin()
        for agent in agents {
            let answer = try await control.call(
                .post, "/nodes/join-tokens",
                body: .object([
                    "ttl_seconds": .number(600), "uses": .number(1), "zone": .string(agent.zone.name),
                    "node_id": .string(agent.node.name),
                ]))
            guard let token = answer.body["token"]?.string else { throw ChaosFailure("no join token: \(answer.body.text)") }
            try AgentFiles(agent, coordinators: context.endpoints, token: token, pin: pin)
                .write(to: "\(folder)/\(agent.node)")
            try start(agent.node.name)
        }
        try await eventually("all agents are healthy", within: 60) { () async throws -> Void? in
            let nodes = try await self.control.call(.get, "/cluster/topology", milliseconds: 5_000).body["nodes"]?.array ?? []
            return nodes.count { $0["status"]?.string == "HEALTHY" } == self.agents.count ? () : nil
        }
    }

    // MARK: - Processes

    func start(_ name: String) throws {
        let isCoordinator = coordinatorNames.contains(name)
        let program = isCoordinator ? "coxswain-coordinator" : "coxswain-agent"
        let file = isCoordinator ? "coordinator.json" : "agent.json"
        let words =
            try network.prefix(on: name) + (disks[name]?.prefix ?? []) + [
                "\(programs)/\(program)", "--config", "\(folder)/\(name)/\(file)",
            ]
        try children.start(name, words[0], Array(words.dropFirst()), log: "\(folder)/\(name).log")
    }

    func kill(_ name: String) { children.kill(name) }

    /// - Returns: whether there is a process that got it.
    @discardableResult
    func signal(_ name: String, _ number: Int32) -> Bool {
        guard let process = children.process(of: name) else { return false }
        return Glibc.kill(process, number) == 0
    }

    func end() async {
        for name in names { signal(name, SIGCONT) }
        children.killAll()
        // There is nobody left whom a failure would tell anything.
        try? await calls.shutDown()
    }

    /// Where an agent's data lie, as this process sees them.
    func data(of agent: AgentSpec) -> String {
        disks[agent.node.name].map { "\($0.path)/data" } ?? "\(folder)/\(agent.node)/\(agent.data)"
    }

    // MARK: - Network

    typealias Cut = TestNetwork.Cut

    func zone(of name: String) -> String? {
        agents.first { $0.node.name == name }?.zone.name ?? coordinators.first { $0.node.name == name }?.zone.name
    }

    /// Both directions between two groups of hosts.
    static func between(_ one: [String], _ other: [String]) -> [Cut] {
        one.flatMap { a in other.flatMap { [Cut(from: a, to: $0), Cut(from: $0, to: a)] } }
    }

    // MARK: - Looking

    /// Asks again and again until there is an answer.
    func eventually<Value>(
        _ what: String, within seconds: Double, _ attempt: () async throws -> Value?
    ) async throws -> Value {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var last: (any Error)?
        while ContinuousClock.now < deadline {
            do { if let value = try await attempt() { return value } } catch { last = error }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw ChaosFailure("not within \(Int(seconds)) s: \(what)" + (last.map { ": \($0)" } ?? ""))
    }

    func topology() async throws -> JSONValue {
        try await control.call(.get, "/cluster/topology", milliseconds: 5_000).body
    }

    func client() -> CoxswainClient {
        var settings = CoxswainClient.Settings()
        settings.attemptMilliseconds = 2_000
        return CoxswainClient(
            calls: calls, control: control, clusterID: context.clusterID, principal: context.principal, settings: settings,
            gateways: gateways)
    }
}
