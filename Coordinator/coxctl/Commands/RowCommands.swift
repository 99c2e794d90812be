import ArgumentParser
import Client
import FoundationEssentials
import KeyEncoding
import Model

struct Row: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rows of a table.", subcommands: [RowGet.self, RowPut.self, RowDelete.self, RowScan.self])
}

extension RowConsistency: ExpressibleByArgument {}

struct TokenOptions: ParsableArguments {
    @Option(help: "A file with a data token to use, instead of one asked for.") var tokenFile: String?
    @Option(help: "strong, eventual or bounded; where it is not given, the configuration entry consistency_level decides.")
    var consistency: RowConsistency?
    @Option(help: "How old the answer may be, in milliseconds; makes the read a bounded one.") var maxStaleness: Int64?
    @Flag(help: "The same as --consistency eventual: an answer may be a little old.") var eventual = false

    func client(_ session: Session) throws -> CoxswainClient {
        var settings = CoxswainClient.Settings()
        settings.budgetMilliseconds = Int64(session.options.timeout) * 1_000
        let token = try tokenFile.map { path in
            guard let data = try? Data(contentsOf: URL(filePath: path)) else {
                throw CommandFailure(status: .usage, message: "error: --token-file: cannot read \(path)")
            }
            return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isWhitespace).joined()
        }
        return session.rows(settings: settings, token: token)
    }

    var wanted: RowConsistency? { eventual ? .eventual : maxStaleness != nil ? .bounded : consistency }
    var age: Span? { maxStaleness.map { .milliseconds($0) } }

    func validate() throws {
        let named = [consistency, eventual ? .eventual : nil, maxStaleness.map { _ in .bounded }].compactMap { $0 }
        guard Set(named).count <= 1 else {
            throw ValidationError("--consistency, --eventual and --max-staleness contradict each other")
        }
    }
}

struct RowGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "One row. Exit code 3 if there is none.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The key, as a JSON array.") var key: String

    func act(_ session: Session) async throws {
        guard
            let row = try await tokens.client(session).get(
                key: key, in: table, consistency: tokens.wanted, maxStaleness: tokens.age)
        else {
            throw CommandFailure(status: .notFound, message: "no row \(key) in \(table)")
        }
        print(session.options.output == .json ? row.prettyText : row.text)
    }
}

struct RowPut: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "put", abstract: "Write one row whole.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The key, as a JSON array.") var key: String
    @Argument(help: "The other columns, as a JSON object.") var row: String

    func act(_ session: Session) async throws {
        guard let body = try? JSONValue(Data(row.utf8)), body.object != nil else {
            throw ValidationError("the row is not a JSON object")
        }
        let receipt = try await tokens.client(session).put(body, key: key, in: table)
        session.show(receipt, "written")
    }
}

struct RowDelete: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "Remove one row.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The key, as a JSON array.") var key: String

    func act(_ session: Session) async throws {
        let receipt = try await tokens.client(session).delete(key: key, in: table)
        session.show(receipt, "removed")
    }
}

struct RowScan: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "scan", abstract: "Rows in key order, one JSON object a line.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Option(help: "The first key, as a JSON array.") var from: String?
    @Option(help: "The key before which to stop, as a JSON array.") var to: String?
    @Option(help: "How many rows at most.") var limit: Int = 100

    func act(_ session: Session) async throws {
        let client = try tokens.client(session)
        var next = from
        var left = limit
        repeat {
            let page = try await client.scan(
                table, from: next, to: to, limit: min(left, 1_000), consistency: tokens.wanted,
                maxStaleness: tokens.age)
            for row in page.rows { print(row.text) }
            left -= page.rows.count
            next = page.next
        } while next != nil && left > 0
    }
}

extension Session {
    /// Where a write stands in its partition's order.
    func show(_ receipt: CoxswainClient.Receipt, _ verb: String) {
        switch options.output {
        case .table: print("\(verb) at \(receipt.position) in partition \(receipt.partition)")
        case .json:
            print(
                JSONValue.object([
                    "partition": .number(receipt.partition),
                    "position": .object([
                        "epoch": .number(receipt.position.epoch.number), "run": .number(receipt.position.run),
                        "sequence": .number(receipt.position.sequence),
                    ]),
                ]).prettyText)
        }
    }
}
