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

/// The rules of one cluster. Keys and revocations come with each call: they are the topology's, and change.
package struct TokenRules: Hashable, Sendable {
    private let issuer: String
    private let audience: String

    package init(cluster: ClusterID) {
        issuer = TokenForm.issuer(of: cluster)
        audience = TokenForm.audience(of: cluster)
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
        guard claims.audience.contains(audience) else { throw .wrongAudience }
        guard !claims.id.isEmpty else { throw .malformed("jti is empty") }
        let start = claims.notBefore ?? claims.issuedAt
        guard let start else { throw .malformed("neither nbf nor iat is present") }
        let (life, overflow) = claims.expiresAt.subtractingReportingOverflow(start)
        guard !overflow, life <= TokenForm.longestLife + 2 * TokenForm.skew else { throw .livesTooLong }
    }

    /// What is checked at each use: time, revocation, table, action.
    package func checkUse(
        _ claims: TokenClaims, for request: AccessRequest, revoked: [String: RevokedToken], at now: WallTime
    ) throws(TokenRefusal) {
        let seconds = now.seconds
        guard seconds - TokenForm.skew < claims.expiresAt else { throw .expired(at: claims.expiresAt) }
        if let from = claims.notBefore, seconds < from, from - seconds > TokenForm.skew { throw .notYetValid(from: from) }
        guard revoked[claims.id] == nil else { throw .revoked }
        guard claims.table == request.table.name else { throw .wrongTable }
        guard claims.actions.contains(request.action.rawValue) else { throw .actionNotGranted(request.action) }
    }

    /// Everything but the signature, in the order in which a verifier has to ask.
    package func judge(
        _ claims: TokenClaims, header: TokenHeader, for request: AccessRequest, keys: [String: SigningKey],
        revoked: [String: RevokedToken], at now: WallTime
    ) throws(TokenRefusal) {
        _ = try key(for: header, among: keys)
        try checkOrigin(claims)
        try checkUse(claims, for: request, revoked: revoked, at: now)
    }
}
