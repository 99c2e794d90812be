package import Model

// A data token is a JWT whose claims say who may do what with one table, until when (rule S3). Here are its parsed values; bytes,
// JSON and signatures are the shell's.

/// The protected header, as it was written.
package struct TokenHeader: Hashable, Sendable {
    /// `alg`
    package let algorithm: String
    /// `kid`
    package let keyID: String?
    /// `typ`
    package let type: String?

    package init(algorithm: String, keyID: String?, type: String?) {
        self.algorithm = algorithm
        self.keyID = keyID
        self.type = type
    }
}

/// The claims, under the names `iss sub aud exp nbf iat jti table actions`; times are whole seconds since 1970.
package struct TokenClaims: Hashable, Sendable {
    package let issuer: String
    package let subject: String
    package let audience: [String]
    package let expiresAt: Int64
    package let notBefore: Int64?
    package let issuedAt: Int64?
    /// `jti`
    package let id: String
    package let table: String
    package let actions: [String]

    package init(
        issuer: String, subject: String, audience: [String], expiresAt: Int64, notBefore: Int64?, issuedAt: Int64?, id: String,
        table: String, actions: [String]
    ) {
        self.issuer = issuer
        self.subject = subject
        self.audience = audience
        self.expiresAt = expiresAt
        self.notBefore = notBefore
        self.issuedAt = issuedAt
        self.id = id
        self.table = table
        self.actions = actions
    }
}

/// What issuers write and verifiers demand.
package enum TokenForm {
    /// `typ`: says that this is an access token, so that no other kind of JWT passes for one (RFC 9068, RFC 8725 §3.11).
    package static let type = "at+jwt"
    /// `iss`
    package static func issuer(of cluster: ClusterID) -> String { "coxswain:\(cluster)" }
    /// `aud`
    package static func audience(of cluster: ClusterID) -> String { "coxswain:\(cluster):data" }
    /// The longest life that an issuer grants, in seconds.
    package static let longestLife: Int64 = 3_600
    /// How far two wall clocks may differ, in seconds.
    package static let skew: Int64 = 30
}
