import ArgumentParser
import Client

struct Node: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Database nodes and their agents.", subcommands: [NodeList.self, JoinToken.self])
}

struct NodeList: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "The nodes, their zones and their load.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.get, "/clusters/\(ControlClient.encode(session.context.clusterID))/nodes")
        session.show(
            answer.body,
            [
                .init("NODE", "node_id"), .init("ZONE", "zone"), .init("STATUS", "status"), .init("ENDPOINT", "endpoint"),
                .init("PARTITIONS", "partitions_owned"), .init("OPS/S", "metrics.ops_per_sec"),
                .init("LAG ms", "metrics.replication_lag_ms"), .init("DISK %", "metrics.disk_pct"),
            ])
    }
}

struct JoinToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join-token", abstract: "Tokens with which nodes join.", subcommands: [JoinTokenCreate.self])
}

struct JoinTokenCreate: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a token; it is printed once and kept only as a digest.")
    @OptionGroup var global: GlobalOptions
    @Option(help: "Seconds until it expires.") var ttl: Int = 3_600
    @Option(help: "How many nodes may join with it.") var uses: Int = 1
    @Option(help: "The only zone in which it is good.") var zone: String?

    func act(_ session: Session) async throws {
        var body: [String: JSONValue] = ["ttl_seconds": .number(ttl), "uses": .number(uses)]
        if let zone { body["zone"] = .string(zone) }
        let answer = try await session.ask(.post, "/nodes/join-tokens", body: .object(body))
        guard session.options.output == .table, let token = answer.body["token"]?.string else {
            print(answer.body.prettyText)
            return
        }
        print(token)
    }
}
