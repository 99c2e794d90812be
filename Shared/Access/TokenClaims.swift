package import Model

// A token is a JWT. A data token's claims say who may do what with one table (rule S3), an operator token's which role somebody has
// at the control API, each until when. Here are their parsed values; bytes, JSON and signatures are the shell's.

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

/// What a token lets its bearer do. A token grants one or the other: claims of both kinds make it unreadable.
package enum TokenGrant: Hashable, Sendable {
    /// `table`, `actions`: a data token.
    case table(String, actions: [String])
    /// `role`: an operator token.
    case role(String)
}

/// The claims, under the names `iss sub aud exp nbf iat jti` and those of the grant; times are whole seconds since 1970.
package struct TokenClaims: Hashable, Sendable {
    package let issuer: String
    package let subject: String
    package let audience: [String]
    package let expiresAt: Int64
    package let notBefore: Int64?
    package let issuedAt: Int64?
    /// `jti`
    package let id: String
    package let grant: TokenGrant

    package init(
        issuer: String, subject: String, audience: [String], expiresAt: Int64, notBefore: Int64?, issuedAt: Int64?, id: String,
        grant: TokenGrant
    ) {
        self.issuer = issuer
        self.subject = subject
        self.audience = audience
        self.expiresAt = expiresAt
        self.notBefore = notBefore
        self.issuedAt = issuedAt
        self.id = id
        self.grant = grant
    }
}

/// For whom a token is: who reads the one kind refuses the other.
package enum TokenAudience: Hashable, Sendable, CaseIterable {
    /// Agents, for rows.
    case data
    /// Coordinators, for the control API.
    case control

    /// `aud`
    package func name(in cluster: ClusterID) -> String {
        switch self {
        case .data: "coxswain:\(cluster):data"
        case .control: "coxswain:\(cluster):control"
        }
    }

    /// The longest life that an issuer grants, in seconds.
    package var longestLife: Int64 {
        switch self {
        // Clients renew theirs by themselves.
        case .data: 3_600
        // A working day: people cannot renew theirs without a certificate, and one that is lost by night is worth nothing by morning.
        case .control: 12 * 3_600
        }
    }

    /// The longest of them all: how long a token of unknown kind may still be shown.
    package static var longestLife: Int64 { allCases.map(\.longestLife).max() ?? 0 }
}

/// What issuers write and verifiers demand.
package enum TokenForm {
    /// `typ`: says that this is an access token, so that no other kind of JWT passes for one (RFC 9068, RFC 8725 §3.11).
    package static let type = "at+jwt"
    /// `iss`
    package static func issuer(of cluster: ClusterID) -> String { "coxswain:\(cluster)" }
    /// What `sub` of an operator token begins with, as the names in operators' certificates do: a token can name no node and no
    /// coordinator.
    package static let operatorPrefix = "operator/"
    /// How far two wall clocks may differ, in seconds.
    package static let skew: Int64 = 30
}
