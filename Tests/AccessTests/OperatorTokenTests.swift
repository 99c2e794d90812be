import Access
import Model
import Testing

@Suite struct OperatorTokenTests {
    private let now = WallTime(milliseconds: 1_700_000_000_000)

    private func cluster() throws -> ClusterID { try ClusterID("0123456789abcdef0123456789abcdef") }

    private func claims(
        _ grant: TokenGrant = .role("operator"), subject: String = "operator/ada", audience: [TokenAudience] = [.control],
        expires: Int64 = 600, lasting life: Int64 = 600
    ) throws -> TokenClaims {
        let cluster = try cluster()
        return TokenClaims(
            issuer: TokenForm.issuer(of: cluster), subject: subject, audience: audience.map { $0.name(in: cluster) },
            expiresAt: now.seconds + expires, notBefore: now.seconds + expires - life, issuedAt: nil, id: "t1", grant: grant)
    }

    private func bearer(_ claims: TokenClaims, revoked: [String: RevokedToken] = [:]) throws -> Result<
        TokenBearer, TokenRefusal
    > {
        let rules = TokenRules(cluster: try cluster(), audience: .control)
        return Result { () throws(TokenRefusal) in
            try rules.checkOrigin(claims)
            return try rules.bearer(of: claims, revoked: revoked, at: now)
        }
    }

    @Test("a good token says who its bearer is, and in which role", arguments: Role.allCases.filter { $0 != .node })
    func good(role: Role) throws {
        let bearer = try bearer(claims(.role(role.rawValue))).get()
        #expect(bearer.principal.name == "operator/ada" && bearer.role == role)
        #expect(bearer.expiresAt == now.seconds + 600)
    }

    @Test("a data token is no operator token, nor the other way about, whatever audiences it names")
    func kinds() throws {
        let data = TokenGrant.table("packages", actions: ["read", "write", "admin"])
        #expect(throws: TokenRefusal.wrongAudience) { try bearer(claims(data, audience: [.data])).get() }
        #expect(throws: TokenRefusal.wrongAudience) { try bearer(claims(data, audience: [.data, .control])).get() }
        #expect(throws: TokenRefusal.wrongAudience) { try bearer(claims(audience: [.data])).get() }
        let rules = TokenRules(cluster: try cluster(), audience: .data)
        #expect(throws: TokenRefusal.wrongAudience) { try rules.checkOrigin(claims(.role("root"))) }
        #expect(throws: TokenRefusal.wrongAudience) {
            try rules.checkOrigin(claims(.role("root"), audience: [.data, .control]))
        }
    }

    @Test("no token makes its bearer a node, nor anything that is no role", arguments: ["node", "Root", "", "coordinator"])
    func roles(name: String) throws {
        #expect(throws: TokenRefusal.wrongRole) { try bearer(claims(.role(name))).get() }
    }

    @Test(
        "a token names an operator, and never a node or a coordinator",
        arguments: ["node/n1", "coordinator/c1", "ada", "operator/a b"])
    func subjects(name: String) throws {
        #expect(throws: TokenRefusal.malformed("sub is no operator's name")) { try bearer(claims(subject: name)).get() }
    }

    @Test("an operator token lives for a working day, a data token for an hour, and neither longer")
    func lives() throws {
        let day: Int64 = 12 * 3_600
        #expect(throws: Never.self) { try bearer(claims(lasting: day)).get() }
        #expect(throws: TokenRefusal.livesTooLong) { try bearer(claims(lasting: day + 2 * TokenForm.skew + 1)).get() }
        #expect(TokenAudience.data.longestLife == 3_600)
        #expect(TokenAudience.longestLife == TokenAudience.control.longestLife)
    }

    @Test("it expires, begins, and is revoked at each use")
    func uses() throws {
        #expect(throws: TokenRefusal.expired(at: now.seconds - 30)) { try bearer(claims(expires: -30)).get() }
        #expect(throws: TokenRefusal.notYetValid(from: now.seconds + 31)) { try bearer(claims(expires: 631)).get() }
        let revoked = ["t1": RevokedToken(id: "t1", expiresAt: now)]
        #expect(throws: TokenRefusal.revoked) { try bearer(claims(), revoked: revoked).get() }
    }
}

@Suite struct RoleTests {
    @Test("only root has every permission, and a viewer changes nothing")
    func grants() {
        #expect(Permission.allCases.allSatisfy { Role.root.grants($0) })
        #expect(Permission.allCases.filter { Role.viewer.grants($0) }.allSatisfy { $0.rawValue.hasSuffix(":read") })
        #expect(!Role.operator.grants(.issueTokens) && !Role.operator.grants(.issueCredentials))
        #expect(!Role.securityAdmin.grants(.changeTables))
    }

    @Test("nobody gives a role that grants more than his own, and nobody gives a node's")
    func giving() {
        func given(by role: Role) -> Set<Role> { Set(Role.allCases.filter { role.mayGive($0) }) }
        #expect(given(by: .root) == [.viewer, .operator, .securityAdmin, .root])
        #expect(given(by: .securityAdmin) == [.viewer, .securityAdmin])
        #expect(given(by: .operator).isEmpty && given(by: .viewer).isEmpty && given(by: .node).isEmpty)
    }
}
