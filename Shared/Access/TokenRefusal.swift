package import Model

/// Why a token is refused. The default is refusal (rule S5).
package enum TokenRefusal: Error, Hashable, Sendable {
    case missing
    /// Longer than `Limits.tokenBytes`.
    case oversize
    /// Not three base64url parts with the header and the claims of a token.
    case malformed(String)
    case wrongType
    case unknownKey
    /// The header names another algorithm than the one that belongs to its key: never a matter of the token's choice.
    case algorithmMismatch
    case badSignature
    case wrongIssuer
    case wrongAudience
    case expired(at: Int64)
    case notYetValid(from: Int64)
    /// Would outlive what any issuer grants.
    case livesTooLong
    case revoked
    /// No role that an operator may have.
    case wrongRole
    case wrongTable
    case actionNotGranted(TableAction)

    /// A stable code for programs.
    package var code: String {
        switch self {
        case .missing: "TOKEN_MISSING"
        case .oversize: "TOKEN_TOO_LARGE"
        case .malformed: "TOKEN_MALFORMED"
        case .wrongType: "TOKEN_WRONG_TYPE"
        case .unknownKey: "TOKEN_UNKNOWN_KEY"
        case .algorithmMismatch: "TOKEN_ALGORITHM_MISMATCH"
        case .badSignature: "TOKEN_BAD_SIGNATURE"
        case .wrongIssuer: "TOKEN_WRONG_ISSUER"
        case .wrongAudience: "TOKEN_WRONG_AUDIENCE"
        case .expired: "TOKEN_EXPIRED"
        case .notYetValid: "TOKEN_NOT_YET_VALID"
        case .livesTooLong: "TOKEN_LIVES_TOO_LONG"
        case .revoked: "TOKEN_REVOKED"
        case .wrongRole: "TOKEN_WRONG_ROLE"
        case .wrongTable: "TOKEN_WRONG_TABLE"
        case .actionNotGranted: "TOKEN_ACTION_NOT_GRANTED"
        }
    }

    /// The bearer is known but may not do this (403); otherwise the bearer is not known (401).
    package var isForbidden: Bool {
        switch self {
        case .wrongTable, .actionNotGranted: true
        case .missing, .oversize, .malformed, .wrongType, .unknownKey, .algorithmMismatch, .badSignature, .wrongIssuer,
            .wrongAudience, .expired, .notYetValid, .livesTooLong, .revoked, .wrongRole:
            false
        }
    }

    /// For people: what is wrong and what to do. Holds nothing of the token but its times.
    package var detail: String {
        switch self {
        case .missing: "the request carries no bearer token"
        case .oversize: "the token is longer than \(Limits.tokenBytes) bytes"
        case .malformed(let what): "the token cannot be read: \(what)"
        case .wrongType: "the token's typ is not \(TokenForm.type)"
        case .unknownKey: "the token names a key that this cluster does not know"
        case .algorithmMismatch: "the token's algorithm is not the one of its key"
        case .badSignature: "the token's signature does not verify"
        case .wrongIssuer: "the token was issued by another cluster"
        case .wrongAudience: "the token is of another kind: data tokens are for rows, operator tokens for the control API"
        case .expired(let at): "the token expired at \(at) (seconds since 1970); ask for a new one"
        case .notYetValid(let from): "the token is valid from \(from) (seconds since 1970)"
        case .livesTooLong: "the token's life is longer than any issuer grants"
        case .revoked: "the token has been revoked"
        case .wrongRole: "the token names no role that an operator may have"
        case .wrongTable: "the token is for another table"
        case .actionNotGranted(let action): "the token does not grant '\(action.rawValue)'"
        }
    }
}
