package import Access
import FoundationEssentials
import KeyEncoding
import Model

/// The three parts of a compact JWS (RFC 7515 §7.1), decoded but not believed.
package struct TokenText {
    let header: TokenHeader
    /// What the signature covers: the text up to the second dot.
    let signedBytes: [UInt8]
    let signature: [UInt8]
    private let payload: [UInt8]

    package init(_ text: String) throws(TokenRefusal) {
        guard text.utf8.count <= Limits.tokenBytes else { throw .oversize }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("not three parts") }
        guard let head = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw .malformed("a part is not base64url") }
        let form = try Self.decode(HeaderForm.self, from: head, named: "header")
        // An extension that must be understood, and is not (RFC 7515 §4.1.11).
        guard form.crit == nil else { throw .malformed("crit is not supported") }
        header = TokenHeader(algorithm: form.alg, keyID: form.kid, type: form.typ)
        signedBytes = Array(text.utf8.prefix(parts[0].count + 1 + parts[1].count))
        self.signature = signature
        self.payload = payload
    }

    /// To be believed only after the signature was found good.
    package func claims() throws(TokenRefusal) -> TokenClaims {
        let form = try Self.decode(ClaimsForm.self, from: payload, named: "claims")
        return TokenClaims(
            issuer: form.iss, subject: form.sub, audience: form.aud.values, expiresAt: form.exp, notBefore: form.nbf,
            issuedAt: form.iat, id: form.jti, grant: try grant(of: form))
    }

    private func grant(of form: ClaimsForm) throws(TokenRefusal) -> TokenGrant {
        switch (form.table, form.actions, form.role) {
        case (let table?, let actions?, nil): return .table(table, actions: actions)
        case (nil, nil, let role?): return .role(role)
        default: throw .malformed("the claims grant neither actions on a table nor a role, or both")
        }
    }

    private static func decode<Form: Decodable>(
        _ form: Form.Type, from bytes: [UInt8], named name: String
    ) throws(TokenRefusal) -> Form {
        do {
            return try JSONDecoder().decode(form, from: Data(bytes))
        } catch {
            throw .malformed("the \(name) lack a claim or have one of another type")
        }
    }

    private struct HeaderForm: Decodable {
        let alg: String
        let kid: String?
        let typ: String?
        let crit: [String]?
    }

    private struct ClaimsForm: Decodable {
        let iss: String
        let sub: String
        let aud: Audience
        let exp: Int64
        let nbf: Int64?
        let iat: Int64?
        let jti: String
        let table: String?
        let actions: [String]?
        let role: String?
    }

    /// One text, or a list of them (RFC 7519 §4.1.3).
    private struct Audience: Decodable {
        let values: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let one = try? container.decode(String.self) {
                values = [one]
            } else {
                values = try container.decode([String].self)
            }
        }
    }
}
