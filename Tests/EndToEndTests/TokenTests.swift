import Foundation
import NIOHTTP1
import Testing

extension ClusterTests {
    @Test("with every coordinator dead each agent refuses each wrong token, and says why", .timeLimit(.minutes(10)))
    func wrongTokens() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("tokens")
        let other = try await cluster.makeTable("tokens_other")
        // One second, and the thirty by which clocks may differ.
        let expired = try await cluster.token(for: "tokens", seconds: 1)
        let expiry = ContinuousClock.now + .seconds(32)
        let revoked = try await cluster.token(for: "tokens")
        let readOnly = try await cluster.token(for: "tokens", actions: ["read"])
        let good = try await cluster.token(for: "tokens")
        #expect(try await rows.put("x", 1) == .acknowledged)

        let answer = try await cluster.api(.POST, "/credentials:revoke", body: "{\"token\":\"\(revoked)\"}")
        #expect(answer.status < 300, "\(answer.text)")
        try await expectEventually("the revocation is everywhere", within: 5) {
            for agent in Cluster.agents where try await read(cluster, agent, revoked).code != "TOKEN_REVOKED" { return false }
            return true
        }
        try await expectEventually("the short token expires", within: 40) { ContinuousClock.now > expiry }
        cluster.kill(Cluster.coordinators)

        let cases: [(what: String, token: String?, status: Int, codes: Set<String>)] = [
            ("none", nil, 401, ["TOKEN_MISSING"]),
            ("nonsense", "nonsense", 401, ["TOKEN_MALFORMED"]),
            ("three empty parts", "..", 401, ["TOKEN_MALFORMED"]),
            ("a changed signature", Token.changed(good, part: 2), 401, ["TOKEN_BAD_SIGNATURE"]),
            ("changed claims", Token.edited(good, part: 1, #""jti":""#, #""jti":"x"#), 401, ["TOKEN_BAD_SIGNATURE"]),
            ("no signature", Token.without(good), 401, ["TOKEN_MALFORMED", "TOKEN_BAD_SIGNATURE"]),
            (
                "the algorithm none", Token.edited(good, part: 0, #""alg":"ES256""#, #""alg":"none""#), 401,
                ["TOKEN_ALGORITHM_MISMATCH", "TOKEN_MALFORMED"]
            ),
            ("an unknown key", Token.edited(good, part: 0, #""kid":""#, #""kid":"x"#), 401, ["TOKEN_UNKNOWN_KEY"]),
            ("nine kilobytes", good + String(repeating: "A", count: 9_000), 401, ["TOKEN_TOO_LARGE"]),
            ("an expired one", expired, 401, ["TOKEN_EXPIRED"]),
            ("a revoked one", revoked, 401, ["TOKEN_REVOKED"]),
            ("another table's", other.token, 403, ["TOKEN_WRONG_TABLE"]),
        ]
        for agent in Cluster.agents {
            for (what, token, status, codes) in cases {
                let answer = try await read(cluster, agent, token)
                #expect(answer.status == status && codes.contains(answer.code), "\(agent), \(what): \(answer.text)")
            }
            let write = try await send(.PUT, cluster, agent, readOnly, body: #"{"value":2}"#)
            #expect(write.status == 403 && write.code == "TOKEN_ACTION_NOT_GRANTED", "\(agent): \(write.text)")
            #expect([200, 421].contains(try await read(cluster, agent, readOnly).status))
            #expect([200, 421].contains(try await read(cluster, agent, good).status))
        }
        #expect(try await rows.get("x") == 1)
    }

    private func read(_ cluster: Cluster, _ agent: String, _ token: String?) async throws -> HTTP.Answer {
        try await send(.GET, cluster, agent, token)
    }

    private func send(
        _ method: HTTPMethod, _ cluster: Cluster, _ agent: String, _ token: String?, body: String? = nil
    ) async throws -> HTTP.Answer {
        let port = try #require(cluster.agentPorts[agent]).gateway
        return try await cluster.clients.send(
            method, "https://127.0.0.1:\(port)/v1/tables/tokens/rows?key=\(#"["x"]"#.percentEncoded)", body: body,
            headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
    }
}

/// What a forger may do to a token.
private enum Token {
    static func parts(_ token: String) -> [String] {
        token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    static func without(_ token: String) -> String { parts(token).prefix(2).joined(separator: ".") + "." }

    /// One character of a part is another one; not the last, whose low bits may not count.
    static func changed(_ token: String, part: Int) -> String {
        var parts = parts(token)
        var characters = Array(parts[part])
        let place = characters.count / 2
        characters[place] = characters[place] == "A" ? "B" : "A"
        parts[part] = String(characters)
        return parts.joined(separator: ".")
    }

    /// The JSON of a part has other text.
    static func edited(_ token: String, part: Int, _ old: String, _ new: String) -> String {
        var parts = parts(token)
        var text = parts[part].replacing("-", with: "+").replacing("_", with: "/")
        text += String(repeating: "=", count: (4 - text.count % 4) % 4)
        let json = String(decoding: Data(base64Encoded: text) ?? Data(), as: UTF8.self)
        parts[part] = Data(json.replacing(old, with: new).utf8).base64EncodedString().replacing("+", with: "-")
            .replacing("/", with: "_").replacing("=", with: "")
        return parts.joined(separator: ".")
    }
}
