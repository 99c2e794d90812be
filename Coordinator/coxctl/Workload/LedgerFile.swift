// A ledger on disk, one line for each event, so that what was promised can be audited by another process, later, whatever became
// of the one that wrote it. A write is noted before it is sent; if the process dies then, its outcome is unknown, which is the truth.
//
//   coxswain-ledger 1 <tab> table <tab> key column <tab> value column
//   sent              <tab> key   <tab> value [<tab> the key under which it happens once]
//   acknowledged      <tab> key   <tab> value <tab> partition <tab> epoch <tab> run <tab> sequence [<tab> earlier]
//   refused           <tab> key   <tab> value

import Client
import Glibc
import Model
import LoadLedger

/// Which rows a ledger speaks of.
struct LedgerSubject: Hashable, Sendable {
    static let form = "coxswain-ledger 1"
    let table: String
    let keyColumn: String
    let valueColumn: String

    var line: String { [Self.form, table, keyColumn, valueColumn].joined(separator: "\t") }

    /// A row with nothing but its key and its value.
    func row(_ key: String, _ value: String) -> JSONValue {
        .object([keyColumn: .string(key), valueColumn: .string(value)])
    }

    init(table: String, keyColumn: String, valueColumn: String) {
        self.table = table
        self.keyColumn = keyColumn
        self.valueColumn = valueColumn
    }

    init?(line: Substring) {
        let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0] == Self.form else { return nil }
        self.init(table: parts[1], keyColumn: parts[2], valueColumn: parts[3])
    }
}

extension Ledger.Event {
    /// Keys and values of loads hold neither tabs nor line ends.
    var line: String {
        switch self {
        case .sent(let key, let value, let once): return "sent\t\(key)\t\(value)" + (once.map { "\t\($0)" } ?? "")
        case .refused(let key, let value): return "refused\t\(key)\t\(value)"
        case .acknowledged(let key, let value, let receipt):
            let position = receipt.position
            let place = "\(receipt.partition)\t\(position.epoch.number)\t\(position.run)\t\(position.sequence)"
            return "acknowledged\t\(key)\t\(value)\t\(place)" + (receipt.mayBeEarlier ? "\tearlier" : "")
        }
    }

    init?(line: Substring) {
        let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        switch (parts.first, parts.count) {
        case ("sent", 3): self = .sent(key: parts[1], value: parts[2])
        case ("sent", 4):
            guard let once = try? IdempotencyKey(parts[3]) else { return nil }
            self = .sent(key: parts[1], value: parts[2], once: once)
        case ("refused", 3): self = .refused(key: parts[1], value: parts[2])
        case ("acknowledged", 7), ("acknowledged", 8):
            let numbers = parts[3..<7].compactMap { UInt64($0) }
            guard numbers.count == 4, parts.count == 7 || parts[7] == "earlier" else { return nil }
            let position = Position(epoch: Epoch(numbers[1]), run: numbers[2], sequence: numbers[3])
            self = .acknowledged(
                key: parts[1], value: parts[2],
                at: .init(partition: numbers[0], position: position, mayBeEarlier: parts.count == 8))
        default: return nil
        }
    }
}

/// Appends events. Each is one `write`, so that a kill leaves whole lines, but for the last.
final class LedgerFile: Sendable {
    private let path: String
    private let descriptor: Int32

    /// Goes on with the ledger at `path`, or begins one.
    ///
    /// - Returns: the file, and what stands in it already.
    /// - Throws: `CommandFailure` when it cannot be written, or is the ledger of something else.
    static func open(_ path: String, for subject: LedgerSubject) throws(CommandFailure) -> (file: LedgerFile, ledger: Ledger) {
        guard access(path, F_OK) == 0 else {
            let file = try LedgerFile(path)
            try file.append(line: subject.line)
            return (file, Ledger())
        }
        let (found, ledger, end) = try read(path)
        guard found == subject else {
            throw CommandFailure(
                status: .preconditionFailed,
                message:
                    "\(path) is the ledger of \(found.table) (\(found.keyColumn), \(found.valueColumn)), not of \(subject.table)"
            )
        }
        let file = try LedgerFile(path)
        // A line that a kill cut short says nothing.
        guard ftruncate(file.descriptor, off_t(end)) == 0 else { throw file.failure("cannot be cut") }
        return (file, ledger)
    }

    /// - Throws: `CommandFailure` for a file that is missing or no ledger, with the number of the line that does not read.
    static func load(_ path: String) throws(CommandFailure) -> (subject: LedgerSubject, ledger: Ledger) {
        let (subject, ledger, _) = try read(path)
        return (subject, ledger)
    }

    private static func read(_ path: String) throws(CommandFailure) -> (LedgerSubject, Ledger, end: Int) {
        let input = try InputFile(path)
        var bytes: [UInt8] = []
        while true {
            let piece = try input.read(at: bytes.count, upTo: 4 << 20)
            if piece.isEmpty { break }
            bytes += piece
        }
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard let subject = lines.first.flatMap({ LedgerSubject(line: $0) }) else {
            throw CommandFailure(status: .usage, message: "\(path) is no ledger")
        }
        var ledger = Ledger()
        // The last piece is what stands behind the last line end: nothing.
        for (index, line) in lines.enumerated().dropFirst().dropLast() {
            guard let event = Ledger.Event(line: line) else {
                throw CommandFailure(status: .usage, message: "\(path): line \(index + 1) does not read")
            }
            ledger.note(event)
        }
        return (subject, ledger, end)
    }

    private init(_ path: String) throws(CommandFailure) {
        self.path = path
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandFailure(status: .failure, message: "\(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    func append(_ event: Ledger.Event) throws(CommandFailure) { try append(line: event.line) }

    private func append(line: String) throws(CommandFailure) {
        let bytes = Array((line + "\n").utf8)
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count else { throw failure("cannot be written") }
    }

    private func failure(_ what: String) -> CommandFailure {
        CommandFailure(status: .failure, message: "\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
