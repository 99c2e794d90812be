import ArgumentParser
import Client
import Glibc
import KeyEncoding

/// Watches a long-running change until it is over.
struct OperationWait {
    let session: Session
    let id: String

    init(session: Session, id: String) {
        self.session = session
        self.id = id
    }

    /// The operation that an answer started, if it started one.
    init?(session: Session, answer: ControlClient.Answer) {
        let named = answer.location.flatMap { $0.split(separator: "/").last.map(String.init) }
        guard let id = named ?? answer.body["operation_id"]?.plain ?? answer.body["operation"]?.plain else { return nil }
        self.init(session: session, id: id)
    }

    /// - Throws: `waitTimedOut` when `seconds` are over; the operation goes on.
    func finish(seconds: Int) async throws -> JSONValue {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(seconds)
        let isTerminal = isatty(2) == 1
        var nextLine = clock.now + .seconds(10)
        while true {
            let operation = try await session.ask(.get, "/operations/\(ControlClient.encode(id))").body
            let phase = operation["phase"]?.string ?? ""
            if isTerminal {
                progress(operation)
            } else if clock.now >= nextLine {
                say("op \(id): \(Self.standing(of: operation))")
                nextLine = clock.now + .seconds(10)
            }
            switch phase.lowercased() {
            case "succeeded", "done":
                if isTerminal { say("") }
                return operation
            case "aborted", "failed", "cancelled":
                if isTerminal { say("") }
                let why = operation["error"]?.plain ?? operation["failure"]?.plain ?? ""
                throw CommandFailure(status: .failure, message: "op \(id) \(phase): \(why)")
            default: break
            }
            guard clock.now < deadline else {
                throw CommandFailure(
                    status: .waitTimedOut, message: "op \(id) goes on; wait for it with: coxctl op wait \(id)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Waits until nothing is left of what a cancelled operation had made.
    ///
    /// - Throws: `waitTimedOut` when `seconds` are over; the agents go on removing it.
    func cleanUp(seconds: Int) async throws -> JSONValue {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(seconds)
        while true {
            let operation = try await session.ask(.get, "/operations/\(ControlClient.encode(id))").body
            let left = operation["cleanups_left"]?.unsigned ?? 0
            if left == 0 { return operation }
            guard clock.now < deadline else {
                throw CommandFailure(
                    status: .waitTimedOut,
                    message: "op \(id) is cancelled; \(left) copies are still to be removed: coxctl op get \(id) shows how many"
                )
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func standing(of operation: JSONValue) -> String {
        let pauser = operation["paused"]?["by"]?.string
        return [operation["phase"]?.string, operation["step"]?.string, pauser.map { "(paused by \($0))" }]
            .compactMap { $0 }.joined(separator: " ")
    }

    private func progress(_ operation: JSONValue) {
        let percent = min(100, max(0, operation["progress"]?["percent"]?.double ?? 0))
        let filled = Int(percent / 4)
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: 25 - filled)
        let line = "\r[\(bar)] \(Int(percent))% \(operation["kind"]?.plain ?? "") \(operation["step"]?.plain ?? "")   "
        _ = Array(line.utf8).withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

extension JSONValue {
    /// A scalar as people read it; nil for null and for what is none.
    var plain: String? {
        switch self {
        case .scalar(.null), .array, .object: nil
        case .scalar(let scalar): string ?? scalar.text
        }
    }

    /// Every scalar of a document with the way to it, a line each.
    func lines(under path: String = "") -> [String] {
        switch self {
        case .scalar(let scalar): ["\(path): \(string ?? scalar.text)"]
        case .array(let elements): elements.enumerated().flatMap { $0.element.lines(under: "\(path)[\($0.offset)]") }
        case .object(let members):
            members.sorted { $0.key < $1.key }.flatMap { $0.value.lines(under: path.isEmpty ? $0.key : "\(path).\($0.key)") }
        }
    }
}

struct WaitOptions: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Wait until the change is over.")
    var wait = true

    @Option(help: "Seconds to wait for it.")
    var waitSeconds: Int = 120

    func validate() throws { try Seconds.check(waitSeconds, "--wait-seconds") }

    /// Shows what was started, and waits for its end if that is wanted.
    func follow(_ answer: ControlClient.Answer, in session: Session, done: String) async throws {
        guard wait, let operation = OperationWait(session: session, answer: answer) else {
            session.show(answer.body, [.init("ID", "id", "operation_id", "table_arn"), .init("STATUS", "phase", "status")])
            return
        }
        let result = try await operation.finish(seconds: waitSeconds)
        switch session.options.output {
        case .json: print(result.prettyText)
        case .table: print("\(done) (op \(operation.id))")
        }
    }
}
