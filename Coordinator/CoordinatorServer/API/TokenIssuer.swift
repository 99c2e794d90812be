package import Access
import FoundationEssentials
package import Identity
import KeyEncoding
package import Model

/// Signs data tokens and operator tokens with this coordinator's own key, once its public half is committed: what could not be
/// verified is never handed out (rules S3, S4).
package struct TokenIssuer: Sendable {
    private let key: PrivateKey
    private let publicKey: [UInt8]
    private let cluster: ClusterID
    /// The `kid`: the first half of the public key's digest.
    package let keyID: String

    package init(key: PrivateKey, cluster: ClusterID) throws(IdentityError) {
        self.key = key
        self.cluster = cluster
        publicKey = try key.publicKey()
        keyID = Base64URL.encode(Digest.sha256(publicKey).prefix(16))
    }

    /// The public half, to be committed before the first token is signed.
    package func signingKey(createdAt: WallTime) -> SigningKey {
        SigningKey(id: keyID, algorithm: key.algorithm, publicKey: publicKey, createdAt: createdAt)
    }

    /// A token as its bearer gets it: a compact JWS (RFC 7515).
    package struct Made: Hashable, Sendable {
        package let token: String
        /// `jti`
        package let id: String
        package let expiresAt: WallTime
    }

    /// A data token.
    package func issue(
        to principal: Principal, table: RelationName, actions: [TableAction], seconds: Int64, at now: WallTime
    ) throws(IdentityError) -> Made {
        try sign(
            ["table": .string(table.name), "actions": .array(actions.map { .string($0.rawValue) })], to: principal,
            for: .data, seconds: seconds, at: now)
    }

    /// An operator token.
    package func issue(
        to principal: Principal, role: Role, seconds: Int64, at now: WallTime
    ) throws(IdentityError) -> Made {
        try sign(["role": .string(role.rawValue)], to: principal, for: .control, seconds: seconds, at: now)
    }

    private func sign(
        _ grant: [String: JSONNode], to principal: Principal, for audience: TokenAudience, seconds: Int64, at now: WallTime
    ) throws(IdentityError) -> Made {
        // Letters and digits: people hand it to commands, which take what begins with a hyphen for an option.
        let id = Hex.encode(try SecureRandom.bytes(16))
        let expiry = now.seconds + seconds
        let header = JSONNode.object([
            "alg": .string(key.algorithm.rawValue), "kid": .string(keyID), "typ": .string(TokenForm.type),
        ])
        let registered: [String: JSONNode] = [
            "iss": .string(TokenForm.issuer(of: cluster)), "aud": .string(audience.name(in: cluster)),
            "sub": .string(principal.name), "exp": .number(expiry), "nbf": .number(now.seconds), "iat": .number(now.seconds),
            "jti": .string(id),
        ]
        let claims = JSONNode.object(registered.merging(grant) { ours, _ in ours })
        let body = Base64URL.encode(Array(header.text.utf8)) + "." + Base64URL.encode(Array(claims.text.utf8))
        let signature = try key.sign(Array(body.utf8))
        return Made(
            token: body + "." + Base64URL.encode(signature), id: id, expiresAt: WallTime(milliseconds: expiry * 1_000))
    }

    /// The committed keys as a JWK set (RFC 7517): an uncompressed P-256 point ends its key info, an Ed25519 key is its end.
    static func keySet(_ keys: [SigningKey]) -> JSONNode {
        .object([
            "keys": .array(
                keys.sorted { $0.id < $1.id }.compactMap { key in
                    var members: [String: JSONNode] = [
                        "kid": .string(key.id), "alg": .string(key.algorithm.rawValue), "use": .string("sig"),
                    ]
                    switch key.algorithm {
                    case .es256:
                        let point = key.publicKey.suffix(64)
                        guard point.count == 64 else { return nil }
                        members["kty"] = .string("EC")
                        members["crv"] = .string("P-256")
                        members["x"] = .string(Base64URL.encode(point.prefix(32)))
                        members["y"] = .string(Base64URL.encode(point.suffix(32)))
                    case .edDSA:
                        members["kty"] = .string("OKP")
                        members["crv"] = .string("Ed25519")
                        members["x"] = .string(Base64URL.encode(key.publicKey.suffix(32)))
                    }
                    return .object(members)
                })
        ])
    }
}
