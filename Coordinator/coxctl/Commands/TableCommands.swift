import ArgumentParser
import Client
import FoundationEssentials

struct Table: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tables.", subcommands: [TableCreate.self, TableList.self, TableGet.self, TableDelete.self])
}

private let tableColumns: [TextTable.Column] = [
    .init("TABLE", "table_name", "name"), .init("STATUS", "status"), .init("PARTITIONS", "partition_count"),
    .init("REPLICAS", "replication_factor"), .init("KEY", "partition_key"), .init("SORT", "sort_key"),
    .init("CREATED", "created_at"),
]

struct TableCreate: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a table.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table's name.") var name: String
    @Option(
        name: .customLong("column"), parsing: .singleValue,
        help: ArgumentHelp(
            "A column: integer, text, bytes, boolean, double or timestamp. Give one for each.", valueName: "name:type"))
    var columns: [String]
    @Option(help: "The column by which rows are placed.") var partitionKey: String
    @Option(help: "The column by which rows of one partition key are ordered.") var sortKey: String?
    @Option(help: "Copies of each partition.") var replicationFactor: Int?
    @Option(help: "Copies that must hold a write.") var minInSync: Int?
    @Option(help: "Into how many partitions to cut the table.") var partitions: Int?
    @Option(
        name: .customLong("split-key"), parsing: .singleValue,
        help: ArgumentHelp("Where to cut, as a JSON array: '[\"m\"]'. Give one for each cut.", valueName: "key"))
    var splitKeys: [String] = []

    func act(_ session: Session) async throws {
        let attributes = try columns.map { text in
            let parts = text.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { throw ValidationError("column '\(text)' is not name:type") }
            return JSONValue.object(["name": .string(String(parts[0])), "type": .string(String(parts[1]))])
        }
        var body: [String: JSONValue] = [
            "table_name": .string(name), "partition_key": .string(partitionKey),
            "capacity": .object(["mode": .string("ON_DEMAND")]), "schema": .object(["attributes": .array(attributes)]),
        ]
        if let sortKey { body["sort_key"] = .string(sortKey) }
        if let replicationFactor { body["replication_factor"] = .number(replicationFactor) }
        if let minInSync { body["min_in_sync"] = .number(minInSync) }
        if let partitions { body["partitions"] = .number(partitions) }
        if !splitKeys.isEmpty { body["split_keys"] = .array(try splitKeys.map(parsedKey)) }
        let answer = try await session.ask(.post, "/tables", body: .object(body))
        try await waiting.follow(answer, in: session, done: "table \(name) is ACTIVE")
    }
}

/// A key as it is given on the command line.
func parsedKey(_ text: String) throws -> JSONValue {
    guard let value = try? JSONValue(Data(text.utf8)), value.array != nil else {
        throw ValidationError("key '\(text)' is not a JSON array")
    }
    return value
}

struct TableList: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "All tables.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws { session.show(try await session.ask(.get, "/tables").body, tableColumns) }
}

struct TableGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "One table, with its columns.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The table's name.") var name: String

    func act(_ session: Session) async throws {
        let table = try await session.ask(.get, "/tables/\(ControlClient.encode(name))").body
        session.show(table, tableColumns + [.init("MIN IN SYNC", "min_in_sync")])
        guard session.options.output == .table, let columns = table["schema"]?["attributes"] else { return }
        print()
        session.show(columns, [.init("COLUMN", "name"), .init("TYPE", "type")])
    }
}

struct TableDelete: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "Drop a table and all of its rows.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The table's name.") var name: String

    func act(_ session: Session) async throws {
        try session.confirm("Drop table \(name) and every row in it?")
        let answer = try await session.ask(.delete, "/tables/\(ControlClient.encode(name))")
        try await waiting.follow(answer, in: session, done: "table \(name) is gone")
    }
}
