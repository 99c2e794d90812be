import Access
import Catalog
@testable import CoordinatorServer
import Foundation
import HTTPTypes
import Identity
import Model
import Testing

/// The control API as somebody with a token sees it.
@Suite struct OperatorTokenAPITests {
    private func harness() async throws -> APIHarness {
        let harness = try APIHarness()
        try await harness.publishKey()
        return harness
    }

    private var now: WallTime { WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }

    private func token(
        _ harness: APIHarness, _ role: Role, by issuer: TokenIssuer? = nil, to name: String = "operator/bob",
        seconds: Int64 = 60, at time: WallTime? = nil
    ) throws -> TokenIssuer.Made {
        try (issuer ?? harness.issuer).issue(to: Principal(name), role: role, seconds: seconds, at: time ?? now)
    }

    private func ask(
        _ harness: APIHarness, _ method: HTTPRequest.Method, _ path: String, _ body: String = "", token: String,
        as certified: Caller? = nil
    ) async throws -> Answer {
        try await harness.ask(
            method, "/api/v1" + path, body, headers: ["Authorization": "Bearer \(token)"], as: certified)
    }

    private func expectRefusal(_ answer: Answer, _ code: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(answer.status == 401 && answer["code"] == code, "\(answer.text)", sourceLocation: sourceLocation)
        #expect(answer.header("Content-Type") == "application/problem+json", sourceLocation: sourceLocation)
        #expect(answer.header("WWW-Authenticate")?.hasPrefix("Bearer") == true, sourceLocation: sourceLocation)
        #expect(!answer["detail"].isEmpty && !answer["hint"].isEmpty, sourceLocation: sourceLocation)
    }

    // MARK: - Use

