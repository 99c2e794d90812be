// A cluster on loopback: coordinators and agents in three zones, each a process with files of its own.

import FoundationEssentials
import Glibc
import Identity
import Model

/// Why a cluster could not be brought up.
package struct LaunchFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Where everything of such a cluster is, and how its processes are started.
package struct LocalCluster: Sendable {
    package struct Agent: Sendable {
        package let name: String
        package let zone: String
        package let gateway: Int
        package let link: Int
        package let gossip: Int
        package let status: Int
    }

    package let folder: String
    /// The ports that are taken begin behind it.
    package let basePort: Int
    package let coordinators: [CoordinatorSpec]
    package let agents: [Agent]
    package let children: Children
    /// The folder of our own executable: the other programs lie beside it.
    private let programs: String

    /// - Parameters:
    ///   - basePort: coordinators take the next 40 ports, agents the 40 after.
    ///   - agentCount: how many agents there will be, at most nine.
    ///   - isTemporary: whether the folder goes when we do, however we end.
    package init(folder: String, basePort: Int, agentCount: Int = 5, isTemporary: Bool = false) throws {
        precondition((1...9).contains(agentCount), "agents have one digit each in their ports, so not \(agentCount)")
        self.folder = folder
        self.basePort = basePort
        children = Children(removing: isTemporary ? folder : nil)
        programs = try Self.ownFolder()
        let zones = ["a", "b", "c"]
        coordinators = try (1...3).map { number in
            var spec = CoordinatorSpec(node: try NodeID("c\(number)"), zone: try ZoneName(zones[number - 1]), host: "127.0.0.1")
            spec.api = basePort + number
            spec.link = basePort + 10 + number
            spec.gossip = basePort + 20 + number
            spec.metrics = basePort + 30 + number
            return spec
        }
        agents = (1...agentCount).map { number in
            Agent(
                name: "n\(number)", zone: zones[(number - 1) % 3], gateway: basePort + 40 + number,
                link: basePort + 50 + number,
                gossip: basePort + 60 + number, status: basePort + 70 + number)
        }
    }

    package var ports: [Int] {
        coordinators.flatMap { [$0.api, $0.link, $0.gossip, $0.metrics] }
            + agents.flatMap { [$0.gateway, $0.link, $0.gossip, $0.status] }
    }

    /// - Throws: a `LaunchFailure` that names ports in use or programs that are not built.
    package func check() throws {
        for program in ["coxswain-coordinator", "coxswain-agent"] where access("\(programs)/\(program)", X_OK) != 0 {
            throw LaunchFailure("\(programs)/\(program) is not built: swift build -c release --product \(program)")
        }
        let taken = Ports.inUse(ports)
        guard taken.isEmpty else {
            throw LaunchFailure(
                "ports in use on 127.0.0.1: \(taken.map(String.init).joined(separator: ", ")); "
                    + "end what uses them, or choose others with --base-port")
        }
    }

    // MARK: - Processes

    package func startCoordinator(_ name: String) throws {
        try children.start(
            name, "\(programs)/coxswain-coordinator", ["--config", "\(folder)/\(name)/coordinator.json"],
            log: "\(folder)/\(name).log")
    }

    package func startAgent(_ name: String) throws {
        try children.start(
            name, "\(programs)/coxswain-agent", ["--config", "\(folder)/\(name)/agent.json"], log: "\(folder)/\(name).log")
    }

    /// Every process that has ended though nobody ended it, with the last lines that it said.
    package func ended(among names: [String]) -> [String] {
        names.filter { !children.isRunning($0) }.map { name in
            let text = (try? SecretFile.read("\(folder)/\(name).log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let last = text.split(separator: "\n").suffix(3).joined(separator: "\n    ")
            return "\(name) has ended; it said last:\n    \(last)"
        }
    }

    // MARK: - Agents' files

    /// Writes one agent's folder: its settings and its join token.
    package func writeAgent(_ agent: Agent, token: String, pin: String) throws {
        var spec = AgentSpec(node: try NodeID(agent.name), zone: try ZoneName(agent.zone), host: "127.0.0.1")
        spec.gateway = agent.gateway
        spec.link = agent.link
        spec.gossip = agent.gossip
        spec.status = agent.status
        try AgentFiles(spec, coordinators: coordinators.map { "https://\($0.address($0.api))" }, token: token, pin: pin)
            .write(to: "\(folder)/\(agent.name)")
    }

    private static func ownFolder() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard length > 0, let slash = path.lastIndex(of: "/") else {
            throw LaunchFailure("cannot tell where this program lies")
        }
        return String(path[..<slash])
    }
}
