import ArgumentParser
import Client
import Glibc

/// Brings a CSV file into a table. A put of the same row again is harmless, so an interrupted import goes on at its checkpoint.
struct Import: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring a CSV file with a header into a table.",
        discussion: """
            Goes on where an interrupted import of the same file stopped. Bad lines are reported by number and left out; if there
            are any, the exit code is 8. An unquoted empty field is null.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The CSV file.") var file: String
    @Option(help: "Rows that are on their way at the same time.") var parallel: Int = 64
    @Option(help: "Stop when there are more bad lines than this.") var maxBadLines: Int = 1_000
    @Flag(help: "Start at the beginning, whatever was imported before.") var restart = false

    func act(_ session: Session) async throws {
        let client = try tokens.client(session)
        let input = try InputFile(file)
        let route = try await client.route(of: table)
        var reader = CSVReader()
        let head = try Self.header(input, &reader)
        let mapping = try RowMapping(header: head.fields, route: route)
        var state = ImportCheckpoint(
            table: table, inputBytes: input.bytes, header: head.text, offset: head.end, line: head.nextLine, rows: 0,
            badLines: 0)
        if !restart, let saved = ImportCheckpoint.load(of: file), saved.table == table, saved.inputBytes == input.bytes,
            saved.header == head.text
        {
            state = saved
            say("going on at line \(saved.line), after \(saved.rows) rows")
        }
        try await bring(input, from: &state, by: mapping, to: client)
        ImportCheckpoint.remove(of: file)
        if session.options.output == .json {
            print(JSONValue.object(["imported_rows": .number(state.rows), "bad_lines": .number(state.badLines)]).text)
        } else {
            print("imported \(state.rows) rows into \(table), \(state.badLines) bad lines")
        }
        if state.badLines > 0 { throw CommandFailure(status: .partialSuccess, message: "") }
    }

    private static func header(
        _ input: InputFile, _ reader: inout CSVReader
    ) throws -> (fields: [CSVField], end: Int, nextLine: Int, text: String) {
        let start = try input.read(at: 0, upTo: 1 << 20)
        let marked = start.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        reader = CSVReader(offset: marked)
        var bytes = start.dropFirst(marked)[...]
        if !bytes.contains(UInt8(ascii: "\n")) { bytes.append(UInt8(ascii: "\n")) }
        guard let line = reader.take(bytes).first, case .fields(let fields) = line.record else {
            throw CommandFailure(status: .usage, message: "the file has no header")
        }
        let end = min(line.end, input.bytes)
        return (fields, end, line.number + 1, fields.map { $0.text ?? "?" }.joined(separator: ","))
    }

    /// Window by window: a checkpoint is written when every row of a window is acknowledged.
    private func bring(
        _ input: InputFile, from state: inout ImportCheckpoint, by mapping: RowMapping, to client: CoxswainClient
    ) async throws {
        var reader = CSVReader(offset: state.offset, line: state.line)
        var offset = state.offset
        let progress = ImportProgress(total: input.bytes)
        while true {
            let piece = try input.read(at: offset, upTo: 256 * 1_024)
            offset += piece.count
            var lines = reader.take(piece)
            if piece.isEmpty, let last = reader.finish() { lines.append(last) }
            var rows: [(key: String, row: JSONValue, line: Int)] = []
            for line in lines {
                do throws(RowMapping.Fault) {
                    switch line.record {
                    case .malformed(let why): throw RowMapping.Fault(detail: why)
                    case .fields(let fields):
                        let (key, row) = try mapping.row(of: fields)
                        rows.append((key, row, line.number))
                    }
                } catch {
                    state.badLines += 1
                    say("line \(line.number): \(error.detail)")
                }
            }
            let refused = try await write(rows, to: client)
            state.badLines += refused
            state.rows += rows.count - refused
            if let last = lines.last {
                state.offset = last.end
                state.line = reader.nextLine
                try state.save(beside: file)
            }
            progress.show(state)
            guard state.badLines <= maxBadLines else {
                throw CommandFailure(
                    status: .partialSuccess,
                    message:
                        "stopped after \(state.badLines) bad lines; \(state.rows) rows are imported; the checkpoint is kept")
            }
            if piece.isEmpty { break }
        }
        progress.end()
    }

    /// - Returns: how many rows were refused for what they hold; each is reported.
    private func write(
        _ rows: [(key: String, row: JSONValue, line: Int)], to client: CoxswainClient
    ) async throws -> Int {
        // Later lines win over earlier ones with the same key, as they would one after another.
        var last: [String: Int] = [:]
        for (index, row) in rows.enumerated() { last[row.key] = index }
        let table = table
        return try await withThrowingTaskGroup(of: Int.self) { group in
            var refused = 0
            var running = 0
            for (index, row) in rows.enumerated() where last[row.key] == index {
                if running >= parallel {
                    refused += try await group.next() ?? 0
                    running -= 1
                }
                running += 1
                group.addTask { try await Self.put(row, in: table, client) }
            }
            while let count = try await group.next() { refused += count }
            return refused
        }
    }

    private static func put(
        _ row: (key: String, row: JSONValue, line: Int), in table: String, _ client: CoxswainClient
    ) async throws -> Int {
        var attempts = 0
        while true {
            do throws(ClientError) {
                _ = try await client.put(row.row, key: row.key, in: table)
                return 0
            } catch {
                switch error {
                case .refused(let problem) where [400, 413, 422].contains(problem.status):
                    say("line \(row.line): \(problem.code): \(problem.detail)")
                    return 1
                case .outcomeUnknown where attempts < 10:
                    // The same row again: whichever of the two arrives, the row is the same.
                    attempts += 1
                default: throw error
                }
            }
        }
    }
}

/// A bar on a terminal, a line in ten seconds elsewhere.
final class ImportProgress {
    private let total: Int
    private let isTerminal = isatty(2) == 1
    private let start = ContinuousClock.now
    private var nextLine = ContinuousClock.now + .seconds(10)

    init(total: Int) { self.total = total }

    func show(_ state: ImportCheckpoint) {
        let now = ContinuousClock.now
        guard isTerminal || now >= nextLine else { return }
        nextLine = now + .seconds(10)
        let share = total == 0 ? 1 : Double(state.offset) / Double(total)
        let seconds = max(0.001, Double((now - start).components.seconds) + Double((now - start).components.attoseconds) / 1e18)
        let text = "\(Int(share * 100))% \(state.rows) rows, \(Int(Double(state.rows) / seconds)) rows/s"
        if isTerminal {
            let filled = Int(share * 25)
            let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: max(0, 25 - filled))
            _ = Array("\r[\(bar)] \(text)   ".utf8).withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
        } else {
            say("import \(text)")
        }
    }

    func end() { if isTerminal { say("") } }
}
