import ArgumentParser
import Client

struct Policy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Who may do what with a table.", subcommands: [PolicySet.self])
}

struct PolicySet: ClusterCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Allow or deny actions on a table.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "Who.") var principal: String
    @Option(help: "read, write, admin: separated by commas.") var actions: String
    @Option(help: "allow or deny.") var effect: String = "allow"

    func act(_ session: Session) async throws {
        let path = "/tables/\(ControlClient.encode(table))/access-policies/\(ControlClient.encode(principal))"
        let body = JSONValue.object([
            "actions": .array(actions.split(separator: ",").map { .string(String($0)) }), "effect": .string(effect),
        ])
        let answer = try await session.ask(.put, path, body: body)
        session.show(answer.body, [.init("POLICY VERSION", "policy_version")])
    }
}

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Data tokens.", subcommands: [TokenIssue.self, TokenRevoke.self])
}

struct TokenIssue: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Sign a token for one table; it is printed and kept nowhere.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The table.") var table: String
    @Option(help: "For whom; yourself by default.") var principal: String?
    @Option(help: "Seconds until it expires, at most 3600.") var ttl: Int = 900

    func act(_ session: Session) async throws {
        let body = JSONValue.object([
            "principal_arn": .string(principal ?? session.context.principal), "ttl_seconds": .number(ttl),
        ])
        let answer = try await session.ask(.post, "/tables/\(ControlClient.encode(table))/credentials", body: body)
        if session.options.output == .table, let token = answer.body["token"]?.string {
            print(token)
        } else {
            print(answer.body.prettyText)
        }
    }
}

struct TokenRevoke: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Have a token refused everywhere from now on, a data token or an operator's.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The token, or - to read it from standard input.") var token: String?
    @Option(parsing: .unconditional, help: "Its id (jti), in place of the token.") var id: String?

    func validate() throws {
        guard (token == nil) != (id == nil) else { throw ValidationError("give the token, or - to read it, or its --id") }
    }

    func act(_ session: Session) async throws {
        let named: (field: String, text: String) =
            if let id { ("jti", id) } else { ("token", (token == "-" ? readLine() : token) ?? "") }
        let answer = try await session.ask(.post, "/credentials:revoke", body: .object([named.field: .string(named.text)]))
        session.show(answer.body, [.init("REVOKED", "jti", "id", "revoked")])
    }
}
