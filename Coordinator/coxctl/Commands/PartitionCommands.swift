import ArgumentParser
import Client

struct Partition: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Key ranges of a table.",
        subcommands: [
            PartitionList.self, PartitionSplit.self, PartitionMerge.self, PartitionMove.self, PartitionTransfer.self,
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