    @Test("a token opens what its role grants, and the log names its bearer", arguments: [Role.viewer, .operator, .root])
    func use(role: Role) async throws {
        let harness = try await harness()
        let token = try token(harness, role).token
        #expect(try await ask(harness, .get, "/cluster/topology", token: token).status == 200)
        let changed = try await ask(harness, .put, "/config/global", #"{"app.colour":"red"}"#, token: token)
        guard role != .viewer else {
            #expect(changed.status == 403 && changed["code"] == "NOT_ALLOWED")
            #expect(changed["detail"].contains("operator/bob as viewer"))
            return
        }
        #expect(changed.status == 200)
        #expect(try await harness.plane.catalog(.local).audit.tail.last?.actor.name == "operator/bob")
    }

    @Test("a member judges tokens by what it has applied, with no leader in reach")
    func leaderless() async throws {
        let harness = try await harness()
        let token = try token(harness, .viewer).token
        harness.plane.loseLeader()
        #expect(try await ask(harness, .get, "/cluster/topology?consistency=stale", token: token).status == 200)
        expectRefusal(
            try await ask(harness, .get, "/cluster/topology?consistency=stale", token: token + "A"), "TOKEN_BAD_SIGNATURE")
    }

    @Test("each bad token is refused with its reason, and a certificate beside it changes nothing")
    func badTokens() async throws {
        let harness = try await harness()
        let stranger = try TokenIssuer(key: try PrivateKey.generate(), cluster: harness.api.settings.cluster)
        let elsewhere = try TokenIssuer(
            key: try PrivateKey.generate(), cluster: try ClusterID(String(repeating: "cd", count: 16)))
        let key = elsewhere.signingKey(createdAt: now)
        _ = try await harness.plane.propose(
            .addSigningKey(key), by: harness.root.principal, reason: "", requestID: try Model.RequestID("other"),
            fingerprint: [], traceID: "")
        let data = try harness.issuer.issue(
            to: Principal("operator/bob"), table: RelationName("t"), actions: TableAction.allCases, seconds: 60, at: now)
        let hours = WallTime(milliseconds: now.milliseconds - 7_200_000)
        let ahead = WallTime(milliseconds: now.milliseconds + 600_000)
        let bad: [(String, String)] = [
            ("nonsense", "TOKEN_MALFORMED"),
            (String(repeating: "A", count: 9_000), "TOKEN_TOO_LARGE"),
            (try token(harness, .root, by: stranger).token, "TOKEN_UNKNOWN_KEY"),
            (try token(harness, .root).token + "A", "TOKEN_BAD_SIGNATURE"),
            (try token(harness, .root, by: elsewhere).token, "TOKEN_WRONG_ISSUER"),
            (data.token, "TOKEN_WRONG_AUDIENCE"),
            (try token(harness, .root, at: hours).token, "TOKEN_EXPIRED"),
            (try token(harness, .root, at: ahead).token, "TOKEN_NOT_YET_VALID"),
            (try token(harness, .root, seconds: 12 * 3_600 + 61).token, "TOKEN_LIVES_TOO_LONG"),
            (try token(harness, .node).token, "TOKEN_WRONG_ROLE"),
            (try token(harness, .root, to: "node/n1").token, "TOKEN_MALFORMED"),
            ("", "TOKEN_MISSING"),
        ]
        for (token, code) in bad {
            for certified in [nil, harness.root] {
                let answer = try await ask(harness, .get, "/cluster/topology", token: token, as: certified)
                expectRefusal(answer, code)
                #expect(answer.header("WWW-Authenticate")?.contains("invalid_token") == (code != "TOKEN_MISSING"))
                #expect(token.isEmpty || !answer.text.contains(token))
            }
        }
        for field in ["Basic YTpi", "Bearer a b", "Bearer x, Bearer y"] {
            expectRefusal(
                try await harness.ask(
                    .get, "/api/v1/tables", headers: ["Authorization": field], as: harness.root), "TOKEN_MISSING")
        }
        let nothing = try await harness.ask(.get, "/api/v1/tables", as: nil)
        expectRefusal(nothing, "NOT_AUTHENTICATED")
        #expect(nothing.header("WWW-Authenticate")?.contains("invalid_token") == false)
    }

    @Test("who shows both a certificate and a token acts as the token says, and with no more")
    func both() async throws {
        let harness = try await harness()
        let token = try token(harness, .viewer).token
        #expect(try await ask(harness, .get, "/tables", token: token, as: harness.root).status == 200)
        let answer = try await ask(harness, .put, "/config/global", #"{"app.a":1}"#, token: token, as: harness.root)
        #expect(answer.status == 403 && answer["detail"].contains("operator/bob as viewer"))
    }

    // MARK: - Issue

    private func issue(
        _ harness: APIHarness, _ role: String, to name: String = "bob", seconds: Int = 600, extra: String = "",
        as caller: Caller?
    ) async throws -> Answer {
        try await harness.ask(
            .post, "/api/v1/operators/credentials",
            #"{"principal":"\#(name)","role":"\#(role)","ttl_seconds":\#(seconds)\#(extra)}"#,
            headers: ["X-Reason": "the night shift"], as: caller)
    }

    @Test("a token that was issued works at once, and the log says who gave which role to whom, and why")
    func issues() async throws {
        let harness = try await harness()
        let made = try await issue(harness, "operator", as: harness.root)
        #expect(made.status == 201 && made["role"] == "operator" && made["principal"] == "operator/bob", "\(made.text)")
        #expect(try await ask(harness, .put, "/config/global", #"{"app.a":1}"#, token: made["token"]).status == 200)
        #expect(made["jti"].count == 32 && made["jti"].allSatisfy(\.isHexDigit))
        let trail = try await harness.plane.catalog(.local).audit.tail
        let record = try #require(trail.first { $0.command == "grant-role" })
        #expect(record.actor == harness.root.principal && record.reason == "the night shift")
        #expect(record.subject == "operator/bob/roles/operator/tokens/\(made["jti"])")
        #expect(trail.allSatisfy { !"\($0)".contains(made["token"]) })
    }

    @Test("nobody gives a role that he has not, and nobody makes a node or an endless token")
    func escalation() async throws {
        let harness = try await harness()
        let admin = Caller(principal: try Principal("operator/sam"), role: .securityAdmin)
        let steerer = Caller(principal: try Principal("operator/olga"), role: .operator)
        for role in ["root", "operator"] {
            let answer = try await issue(harness, role, as: admin)
            #expect(answer.status == 403 && answer["code"] == "ROLE_NOT_YOURS" && answer["field"] == "role")
        }
        for role in ["viewer", "security-admin"] { #expect(try await issue(harness, role, as: admin).status == 201) }
        for caller in [steerer, harness.node] {
            let answer = try await issue(harness, "viewer", as: caller)
            #expect(answer.status == 403 && answer["code"] == "NOT_ALLOWED")
        }
        let commands = harness.plane.commands
        for role in ["node", "owner"] {
            let answer = try await issue(harness, role, as: harness.root)
            #expect(answer.status == 400 && answer["field"] == "role")
        }
        for seconds in [0, -1, 12 * 3_600 + 1] {
            let answer = try await issue(harness, "viewer", seconds: seconds, as: harness.root)
            #expect(answer.status == 400 && answer["field"] == "ttl_seconds")
        }
        for name in ["node/n1", "Bob", "", "operator/"] {
            let answer = try await issue(harness, "viewer", to: name, as: harness.root)
            #expect(answer.status == 400 && answer["field"] == "principal", "\(answer.text)")
        }
        #expect(try await issue(harness, "viewer", extra: #","colour":1"#, as: harness.root)["field"] == "colour")
        #expect(try await issue(harness, "viewer", as: nil).status == 401)
        #expect(harness.plane.commands == commands)
    }

    @Test("a token begets nothing that outlives it: no token of its kind, no join token, no longer data token")
    func begetting() async throws {
        let harness = try await harness()
        try await harness.start(nodes: 3)
        let made = try token(harness, .root, to: "operator/ada", seconds: 100)
        for (path, body) in [
            ("/operators/credentials", #"{"principal":"ada","role":"viewer","ttl_seconds":60}"#), ("/nodes/join-tokens", "{}"),
        ] {
            for certified in [nil, harness.root] {
                let answer = try await ask(harness, .post, path, body, token: made.token, as: certified)
                #expect(answer.status == 403 && answer["code"] == "CERTIFICATE_NEEDED", "\(answer.text)")
            }
        }
        _ = try await harness.post("/tables", APIHarness.table("t"))
        let data = try await ask(
            harness, .post, "/tables/t/credentials", #"{"principal_arn":"ada","ttl_seconds":3600}"#, token: made.token)
        #expect(data.status == 201, "\(data.text)")
        let claims = try TokenText(data["token"]).claims()
        #expect(claims.expiresAt <= made.expiresAt.seconds)
    }

    @Test("a request repeated under its key gets no second token, and a dry run none at all")
    func repetition() async throws {
        let harness = try await harness()
        let body = #"{"principal":"bob","role":"viewer"}"#
        let path = "/api/v1/operators/credentials"
        let tried = try await harness.ask(.post, path + "?dry_run=true", body, as: harness.root)
        #expect(tried.status == 200 && tried["would_answer"] == "201" && tried["token"].isEmpty, "\(tried.text)")
        let key = ["Idempotency-Key": "one"]
        #expect(try await harness.ask(.post, path, body, headers: key, as: harness.root).status == 201)
        let again = try await harness.ask(.post, path, body, headers: key, as: harness.root)
        #expect(again.status == 409 && again["code"] == "SECRET_SHOWN")
    }

    // MARK: - Revocation

    @Test(
        "a revoked token is refused at once, by its text and by its id alone, for as long as it could live",
        arguments: [true, false])
    func revocation(byText: Bool) async throws {
        let harness = try await harness()
        let made = try await issue(harness, "root", seconds: 12 * 3_600, as: harness.root)
        #expect(try await ask(harness, .get, "/tables", token: made["token"]).status == 200)
        let named = byText ? #"{"token":"\#(made["token"])"}"# : #"{"jti":"\#(made["jti"])"}"#
        #expect(try await harness.post("/credentials:revoke", named).status == 200)
        expectRefusal(try await ask(harness, .get, "/tables", token: made["token"]), "TOKEN_REVOKED")
        let claims = try TokenText(made["token"]).claims()
        let kept = try #require(try await harness.plane.catalog(.local).topology.revokedTokens[made["jti"]])
        #expect(kept.expiresAt.seconds >= claims.expiresAt)
        // Somebody names a nearer end: what was said before holds.
        #expect(
            try await harness.post("/credentials:revoke", #"{"jti":"\#(made["jti"])","expires_at_seconds":1}"#).status == 200)
        #expect(try await harness.plane.catalog(.local).topology.revokedTokens[made["jti"]] == kept)
    }
}
