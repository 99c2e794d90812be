import Client
import FoundationEssentials
import Identity
import Launching
import Model

extension DemoRun {
    /// Makes the cluster's files, starts eight processes and waits until all is well.
    static func start(
        _ cluster: LocalCluster, _ narrator: Narrator, _ packages: PackageList
    ) async throws -> DemoRun {
        let files = try ClusterFiles(
            cluster: "demo", members: cluster.coordinators, operatorName: "admin", repairDelaySeconds: 60)
        try files.write(to: cluster.folder)
        narrator.step("authority and certificates made in \(cluster.folder)")
        for spec in cluster.coordinators { try cluster.startCoordinator(spec.node.name) }
        let run = try DemoRun(cluster: cluster, narrator: narrator, packages: packages)
        let names = cluster.coordinators.map(\.node.name)
        _ = try await run.eventually("a coordinator that leads", within: 30) { () async throws -> Bool? in
            if let ended = cluster.ended(among: names).first { throw DemoFailure(ended) }
            return try await run.leader() == nil ? nil : true
        }
        narrator.step("coordinators agree on a leader: \(try await run.leader() ?? "none")")

        let pin = try files.authority.certificate.pin()
        for agent in cluster.agents {
            let answer = try await run.control.call(
                .post, "/nodes/join-tokens",
                body: .object([
                    "ttl_seconds": .number(600), "uses": .number(1), "zone": .string(agent.zone),
                    "node_id": .string(agent.name),
                ]))
            guard let token = answer.body["token"]?.string else { throw DemoFailure("no join token: \(answer.body.text)") }
            try cluster.writeAgent(agent, token: token, pin: pin)
            try cluster.startAgent(agent.name)
        }
        try await run.waitUntilHealthy()
        return run
    }

    func leader() async throws -> String? {
        let body = try await control.call(.get, "/cluster/status", milliseconds: 2_000).body
        return body["raft"]?["leader"]?.string ?? body["leader"]?.string
    }

    func waitUntilHealthy() async throws {
        let healthy = try await eventually("five healthy agents", within: 60) { () async throws -> Int? in
            if let ended = cluster.ended(among: cluster.agents.map(\.name)).first { throw DemoFailure(ended) }
            let answer = try await control.call(.get, "/clusters/\(context.clusterID)/nodes", milliseconds: 5_000).body
            let nodes = answer.array ?? answer["nodes"]?.array ?? answer["items"]?.array ?? []
            let well = nodes.filter { $0["status"]?.string?.lowercased() == "healthy" }.count
            return well == cluster.agents.count ? well : nil
        }
        narrator.step("\(healthy) agents have joined and are healthy")
    }
}
