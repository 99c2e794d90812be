import Foundation

/// The files of a cluster: made by the operator's commands, with this run's ports.
enum ClusterFiles {
    /// `coxctl cluster init`.
    static func initialise(_ folder: URL, coordinators: [String: Cluster.CoordinatorPorts]) async throws {
        var arguments = ["cluster", "init", "--name", "e2e", "--dir", folder.path, "--repair-delay", "120"]
        for (name, ports) in coordinators.sorted(by: { $0.key < $1.key }) {
            let zone = ["c1": "a", "c2": "b"][name] ?? "c"
            arguments += [
                "--coordinator",
                "\(name),zone=\(zone),host=\(ports.host),api=\(ports.api),link=\(ports.link),gossip=\(ports.gossip),metrics=\(ports.metrics)",
            ]
        }
        let outcome = try await Programs.run("coxctl", arguments)
        guard outcome.status == 0 else { throw Failure("cluster init: \(outcome)") }
    }

    /// The agent's configuration, and a join token of its own.
    static func configureAgent(
        _ name: String, zone: String, ports: Cluster.AgentPorts, coordinators: [String: Cluster.CoordinatorPorts],
        in folder: URL, by prefix: [String] = []
    ) async throws {
        let own = folder.appending(path: name)
        try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
        let outcome = try await Programs.run(
            "coxctl",
            [
                "node", "join-token", "create", "--node", name, "--context", folder.appending(path: "context.json").path,
                "--output", "json",
            ], by: prefix)
        guard outcome.status == 0,
            let fields = try? JSONDecoder().decode([String: JSON].self, from: Data(outcome.output.utf8)),
            let token = fields["token"]?.string, let pin = fields["authority_pin"]?.string
        else { throw Failure("join-token create: \(outcome)") }
        let tokenFile = own.appending(path: "join-token")
        try Data(token.utf8).write(to: tokenFile)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: tokenFile.path)
        let endpoints = coordinators.sorted { $0.key < $1.key }.map { "\"https://\($0.value.host):\($0.value.api)\"" }
        let text = """
            {
              "node_id": "\(name)", "zone": "\(zone)", "data": "data",
              "listen": {
                "gateway": "\(ports.host):\(ports.gateway)", "link": "\(ports.host):\(ports.link)",
                "gossip": "\(ports.host):\(ports.gossip)", "status": "127.0.0.1:\(ports.status)",
              },
              "coordinators": [\(endpoints.joined(separator: ", "))],
              "join": { "token_file": "join-token", "authority_pin": "\(pin)" },
              "tuning": { "scrub_seconds": 2 },
            }
            """
        try Data(text.utf8).write(to: own.appending(path: "agent.json"))
    }
}
