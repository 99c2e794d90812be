package import Access
package import Model
import Synchronization

// Tokens are verified here, with keys and revocations of the local topology: nobody else is asked (rule S3). The order matters: the
// header chooses one of our keys, the key fixes the algorithm, the signature is checked, and only then is a claim believed.

/// Verifies the bearer tokens of requests, and remembers those that were good: an agent's are data tokens, a coordinator's are
/// operator tokens.
package final class TokenVerifier: Sendable {
    /// How often tokens were seen, for metrics.
    package struct Counters: Hashable, Sendable {
        /// Signatures checked and found good.
        package var verified: UInt64 = 0
        /// Good by the cache.
        package var cached: UInt64 = 0
        /// By the refusal's code.
        package var refused: [String: UInt64] = [:]
    }

    private struct State {
        var cache: TokenCache
        /// Parsed keys, of the key set as last used.
        var keys: [SigningKey: PublicKey] = [:]
        var counters = Counters()
    }

    private let rules: TokenRules
    private let state: Mutex<State>

    package init(cluster: ClusterID, audience: TokenAudience, remembering capacity: Int = 4_096) {
        rules = TokenRules(cluster: cluster, audience: audience)
        state = Mutex(State(cache: TokenCache(capacity: capacity)))
    }

    package var counters: Counters { state.withLock(\.counters) }

    /// - Parameters:
    ///   - authorization: the value of the request's `Authorization` field.
    ///   - topology: where the keys and revocations are taken from, at its revision.
    /// - Returns: the claims of a data token that allows `request` at `now`.
    package func verify(
        authorization: String?, for request: AccessRequest, under topology: Topology, at now: WallTime
    ) throws(TokenRefusal) -> TokenClaims {
        try counted { () throws(TokenRefusal) in
            let claims = try trusted(authorization, keys: topology.signingKeys)
            try rules.checkUse(claims, for: request, revoked: topology.revokedTokens, at: now)
            return claims
        }
    }

    /// - Returns: whose operator token it is, and in which role.
    package func bearer(
        authorization: String?, under topology: Topology, at now: WallTime
    ) throws(TokenRefusal) -> TokenBearer {
        try counted { () throws(TokenRefusal) in
            let claims = try trusted(authorization, keys: topology.signingKeys)
            return try rules.bearer(of: claims, revoked: topology.revokedTokens, at: now)
        }
    }

    private func counted<Value>(_ check: () throws(TokenRefusal) -> Value) throws(TokenRefusal) -> Value {
        do throws(TokenRefusal) { return try check() } catch {
            state.withLock { $0.counters.refused[error.code, default: 0] += 1 }
            throw error
        }
    }

    /// The token of `Bearer …`; the scheme's case does not matter (RFC 9110 §11.1).
    private static func text(of authorization: String) throws(TokenRefusal) -> String {
        let parts = authorization.utf8.split(separator: UInt8(ascii: " "))
        guard parts.count == 2, Substring(parts[0]).lowercased() == "bearer" else { throw .missing }
        return String(Substring(parts[1]))
    }

    /// The claims of a token whose signature and origin are good, by the cache or by looking.
    private func trusted(_ authorization: String?, keys: [String: SigningKey]) throws(TokenRefusal) -> TokenClaims {
        guard let authorization else { throw .missing }
        guard authorization.utf8.count <= Limits.tokenBytes + 16 else { throw .oversize }
        // Known by the whole field: to take the token out of it would cost more than all else about a known one.
        if let known = remembered(authorization, keys: keys) { return known.claims }
        let token = try Self.text(of: authorization)
        // Of the many ways to write the field one is remembered: with all of them a single token could drive out all others.
        let usual = "Bearer \(token)"
        if usual != authorization, let known = remembered(usual, keys: keys) { return known.claims }
        let text = try TokenText(token)
        let key = try rules.key(for: text.header, among: keys)
        // Outside the lock: a signature takes a hundred microseconds, a look-up less than one.
        guard let publicKey = publicKey(for: key), publicKey.isValid(text.signature, for: text.signedBytes) else {
            throw .badSignature
        }
        let claims = try text.claims()
        try rules.checkOrigin(claims)
        state.withLock { state in
            state.cache.insert(VerifiedToken(key: key, claims: claims), for: usual)
            state.counters.verified += 1
        }
        return claims
    }

    private func remembered(_ field: String, keys: [String: SigningKey]) -> VerifiedToken? {
        state.withLock { state in
            guard let found = state.cache.token(field, keys: keys) else { return nil }
            state.counters.cached += 1
            return found
        }
    }

    private func publicKey(for key: SigningKey) -> PublicKey? {
        if let known = state.withLock({ $0.keys[key] }) { return known }
        guard let parsed = try? PublicKey(spki: key.publicKey, algorithm: key.algorithm) else { return nil }
        state.withLock { state in
            // Keys come and go rarely; a full set is started anew.
            if state.keys.count >= 64 { state.keys = [:] }
            state.keys[key] = parsed
        }
        return parsed
    }
}
