import ArgumentParser
import Client

struct Op: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Long-running changes.", subcommands: [OpList.self, OpGet.self, OpWait.self])
}

private let operationColumns: [TextTable.Column] = [
    .init("OP", "id"), .init("KIND", "kind"), .init("PHASE", "phase"), .init("STEP", "step"),
    .init("PARTITION", "partition"), .init("PROGRESS", "progress.percent"), .init("BY", "created_by"),
    .init("ERROR", "error", "failure"),
]

struct OpList: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Operations, under way and recent.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.get, "/operations").body, operationColumns)
    }
}

struct OpGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "One operation.")
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
