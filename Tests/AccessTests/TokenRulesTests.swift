import Access
import Model
import Testing

@Suite struct TokenRulesTests {
    private let now = WallTime(milliseconds: 1_700_000_000_000)
    private var seconds: Int64 { now.seconds }

    private func rules() throws -> TokenRules { TokenRules(cluster: try cluster(), audience: .data) }
    private func cluster() throws -> ClusterID { try ClusterID("0123456789abcdef0123456789abcdef") }
    private func request(_ table: String = "packages", _ action: TableAction = .read) throws -> AccessRequest {
        AccessRequest(table: try RelationName(table), action: action)
    }
    private var keys: [String: SigningKey] {
        [
            "k1": SigningKey(id: "k1", algorithm: .es256, publicKey: [1], createdAt: WallTime(milliseconds: 0)),
            "k2": SigningKey(id: "k2", algorithm: .edDSA, publicKey: [2], createdAt: WallTime(milliseconds: 0)),
        ]
    }
    private let header = TokenHeader(algorithm: "ES256", keyID: "k1", type: "at+jwt")

    private func claims(
        issuer: String? = nil, audience: [String]? = nil, expires: Int64 = 600, notBefore: Int64? = 0, id: String = "t1",
        table: String = "packages", actions: [String] = ["read"]
    ) throws -> TokenClaims {
        TokenClaims(
            issuer: try issuer ?? TokenForm.issuer(of: cluster()), subject: "alice",
            audience: try audience ?? [TokenAudience.data.name(in: cluster())], expiresAt: seconds + expires,
            notBefore: notBefore.map { seconds + $0 }, issuedAt: seconds, id: id,
            grant: .table(table, actions: actions))
    }

    private func verdict(
        _ claims: TokenClaims, header: TokenHeader? = nil, for request: AccessRequest? = nil,
        revoked: [String: RevokedToken] = [:]
    ) throws -> TokenRefusal? {
        let rules = try rules()
        let request = try request ?? self.request()
        do throws(TokenRefusal) {
            _ = try rules.key(for: header ?? self.header, among: keys)
            try rules.checkOrigin(claims)
            try rules.checkUse(claims, for: request, revoked: revoked, at: now)
            return nil
        } catch { return error }
    }

    @Test("a good token is accepted for its table and action")
    func good() throws {
        #expect(try verdict(claims()) == nil)
        #expect(try verdict(claims(), header: TokenHeader(algorithm: "EdDSA", keyID: "k2", type: "AT+JWT")) == nil)
    }

    @Test("the header chooses neither key nor algorithm freely")
    func headers() throws {
        func refusal(_ algorithm: String, _ key: String?, _ type: String?) throws -> TokenRefusal? {
            try verdict(claims(), header: TokenHeader(algorithm: algorithm, keyID: key, type: type))
        }
        #expect(try refusal("ES256", "k9", "at+jwt") == .unknownKey)
        #expect(try refusal("ES256", nil, "at+jwt") == .unknownKey)
        #expect(try refusal("EdDSA", "k1", "at+jwt") == .algorithmMismatch)
        #expect(try refusal("none", "k1", "at+jwt") == .algorithmMismatch)
        #expect(try refusal("HS256", "k1", "at+jwt") == .algorithmMismatch)
        #expect(try refusal("es256", "k1", "at+jwt") == .algorithmMismatch)
        #expect(try refusal("ES256", "k1", "JWT") == .wrongType)
        #expect(try refusal("ES256", "k1", nil) == .wrongType)
    }

    @Test("issuer and audience are this cluster's")
    func origin() throws {
        #expect(try verdict(claims(issuer: "coxswain:other")) == .wrongIssuer)
        #expect(try verdict(claims(audience: [])) == .wrongAudience)
        #expect(try verdict(claims(audience: ["x", TokenAudience.data.name(in: cluster())])) == nil)
        #expect(try verdict(claims(id: "")) == .malformed("jti is empty"))
    }

    @Test(
        "times hold to within thirty seconds of skew",
        arguments: [
            (Int64(0), Int64(0), true), (-29, -100, true), (-30, -100, false), (-31, -100, false), (600, 30, true),
            (600, 31, false),
        ])
    func times(expires: Int64, notBefore: Int64, good: Bool) throws {
        let refusal = try verdict(claims(expires: expires, notBefore: notBefore))
        #expect((refusal == nil) == good)
        if !good {
            #expect(refusal == (notBefore > 30 ? .notYetValid(from: seconds + notBefore) : .expired(at: seconds + expires)))
        }
    }

    @Test("a token that would live longer than any issuer grants is refused, whatever its numbers")
    func lives() throws {
        #expect(try verdict(claims(expires: 3_600)) == nil)
        #expect(try verdict(claims(expires: 4_000)) == .livesTooLong)
        let absurd = TokenClaims(
            issuer: TokenForm.issuer(of: try cluster()), subject: "a", audience: [TokenAudience.data.name(in: try cluster())],
            expiresAt: .max, notBefore: .min, issuedAt: nil, id: "x",
            grant: .table("packages", actions: ["read"]))
        #expect(try verdict(absurd) == .livesTooLong)
    }

    @Test("a revoked token is refused by its id")
    func revoked() throws {
        let revoked = ["t1": RevokedToken(id: "t1", expiresAt: now)]
        #expect(try verdict(claims(), revoked: revoked) == .revoked)
        #expect(try verdict(claims(id: "t2"), revoked: revoked) == nil)
    }

    @Test("another table and an action that is not granted are forbidden, not unknown")
    func grants() throws {
        #expect(try verdict(claims(), for: request("usertable")) == .wrongTable)
        #expect(try verdict(claims(), for: request("packages", .write)) == .actionNotGranted(.write))
        #expect(TokenRefusal.wrongTable.isForbidden)
        #expect(!TokenRefusal.revoked.isForbidden)
    }

    @Test("the cache gives back what was put in while its key is known, and stays within its bound")
    func cache() throws {
        var cache = TokenCache(capacity: 3)
        let key = try #require(keys["k1"])
        for index in 0..<3 { cache.insert(VerifiedToken(key: key, claims: try claims(id: "t\(index)")), for: "text\(index)") }
        #expect(cache.token("text0", keys: keys)?.claims.id == "t0")
        // Full: one that was not used makes room.
        cache.insert(VerifiedToken(key: key, claims: try claims(id: "t3")), for: "text3")
        #expect(cache.count == 3)
        #expect(cache.token("text0", keys: keys) != nil)
        #expect(cache.token("text1", keys: keys) == nil)
        #expect(cache.token("text3", keys: keys)?.claims.id == "t3")
        // The same kid with another key is another key.
        let other = ["k1": SigningKey(id: "k1", algorithm: .es256, publicKey: [9], createdAt: now)]
        #expect(cache.token("text0", keys: other) == nil)
        for index in 10..<1_000 { cache.insert(VerifiedToken(key: key, claims: try claims()), for: "text\(index)") }
        #expect(cache.count == 3)
    }
}
