import Client
import Launching

/// Rows of a hundred bytes put through the gateways: each answer is a write that three agents have on disk.
enum GatewayBench {
    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 3, settings) { cluster in
            let table = try await UserTable.make("usertable", on: cluster)
            let loop = ClosedLoop(tls: cluster.context.tls)
            let members = cluster.local.agents.map(\.name)
            report(
                BenchRow(
                    bench: "gateway", row: "an agent at rest, three partitions", unit: "‰ of a core",
                    of: try await cluster.atRest(members, rounds: settings.rounds)))
            var loads = [(1, false), (64, false), (64, true)].map { count, isKeyed in
                (
                    count: count, isKeyed: isKeyed,
                    load: ServedLoad("gateway", isKeyed ? "writes under keys" : "writes", clients: count, on: cluster)
                )
            }
            for _ in 0..<settings.rounds {
                for index in loads.indices {
                    let clients = try await table.writers(loads[index].count, areKeyed: loads[index].isKeyed)
                    try await loads[index].load.round(loop, clients, members: members, seconds: 2.5)
                }
            }
            for load in loads { load.load.report(report) }
        }
    }
}
