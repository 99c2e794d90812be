import ArgumentParser
import Client
import FoundationEssentials

struct Config: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Configuration, by scope.", subcommands: [ConfigList.self, ConfigGet.self, ConfigSet.self])
}

private func path(_ scope: String, _ key: String?) throws -> String {
    let parts = scope.split(separator: "/").map(String.init)
    guard scope == "global" || (parts.count == 2 && ["zones", "nodes"].contains(parts[0])) else {
        throw ValidationError("scope '\(scope)' is not global, zones/ZONE or nodes/NODE")
    }
    return "/config/" + parts.map(ControlClient.encode).joined(separator: "/")
        + (key.map { "/entries/" + ControlClient.encode($0) } ?? "")
}

struct ConfigList: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Every name that an entry may have, and what holds for the whole cluster.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.get, "/config")
        session.show(
            answer.body,
            [
                .init("KEY", "key"), .init("VALUE", "value"), .init("STANDARD", "standard"), .init("VALUES", "values"),
                .init("SCOPES", "scopes"), .init("MEANING", "meaning"),
            ])
    }
}

struct ConfigGet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "A scope's entries, or one of them.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "global, zones/ZONE or nodes/NODE.") var scope: String
    @Argument(help: "The entry.") var key: String?

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.get, try path(scope, key))
        print(
            session.options.output == .json
                ? answer.body.prettyText : answer.body.lines().joined(separator: "\n"))
    }
}

struct ConfigSet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set one entry.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "global, zones/ZONE or nodes/NODE.") var scope: String
    @Argument(help: "The entry.") var key: String
    @Argument(help: "JSON, or a word that is taken as text.") var value: String
    @Option(help: "Refuse unless the entry has this version.") var ifMatch: String?

    func act(_ session: Session) async throws {
        let json = (try? JSONValue(Data(value.utf8))) ?? .string(value)
        let headers = ifMatch.map { [("if-match", $0)] } ?? []
        let answer = try await session.ask(.put, try path(scope, key), body: .object(["value": json]), headers: headers)
        session.show(answer.body, [.init("KEY", "key"), .init("VALUE", "value"), .init("VERSION", "version")])
    }
}
