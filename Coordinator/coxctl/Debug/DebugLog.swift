import ArgumentParser
import Client
import DurableLog
import LogStorage

struct Debug: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks at a member's files from outside.", subcommands: [DebugLog.self])
}

/// Prints and verifies a log. Reads only: neither the program that owns it nor the log itself notices.
struct DebugLog: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Prints the records of a coordinator's or an agent's log, and verifies all of it.",
        discussion: """
            Ends with 0 when every record is as it was written (a last write that never ended is told and is no damage), with 1 when \
            the log is damaged or of another version, naming file and byte.
            """)

    @Argument(help: "A segment, a log's folder, or a data folder.")
    var path: String

    @Option(name: .shortAndLong, help: "The form of the output: table or json (one object a line).")
    var output: OutputForm = .table

    @Option(help: "The first record to print; those before it are verified all the same.")
    var from: UInt64 = 1

    @Flag(help: "Print what was found only, and no record.")
    var verify = false

    func run() async throws {
        let found: LogInspection
        do {
            if output == .table, !verify { print(RecordText.heading) }
            found = try LogInspection(of: path) { placed in
                guard !verify, placed.record.number.value >= from else { return }
                let text = RecordText(placed)
                print(output == .json ? text.json.text : text.line)
            }
        } catch let error as StorageError {
            say("error: \(error)")
            throw ExitCode(ExitStatus.failure.rawValue)
        }
        print(Self.summary(of: found, output))
        if case .damaged = found.verdict { throw ExitCode(ExitStatus.failure.rawValue) }
    }

    static func summary(of found: LogInspection, _ output: OutputForm) -> String {
        let (verdict, file, offset, reason) =
            switch found.verdict {
            case .whole: ("whole", String?.none, Int?.none, String?.none)
            case .torn(let path, let tail):
                ("torn", path, tail.bytes.lowerBound, "a last write that never ended, from record \(tail.record) on")
            case .damaged(.damaged(let path, let damage)): ("damaged", path, damage.offset, "\(damage.cause)")
            case .damaged(let error): ("damaged", nil, nil, "\(error)")
            }
        switch output {
        case .json:
            return JSONValue.object([
                "verdict": .string(verdict), "segments": .number(found.segments), "records": .number(found.records),
                "bytes": .number(found.bytes), "file": file.map { .string($0) } ?? .null,
                "offset": offset.map { .number($0) } ?? .null, "reason": reason.map { .string($0) } ?? .null,
                "store": found.store.map { .string("\($0)") } ?? .null,
            ]).text
        case .table:
            let place = file.map { " \($0), byte \(offset ?? 0):" } ?? ""
            return "\(verdict):" + (reason.map { "\(place) \($0);" } ?? "")
                + " \(found.records) good records in \(found.segments) segment\(found.segments == 1 ? "" : "s"), \(found.bytes) bytes"
        }
    }
}
