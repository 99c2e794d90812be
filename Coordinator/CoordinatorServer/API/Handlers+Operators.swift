import Access
import Catalog
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Identity
import Model

extension Handlers {
    /// An operator token: a role at the control API, for a while, without a certificate.
    ///
    /// Signed at once and shown only when the log says who gave it to whom: what cannot be audited does not happen.
    func issueCredential(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let (name, roleName) = (try fields.text("principal"), try fields.text("role"))
        let ttl = try fields.optionalInteger("ttl_seconds") ?? 3_600
        try fields.finish()
        let who = try operatorNamed(name, call)
        guard let role = Role(rawValue: roleName), role.isOperators else {
            let all = Role.allCases.filter(\.isOperators).map(\.rawValue)
            throw .invalid("role", "expected one of \(all.joined(separator: ", "))")
        }
        let longest = TokenAudience.control.longestLife
        guard (1...Int(longest)).contains(ttl) else { throw .invalid("ttl_seconds", "expected 1 to \(longest)") }
        guard let caller = call.caller, caller.role.mayGive(role) else {
            throw Problem(
                .forbidden, "ROLE_NOT_YOURS", "\(role.rawValue) grants what you have not, and nobody gives what he has not",
                hint: "give a smaller role, or ask somebody who has this one", field: "role")
        }
        let request = try requestID(call)
        let state = try await catalog(call)
        if try answered(request, call, in: state) != nil {
            throw Problem(
                .conflict, "SECRET_SHOWN", "this request has made its token, which is shown only once",
                hint: "make another under a new Idempotency-Key")
        }
        try requirePublishedKey(in: state)
        let made: TokenIssuer.Made
        do throws(IdentityError) { made = try issuer.issue(to: who, role: role, seconds: Int64(ttl), at: now) } catch {
            throw Problem(.internalServerError, "SIGNING_FAILED", "\(error)")
        }
        _ = try await propose(.grantRole(role.rawValue, to: who, token: made.id, until: made.expiresAt), call, as: request)
        return Response(
            json: .object([
                "token": .string(made.token), "expires_at": Documents.time(made.expiresAt), "jti": .string(made.id),
                "principal": .string(who.name), "role": .string(role.rawValue),
            ]), status: .created)
    }

    /// `NAME` or `operator/NAME`, of the form that operators' certificates have.
    private func operatorNamed(_ text: String, _ call: Call) throws(Problem) -> Principal {
        let prefix = TokenForm.operatorPrefix
        let name = text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text
        return try call.checked { () throws(InvalidValue) in
            try NameRule.host.check(name, field: "principal")
            return try Principal(prefix + name)
        }
    }

    /// What nobody could verify is never handed out.
    func requirePublishedKey(in state: CatalogState) throws(Problem) {
        guard state.topology.signingKeys[issuer.keyID] != nil else {
            throw Problem(
                .serviceUnavailable, "KEY_NOT_PUBLISHED", "this coordinator's key is not committed yet", hint: "ask again",
                isRetryable: true, retryAfter: 1)
        }
    }
}
