import ArgumentParser
import Client
import Identity

struct User: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Operators: who may steer the cluster.", subcommands: [UserIssue.self])
}

struct UserIssue: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Sign a token by which an operator acts without a certificate, for a while.",
        discussion: """
            Needs a certificate whose role has all that the given one has. The token is kept nowhere; its id is in the log. It is \
            used by --operator-token-file, COXSWAIN_OPERATOR_TOKEN_FILE, or operator_token_file in a context, and ended \
            before its time by `coxctl token revoke`.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The operator's name.") var name: String
    @Option(help: "viewer, operator, security-admin or root.") var role: String
    @Option(help: "Seconds until it expires, at most 43200.") var ttl: Int = 3_600
    @Option(help: "A file to write it to, readable by its owner only; standard output otherwise.") var out: String?

    func act(_ session: Session) async throws {
        let body = JSONValue.object(["principal": .string(name), "role": .string(role), "ttl_seconds": .number(ttl)])
        let answer = try await session.ask(.post, "/operators/credentials", body: body)
        guard let token = answer.body["token"]?.string, case .object(var shown) = answer.body else {
            throw ClientError.unexpectedAnswer("credentials without a token")
        }
        if let out {
            do throws(IdentityError) { try SecretFile.write(Array((token + "\n").utf8), to: out) } catch {
                let id = shown["jti"]?.string ?? ""
                throw CommandFailure(
                    status: .failure,
                    message: "error: the token was made and cannot be written: \(error)\n  hint: coxctl token revoke --id \(id)"
                )
            }
            shown["token"] = nil
            shown["file"] = .string(out)
        }
        switch (session.options.output, out) {
        case (.json, _): print(JSONValue.object(shown).prettyText)
        case (.table, nil): print(token)
        case (.table, let out?):
            say("\(shown["principal"]?.string ?? name) is \(role) until \(shown["expires_at"]?.string ?? "")")
            say("Next: export COXSWAIN_OPERATOR_TOKEN_FILE=\(out)")
        }
    }
}
