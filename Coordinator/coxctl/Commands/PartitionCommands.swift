import ArgumentParser
import Client

struct Partition: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Key ranges of a table.",
        subcommands: [
            PartitionList.self, PartitionSplit.self, PartitionMerge.self, PartitionMove.self, PartitionTransfer.self,
            PartitionForcePromote.self,
        ])
}

struct PartitionList: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "A table's partitions in key order.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The table.") var table: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.get, "/tables/\(ControlClient.encode(table))/partitions")
        session.show(
            answer.body,
            [
                .init("PARTITION", "id"), .init("LOW", "low"), .init("HIGH", "high"), .init("EPOCH", "epoch"),
                .init("PRIMARY", "primary"), .init("REPLICAS (*: learner)", "replicas"), .init("STATUS", "status"),
                .init("OP", "operation"),
            ])
    }
}

private func path(_ table: String, _ partition: String, _ verb: String) -> String {
    "/tables/\(ControlClient.encode(table))/partitions/\(ControlClient.encode(partition)):\(verb)"
}

struct PartitionSplit: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "split", abstract: "Cut a partition in two; no data moves, writes pause for one commit.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The partition's id.") var partition: String
    @Option(help: "The first key of the upper half, as a JSON array.") var key: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(
            .post, path(table, partition, "split"), body: .object(["key": try parsedKey(key)]))
        try await waiting.follow(answer, in: session, done: "partition \(partition) is split")
    }
}

struct PartitionMerge: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Join two neighbours that a split has left in one storage; no data moves, writes pause for one commit.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The partition's id.") var partition: String
    @Option(help: "The neighbour's id, on either side.") var with: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(
            .post, path(table, partition, "merge"), body: .object(["with": .string(with)]))
        try await waiting.follow(answer, in: session, done: "partitions \(partition) and \(with) are one")
    }
}

struct PartitionMove: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Bring a replica to another node, under live writes.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The partition's id.") var partition: String
    @Option(help: "The node whose copy goes.") var from: String
    @Option(help: "The node that gets one.") var to: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(
            .post, path(table, partition, "move"), body: .object(["source": .string(from), "target": .string(to)]))
        try await waiting.follow(answer, in: session, done: "partition \(partition) moved from \(from) to \(to)")
    }
}

struct PartitionTransfer: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer-primary", abstract: "Let another in-sync replica take the writes.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The partition's id.") var partition: String
    @Option(help: "The node to lead it.") var to: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(
            .post, path(table, partition, "transfer-primary"), body: .object(["target": .string(to)]))
        try await waiting.follow(answer, in: session, done: "partition \(partition) is led by \(to)")
    }
}

struct PartitionForcePromote: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "force-promote", abstract: "Give up what the lost in-sync copies held, and go on from another copy.",
        discussion: """
            The last resort, for a partition whose in-sync nodes are lost for ever: acknowledged writes that only they held are gone \
            after this. Stop those nodes first, or cut them off from everybody: what they still answered would contradict what is \
            answered here. All other copies are made anew. A node that comes back removes its copy; who wants to keep what it held copies \
            its data folder before it is started.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The partition's id.") var partition: String
    @Option(help: "The node that holds the copy to go on from.") var to: String
    @Option(help: "All nodes of the in-sync set, by name, with commas between them: they are lost.") var lost: String
    @Flag(help: "Acknowledged writes may be lost.") var acceptDataLoss = false

    func validate() throws {
        guard acceptDataLoss else { throw ValidationError("acknowledged writes may be lost: say --accept-data-loss") }
        guard global.reason?.isEmpty == false else {
            throw ValidationError("say why, for the audit, with --reason")
        }
    }

    func act(_ session: Session) async throws {
        let names = lost.split(separator: ",").map { $0.filter { $0 != " " } }
        let body = JSONValue.object([
            "target": .string(to), "lost": .array(names.map { .string($0) }), "accept_data_loss": .boolean(true),
        ])
        let plan = try await session.ask(.post, path(table, partition, "force-promote") + "?dry_run=true", body: body)
        try session.confirm(Self.question(plan.body, table, partition, to), typing: "\(table)/\(partition)")
        let answer = try await session.ask(.post, path(table, partition, "force-promote"), body: body)
        switch session.options.output {
        case .json: print(answer.body.prettyText)
        case .table:
            let epoch = answer.body["epoch"]?.plain ?? "-"
            print("partition \(partition) of \(table) is led by \(to) from epoch \(epoch) on; its other copies are made anew")
        }
    }

    /// What is about to be given up.
    static func question(_ plan: JSONValue, _ table: String, _ partition: String, _ target: String) -> String {
        let lines = (plan["given_up"]?.array ?? []).map { node in
            let place = node["last_position"]?.string.map { "last heard at \($0)" } ?? "where it stood is not known"
            return "  \(node["node"]?.plain ?? "-") (\(node["status"]?.plain ?? "-")): \(place)"
        }
        return
            ([
                "Partition \(partition) of \(table) goes on from the copy on \(target). Given up for ever is what only these held:"
            ]
            + lines).joined(separator: "\n")
    }
}
