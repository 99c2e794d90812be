import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model
import NIOHTTP1

/// Rows of a hundred bytes put through the gateways: each answer is a write that three agents have on disk.
enum GatewayBench {
    private static let keys = 12_000

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 3, settings) { cluster in
            try await cluster.makeTable("usertable", cuts: (1..<3).map { name($0 * keys / 3) })
            let token = try await cluster.control.token(
                table: "usertable", principal: cluster.context.principal, seconds: 3_600)
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
                    let route = try await cluster.route(of: "usertable")
                    let clients = try (0..<loads[index].count).map {
                        try client($0, route, token, cluster, isKeyed: loads[index].isKeyed)
                    }
                    try await loads[index].load.round(loop, clients, members: members, seconds: 2.5)
                }
            }
            for load in loads { load.load.report(report) }
        }
    }

    private static func name(_ number: Int) -> String {
        let digits = String(number)
        return "user" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// A client of one partition, with a connection to its primary.
    private static func client(
        _ number: Int, _ route: TableRoute, _ token: String, _ cluster: BenchCluster, isKeyed: Bool
    ) throws -> ClosedLoop.Client {
        let place = number % route.partitions.count
        let partition = route.partitions[place]
        guard let agent = partition.gateway.flatMap(cluster.agent(atGateway:)) else {
            throw BenchFailure("partition \(partition.id) has no primary")
        }
        let headers = [("authorization", "Bearer \(token)"), ("coxswain-epoch", String(partition.epoch))]
        return ClosedLoop.Client(host: "127.0.0.1", port: agent.gateway, headers: headers) { turn in
            // 7,919 is prime: every key of the partition in turn, in no order.
            let key = name(place * keys / 3 + (turn * 7_919 + number * 131) % (keys / 3))
            let row = JSONValue.object(["id": .string(key), "body": .string("\(turn) " + String(repeating: "x", count: 90))])
            let path = "/v1/tables/usertable/rows?key=" + ControlClient.encode(JSONValue.array([.string(key)]).text)
            var random = SystemRandomNumberGenerator()
            let once =
                isKeyed
                ? IdempotencyKey(madeAt: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)), random: &random)
                : nil
            return .init(
                method: .PUT, path: path, body: row.text, headers: once.map { [("idempotency-key", $0.description)] } ?? [])
        }
    }
}
