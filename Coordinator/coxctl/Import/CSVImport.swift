// A CSV file into a table, window by window. A checkpoint beside the file says up to where every row is acknowledged or reported;
// whatever ends an import, the next one goes on there, and puts at most a window's rows a second time, which changes nothing.

import Client
import Glibc

struct CSVImport {
    /// Bytes of input between two checkpoints.
    private static let windowBytes = 2 * 1_024 * 1_024

    let file: String
    let table: String
    let client: CoxswainClient
    var parallel = 8
    var maxBadLines = 0
    /// Starts at the beginning, whatever was imported before.
    var restart = false

    /// - Returns: how far it came: to the end.
    /// - Throws: `CommandFailure` for a file that is none, or with too many bad lines; `ClientError` when the table's rows cannot be
    ///   written. What was imported is said then, and the checkpoint kept.
    func run() async throws -> ImportCheckpoint {
        let input = try InputFile(file)
        let route = try await client.route(of: table)
        var reader = CSVReader()
        let head = try Self.header(input, &reader)
        let mapping = try RowMapping(header: head.fields, route: route)
        var state = ImportCheckpoint(
            table: table, inputBytes: input.bytes, inputModified: input.modified, header: head.text, offset: head.end,
            line: head.nextLine, rows: 0, badLines: 0)
        if !restart, let saved = ImportCheckpoint.load(of: file), saved.isOf(state) {
            state = saved
            say("going on at line \(saved.line), after \(saved.rows) rows")
        }
        do {
            try await bring(
                input, from: &state, by: mapping, to: BulkWriter(client: client, table: table, parallel: parallel))
        } catch let error as ClientError {
            say(
                "stopped: the rows before line \(state.line) are imported (\(state.rows) of them), of those behind it some may be; "
                    + "the same command goes on there")
            throw error
        }
        ImportCheckpoint.remove(of: file)
        return state
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

    /// A checkpoint is written when every row of a window is acknowledged.
    private func bring(
        _ input: InputFile, from state: inout ImportCheckpoint, by mapping: RowMapping, to writer: BulkWriter
    ) async throws {
        var reader = CSVReader(offset: state.offset, line: state.line)
        var offset = state.offset
        let progress = ImportProgress(total: input.bytes, rows: state.rows)
        while true {
            let piece = try input.read(at: offset, upTo: Self.windowBytes)
            offset += piece.count
            var lines = reader.take(piece)
            if piece.isEmpty, let last = reader.finish() { lines.append(last) }
            let (rows, faults) = mapping.entries(of: lines)
            let refusals = try await writer.write(rows)
            for bad in (faults + refusals).sorted(by: { $0.line < $1.line }) { say("line \(bad.line): \(bad.reason)") }
            state.badLines += faults.count + refusals.count
            state.rows += rows.count - refusals.count
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
}

/// A bar on a terminal, a line in ten seconds elsewhere.
final class ImportProgress {
    private let total: Int
    /// Imported before, by another run.
    private let before: Int
    private let isTerminal = isatty(2) == 1
    private let start = ContinuousClock.now
    private var nextLine = ContinuousClock.now + .seconds(10)

    init(total: Int, rows before: Int) {
        self.total = total
        self.before = before
    }

    func show(_ state: ImportCheckpoint) {
        let now = ContinuousClock.now
        guard isTerminal || now >= nextLine else { return }
        nextLine = now + .seconds(10)
        let share = total == 0 ? 1 : Double(state.offset) / Double(total)
        let seconds = max(0.001, WorkloadRunner.seconds(now - start))
        let text = "\(Int(share * 100))% \(state.rows) rows, \(Int(Double(state.rows - before) / seconds)) rows/s"
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
