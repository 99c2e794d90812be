import ArgumentParser
import Client

struct IncidentGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "incident", abstract: "Failovers, and how long each took.",
        subcommands: [IncidentList.self, IncidentGet.self])
}

struct IncidentList: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The last failovers, the newest first.",
        discussion: """
            Detected: from the first suspicion of the node to the first report of its death. Decided: from there to the entry that gave its \
            partitions away. Recovered: from there until the last of them was served. In milliseconds, by the leader's clock; '-' is what no \
            leader has measured, or not yet.
            """)
    @OptionGroup var global: GlobalOptions

    static let columns: [TextTable.Column] = [
        .init("INCIDENT", "id"), .init("NODE", "node"), .init("CAUSE", "cause"), .init("STATE", "state"),
        .init("AT", "decided_at"), .init("DETECT ms", "clocks.detect_ms"), .init("DECIDE ms", "clocks.decide_ms"),
        .init("RECOVER ms", "clocks.recover_ms"), .init("TAKEN OVER", "partitions.changed_hands"),
        .init("UNLED", "partitions.without_primary"), .init("NOT SERVING", "partitions.not_serving"),
        .init("ACCUSED BY", "accused_by"),
    ]

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.get, "/incidents").body, Self.columns)
    }
}

struct IncidentGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "One failover.", aliases: ["show"])
    @OptionGroup var global: GlobalOptions
    @Argument(help: "Its id.") var id: String

    func act(_ session: Session) async throws {
        session.show(try await session.ask(.get, "/incidents/\(ControlClient.encode(id))").body, IncidentList.columns)
    }
}
