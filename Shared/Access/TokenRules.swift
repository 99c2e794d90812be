package import Model

/// What one request wants to do.
package struct AccessRequest: Hashable, Sendable {
    package let table: RelationName
    package let action: TableAction

    package init(table: RelationName, action: TableAction) {
        self.table = table
        self.action = action
    }
}

/// Who an operator token says that its bearer is.
package struct TokenBearer: Hashable, Sendable {
    package let principal: Principal
    package let role: Role
    /// Seconds since 1970.
    package let expiresAt: Int64
}

/// The rules of one cluster for one audience. Keys and revocations come with each call: they are the topology's, and change.
package struct TokenRules: Hashable, Sendable {
    private let issuer: String
    private let audience: TokenAudience
    /// `aud`, as tokens must have it.
    private let audienceName: String

    package init(cluster: ClusterID, audience: TokenAudience) {
        issuer = TokenForm.issuer(of: cluster)
        self.audience = audience
        audienceName = audience.name(in: cluster)
    }

    /// The key whose signature the token must bear. Decided before anything of the token is believed.
    package func key(for header: TokenHeader, among keys: [String: SigningKey]) throws(TokenRefusal) -> SigningKey {
        guard header.type?.lowercased() == TokenForm.type else { throw .wrongType }
        guard let id = header.keyID, let key = keys[id] else { throw .unknownKey }
        guard header.algorithm == key.algorithm.rawValue else { throw .algorithmMismatch }
        return key
    }

    /// What does not change while the token lives: checked once, when its signature is.
    package func checkOrigin(_ claims: TokenClaims) throws(TokenRefusal) {
        guard claims.issuer == issuer else { throw .wrongIssuer }
        guard claims.audience.contains(audienceName) else { throw .wrongAudience }
        guard !claims.id.isEmpty else { throw .malformed("jti is empty") }
        let start = claims.notBefore ?? claims.issuedAt
        guard let start else { throw .malformed("neither nbf nor iat is present") }
        let (life, overflow) = claims.expiresAt.subtractingReportingOverflow(start)
        guard !overflow, life <= audience.longestLife + 2 * TokenForm.skew else { throw .livesTooLong }
        // Whatever audiences it names besides ours, its grant must be of our kind.
        switch audience {
        case .data: _ = try table(of: claims)
        case .control: _ = try bearer(named: claims)
        }
    }

    /// What is checked of a data token at each use: time, revocation, table, action.
    package func checkUse(
        _ claims: TokenClaims, for request: AccessRequest, revoked: [String: RevokedToken], at now: WallTime
    ) throws(TokenRefusal) {
        try checkTime(of: claims, revoked: revoked, at: now)
        let (table, actions) = try table(of: claims)
        guard table == request.table.name else { throw .wrongTable }
        guard actions.contains(request.action.rawValue) else { throw .actionNotGranted(request.action) }
    }

    /// What is checked of an operator token at each use: time and revocation. What the role allows is asked by the route.
    package func bearer(
        of claims: TokenClaims, revoked: [String: RevokedToken], at now: WallTime
    ) throws(TokenRefusal) -> TokenBearer {
        try checkTime(of: claims, revoked: revoked, at: now)
        return try bearer(named: claims)
    }

    private func checkTime(
        of claims: TokenClaims, revoked: [String: RevokedToken], at now: WallTime
    ) throws(TokenRefusal) {
        let seconds = now.seconds
        guard seconds - TokenForm.skew < claims.expiresAt else { throw .expired(at: claims.expiresAt) }
        if let from = claims.notBefore, seconds < from, from - seconds > TokenForm.skew { throw .notYetValid(from: from) }
        guard revoked[claims.id] == nil else { throw .revoked }
    }

    private func table(of claims: TokenClaims) throws(TokenRefusal) -> (name: String, actions: [String]) {
        guard case .table(let name, let actions) = claims.grant else { throw .wrongAudience }
        return (name, actions)
    }

    private func bearer(named claims: TokenClaims) throws(TokenRefusal) -> TokenBearer {
        guard case .role(let name) = claims.grant else { throw .wrongAudience }
        guard let role = Role(rawValue: name), role.isOperators else { throw .wrongRole }
        let principal = try? Principal(claims.subject)
        guard let principal, claims.subject.hasPrefix(TokenForm.operatorPrefix) else {
            throw .malformed("sub is no operator's name")
        }
        return TokenBearer(principal: principal, role: role, expiresAt: claims.expiresAt)
    }
}
