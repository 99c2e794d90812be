// The demo's cluster on loopback: three coordinators and five agents in three zones, each a process with files of its own.

import FoundationEssentials
import Glibc
import Identity
import Model

struct DemoFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Where everything of the demo is, and how its processes are started.
struct DemoCluster: Sendable {
    struct Agent: Sendable {
        let name: String
        let zone: String
        let gateway: Int
        let link: Int
        let gossip: Int
        let status: Int
    }

    let folder: String
    let coordinators: [CoordinatorSpec]
    let agents: [Agent]
    let children = Children()
    /// The folder of our own executable: the other programs lie beside it.
    private let programs: String

    init(folder: String, basePort: Int) throws {
        self.folder = folder
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
        agents = (1...5).map { number in
            Agent(
                name: "n\(number)", zone: zones[(number - 1) % 3], gateway: basePort + 40 + number,
                link: basePort + 50 + number,
                gossip: basePort + 60 + number, status: basePort + 70 + number)
        }
    }

    var ports: [Int] {
        coordinators.flatMap { [$0.api, $0.link, $0.gossip, $0.metrics] }
            + agents.flatMap { [$0.gateway, $0.link, $0.gossip, $0.status] }
    }

    /// - Throws: a `DemoFailure` that names ports in use or programs that are not built.
    func check() throws {
        for program in ["coxswain-coordinator", "coxswain-agent"] where access("\(programs)/\(program)", X_OK) != 0 {
            throw DemoFailure("\(programs)/\(program) is not built: swift build -c release --product \(program)")
        }
        let taken = Ports.inUse(ports)
        guard taken.isEmpty else {
            throw DemoFailure(
                "ports in use on 127.0.0.1: \(taken.map(String.init).joined(separator: ", ")); "
                    + "end what uses them, or choose others with --base-port")
        }
    }

    // MARK: - Processes

    func startCoordinator(_ name: String) throws {
        try children.start(
            name, "\(programs)/coxswain-coordinator", ["--config", "\(folder)/\(name)/coordinator.json"],
            log: "\(folder)/\(name).log")
    }

    func startAgent(_ name: String) throws {
        try children.start(
            name, "\(programs)/coxswain-agent", ["--config", "\(folder)/\(name)/agent.json"], log: "\(folder)/\(name).log")
    }

    /// Every process that has ended though nobody ended it, with the last lines that it said.
    func ended(among names: [String]) -> [String] {
        names.filter { !children.isRunning($0) }.map { name in
            let text = (try? SecretFile.read("\(folder)/\(name).log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let last = text.split(separator: "\n").suffix(3).joined(separator: "\n    ")
            return "\(name) has ended; it said last:\n    \(last)"
        }
    }

    // MARK: - Agents' files

    /// Writes one agent's folder: its settings and its join token.
    func writeAgent(_ agent: Agent, token: String, pin: String) throws {
        struct Settings: Encodable {
            struct Listen: Encodable {
                let gateway: String
                let link: String
                let gossip: String
                let status: String
            }
            struct Join: Encodable {
                let token_file: String
                let authority_pin: String
            }
            struct Tuning: Encodable { let gossip_profile: String }
            let node_id: String
            let zone: String
            let data: String
            let listen: Listen
            let coordinators: [String]
            let join: Join
            let tuning: Tuning
        }
        let own = "\(folder)/\(agent.name)"
        guard mkdir(own, 0o700) == 0 || errno == EEXIST else {
            throw IdentityError.file(path: own, reason: String(cString: strerror(errno)))
        }
        try SecretFile.write(Array((token + "\n").utf8), to: "\(own)/join.token")
        let settings = Settings(
            node_id: agent.name, zone: agent.zone, data: "data",
            listen: .init(
                gateway: "127.0.0.1:\(agent.gateway)", link: "127.0.0.1:\(agent.link)", gossip: "127.0.0.1:\(agent.gossip)",
                status: "127.0.0.1:\(agent.status)"),
            coordinators: coordinators.map { "https://\($0.address($0.api))" },
            join: .init(token_file: "join.token", authority_pin: pin), tuning: .init(gossip_profile: "fast"))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try SecretFile.write(Array(try encoder.encode(settings)) + [0x0A], to: "\(own)/agent.json", mode: 0o644)
    }

    private static func ownFolder() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard length > 0, let slash = path.lastIndex(of: "/") else { throw DemoFailure("cannot tell where coxctl lies") }
        return String(path[..<slash])
    }
}
