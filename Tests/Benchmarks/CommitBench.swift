import Client
import Launching
import Model
import NIOHTTP1

/// Configuration entries set through the leader's REST API: each answer is a command that two of three coordinators have on disk.
enum CommitBench {
    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 0, settings) { cluster in
            let leader = try await cluster.leader()
            guard let spec = cluster.local.coordinators.first(where: { $0.node.name == leader }) else {
                throw BenchFailure("\(leader) leads, and is none of ours")
            }
            let loop = ClosedLoop(tls: cluster.context.tls)
            let members = cluster.local.coordinators.map(\.node.name)
            report(
                BenchRow(
                    bench: "commit", row: "a coordinator at rest, no agents", unit: "‰ of a core",
                    of: try await cluster.atRest(members, rounds: settings.rounds)))
            var loads = [1, 64].map { ($0, ServedLoad("commit", "commits", clients: $0, on: cluster)) }
            for _ in 0..<settings.rounds {
                for index in loads.indices {
                    let clients = (0..<loads[index].0).map { client in
                        ClosedLoop.Client(host: spec.host, port: spec.api, headers: []) { turn in
                            .init(
                                method: .PUT, path: "/api/v1/config/global/entries/app.bench-\(client)",
                                body: "{\"value\":\"\(turn)\"}")
                        }
                    }
                    try await loads[index].1.round(loop, clients, members: members, seconds: 2.5)
                }
            }
            for (_, load) in loads { load.report(report) }
        }
    }
}
