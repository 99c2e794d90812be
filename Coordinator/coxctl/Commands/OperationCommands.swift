import ArgumentParser
import Client

struct Op: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Long-running changes.",
        subcommands: [OpList.self, OpGet.self, OpWait.self, OpCancel.self, OpPause.self, OpResume.self])
}

private let operationColumns: [TextTable.Column] = [
    .init("OP", "id"), .init("KIND", "kind"), .init("PHASE", "phase"), .init("STEP", "step"),
    .init("PARTITION", "partition"), .init("PROGRESS", "progress.percent"), .init("BY", "created_by"),
    .init("PAUSED BY", "paused.by"), .init("ERROR", "error", "failure"),
]

struct OpList: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Operations, under way and recent.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.get, "/operations").body, operationColumns)
    }
}

struct OpGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "One operation.", aliases: ["show"])
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Its id.") var id: String

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.get, "/operations/\(ControlClient.encode(id))").body, operationColumns)
    }
}

struct OpWait: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until an operation is over. Exit code 7 if it is not in time.")
    @OptionGroup var global: GlobalOptions
    @Option(help: "Seconds to wait.") var waitSeconds: Int = 600
    @Argument(help: "Its id.") var id: String

    func validate() throws { try Seconds.check(waitSeconds, "--wait-seconds") }

    func act(_ session: Session) async throws {
        let operation = try await OperationWait(session: session, id: id).finish(seconds: waitSeconds)
        session.show(operation, operationColumns)
    }
}

private func path(_ id: String, _ verb: String) -> String { "/operations/\(ControlClient.encode(id)):\(verb)" }

struct OpCancel: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Take an operation back, and wait until what it had made is removed.",
        discussion: """
            Refused once it has passed its point of no return: when the partition is split or led by its new node, it goes on to its \
            end. Cancelling it a second time changes nothing.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "Its id.") var id: String

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.post, path(id, "cancel"))
        guard waiting.wait else { return session.show(answer.body, operationColumns) }
        let operation = try await OperationWait(session: session, id: id).cleanUp(seconds: waiting.waitSeconds)
        session.show(operation, operationColumns)
    }
}

struct OpPause: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let an operation stand still, until it is resumed or cancelled.",
        discussion: """
            It keeps its place: its partition, its node's turn, its step. A copy that is being sent stops, and begins anew when the \
            operation is resumed, unless nothing was written meanwhile. Writers are not held up: a fence that stands is brought to its \
            end first.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Its id.") var id: String

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.post, path(id, "pause")).body, operationColumns)
        say("op \(id) is paused; let it go on with: coxctl op resume \(id)")
    }
}

struct OpResume: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a paused operation go on from its step.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Its id.") var id: String

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.post, path(id, "resume")).body, operationColumns)
        say("op \(id) goes on; wait for it with: coxctl op wait \(id)")
    }
}
