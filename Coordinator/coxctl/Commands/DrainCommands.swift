import ArgumentParser
import Client

/// Asks the coordinators to drain a node, for a while or for good, and follows that to its end.
struct DrainRequest {
    let session: Session
    /// The verb, of the API and of the command.
    let verb: String
    let name: String

    /// - Parameter isRehearsal: whether only to look, which costs the coordinators no entry.
    func ask(isRehearsal: Bool = false) async throws -> JSONValue {
        try await session.ask(
            .post, "/nodes/\(verb)" + (isRehearsal ? "?dry_run=true" : ""), body: .object(["node_id": .string(name)])
        ).body
    }

    /// Looks again and again until it is over, and says now and then how far it is.
    /// - Throws: `waitTimedOut` when `seconds` are over, and it goes on; `preconditionFailed` when somebody has undrained the node.
    func follow(
        _ first: JSONValue, seconds: Int, isOver: (JSONValue) -> Bool, standing: (String, JSONValue) -> String
    ) async throws -> JSONValue {
        let start = ContinuousClock.now
        var (answer, told) = (first, start)
        while !isOver(answer) {
            guard ContinuousClock.now - start < .seconds(seconds) else {
                throw CommandFailure(
                    status: .waitTimedOut, message: "\(standing(name, answer)) and goes on: coxctl node \(verb) \(name)")
            }
            if ContinuousClock.now - told > .seconds(10) {
                say(standing(name, answer))
                told = .now
            }
            try await Task.sleep(for: .milliseconds(500))
            answer = try await ask(isRehearsal: true)
            guard answer["was_draining"]?.isTrue != false else {
                throw CommandFailure(
                    status: .preconditionFailed, message: "\(name) is drained no more: somebody has undrained it")
            }
        }
        // How it was asked for is nobody's business.
        var members = answer.object ?? [:]
        members["dry_run"] = nil
        return .object(members)
    }

    /// What is in the way, to be put behind how far it is.
    static func obstacle(_ answer: JSONValue) -> String { (answer["obstacle"]?.string).map { " (\($0))" } ?? "" }
}

struct NodeDrain: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Move everything away from a node that stays in the cluster.",
        discussion: """
            What it leads is handed to others first, then its copies are moved, a few at a time, under live writes; nothing new comes \
            to it. It may be stopped and started again meanwhile. `coxctl node undrain` takes it back. Ctrl-C, or --no-wait, leaves it \
            draining; give the command again to go on waiting.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The node's name.") var name: String
    @Flag(inversion: .prefixedNo, help: "Wait until it holds nothing.") var wait = true
    @Option(help: "Seconds to wait for that. Exit code 7 if they are over; it goes on draining.") var waitSeconds = 3_600
    @Flag(help: "Only say what would be done.") var dryRun = false

    func validate() throws { try Seconds.check(waitSeconds, "--wait-seconds") }

    func act(_ session: Session) async throws {
        let request = DrainRequest(session: session, verb: "drain", name: name)
        if dryRun { return show(try await request.ask(isRehearsal: true), in: session, would: true) }
        var answer = try await request.ask()
        if wait {
            answer = try await request.follow(answer, seconds: waitSeconds, isOver: Self.isOver, standing: Self.standing)
        }
        show(answer, in: session)
        if Self.isOver(answer) { say("Next: coxctl node undrain \(name), when it is to be used again") }
    }

    private func show(_ answer: JSONValue, in session: Session, would: Bool = false) {
        switch session.options.output {
        case .json: print(answer.prettyText)
        case .table: print(would ? Self.plan(name, answer) : Self.standing(name, answer))
        }
    }

    static func isOver(_ answer: JSONValue) -> Bool { answer["status"]?.string == "DRAINED" }

    static func standing(_ name: String, _ answer: JSONValue) -> String {
        isOver(answer) ? "\(name) is drained: it holds nothing" : "\(name) is draining: \(left(answer))"
    }

    /// What is about to be done.
    static func plan(_ name: String, _ answer: JSONValue) -> String {
        isOver(answer) ? "\(name) holds nothing; nothing will come to it." : "\(name) is to be drained: \(left(answer))"
    }

    private static func left(_ answer: JSONValue) -> String {
        func number(_ field: String) -> String { answer[field]?.plain ?? "some" }
        return "it leads \(number("primaries_left")) partitions and holds \(number("replicas_left")) copies"
            + DrainRequest.obstacle(answer)
    }
}

struct NodeUndrain: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "undrain", abstract: "Take a node back that is drained, or was to be decommissioned and is not out yet.",
        discussion: """
            It is as any other at once: new copies and primary roles come to it. What has left it is not brought back by this, and what is \
            under way goes on to its end.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The node's name.") var name: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.post, "/nodes/undrain", body: .object(["node_id": .string(name)])).body
        switch session.options.output {
        case .json: print(answer.prettyText)
        case .table: print(Self.standing(name, answer))
        }
    }

    static func standing(_ name: String, _ answer: JSONValue) -> String {
        switch answer["status"]?.string {
        case "FAILED"?: "\(name) is failed; it will be as any other when it is back"
        case let status?: "\(name) is \(status.lowercased())"
        case nil: "\(name) is not drained"
        }
    }
}
