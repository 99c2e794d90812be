import Access
import Identity
import KeyEncoding
import Model
import Testing

@Suite struct TokenVerifierTests {
    private let now = WallTime(milliseconds: 1_700_000_000_000)

    private struct Issuer {
        let cluster: ClusterID
        let key: PrivateKey
        let id: String

        init(_ algorithm: SignatureAlgorithm, id: String) throws {
            cluster = try ClusterID("0123456789abcdef0123456789abcdef")
            key = try PrivateKey.generate(algorithm)
            self.id = id
        }

        func published() throws -> SigningKey {
            SigningKey(id: id, algorithm: key.algorithm, publicKey: try key.publicKey(), createdAt: WallTime(milliseconds: 0))
        }

        func token(
            header: String? = nil, expires: Int64, jti: String = "t1", table: String = "packages", actions: String = "\"read\""
        ) throws -> String {
            let head = header ?? "{\"alg\":\"\(key.algorithm.rawValue)\",\"kid\":\"\(id)\",\"typ\":\"at+jwt\"}"
            let claims =
                "{\"iss\":\"\(TokenForm.issuer(of: cluster))\",\"sub\":\"alice\",\"aud\":\"\(TokenAudience.data.name(in: cluster))\","
                + "\"exp\":\(expires),\"nbf\":\(expires - 600),\"iat\":\(expires - 600),\"jti\":\"\(jti)\","
                + "\"table\":\"\(table)\",\"actions\":[\(actions)]}"
            let signed = Base64URL.encode(Array(head.utf8)) + "." + Base64URL.encode(Array(claims.utf8))
            return signed + "." + Base64URL.encode(try key.sign(Array(signed.utf8)))
        }
    }

    private func topology(_ changes: [TopologyChange]) -> Topology {
        Topology(revision: Revision(history: 1, index: 9), changes: changes)
    }

    private func refusal(
        _ verifier: TokenVerifier, _ authorization: String?, _ topology: Topology, action: TableAction = .read,
        table: String = "packages"
    ) throws -> TokenRefusal? {
        let request = AccessRequest(table: try RelationName(table), action: action)
        do throws(TokenRefusal) {
            _ = try verifier.verify(authorization: authorization, for: request, under: topology, at: now)
            return nil
        } catch { return error }
    }

    @Test("a good token is accepted, the second time without its signature", arguments: SignatureAlgorithm.allCases)
    func good(algorithm: SignatureAlgorithm) throws {
        let issuer = try Issuer(algorithm, id: "k1")
        let topology = topology([.signingKey(try issuer.published())])
        let verifier = TokenVerifier(cluster: issuer.cluster, audience: .data)
        let token = try issuer.token(expires: now.seconds + 300)
        #expect(try refusal(verifier, "Bearer \(token)", topology) == nil)
        #expect(try refusal(verifier, "Bearer \(token)", topology) == nil)
        #expect(verifier.counters.verified == 1)
        #expect(verifier.counters.cached == 1)
        // However the field is written, it is one token.
        for field in ["bearer \(token)", "BEARER  \(token)", "bearer \(token)"] {
            #expect(try refusal(verifier, field, topology) == nil)
        }
        #expect(verifier.counters.verified == 1)
    }

    @Test("every single changed letter of a token makes it worthless")
    func tampered() throws {
        let issuer = try Issuer(.es256, id: "k1")
        let topology = topology([.signingKey(try issuer.published())])
        let verifier = TokenVerifier(cluster: issuer.cluster, audience: .data)
        let token = Array(try issuer.token(expires: now.seconds + 300).utf8)
        for place in token.indices {
            var changed = token
            changed[place] = changed[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(try refusal(verifier, "Bearer \(String(decoding: changed, as: UTF8.self))", topology) != nil)
        }
    }

    @Test("a token cannot choose its algorithm, its key, or what must be understood")
    func headers() throws {
        let issuer = try Issuer(.es256, id: "k1")
        let stranger = try Issuer(.es256, id: "k1")
        let topology = topology([.signingKey(try issuer.published())])
        let verifier = TokenVerifier(cluster: issuer.cluster, audience: .data)
        func refused(_ header: String?, by signer: Issuer) throws -> TokenRefusal? {
            try refusal(verifier, "Bearer \(signer.token(header: header, expires: now.seconds + 300))", topology)
        }
        #expect(try refused(#"{"alg":"none","kid":"k1","typ":"at+jwt"}"#, by: issuer) == .algorithmMismatch)
        #expect(try refused(#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#, by: issuer) == .algorithmMismatch)
        #expect(try refused(#"{"alg":"ES256","kid":"k2","typ":"at+jwt"}"#, by: issuer) == .unknownKey)
        #expect(try refused(#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#, by: issuer) == .wrongType)
        #expect(try refused(#"{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["x"]}"#, by: issuer)?.code == "TOKEN_MALFORMED")
        #expect(try refused(nil, by: stranger) == .badSignature)
    }

    @Test("expiry, revocation, table and action count for a remembered token too")
    func remembered() throws {
        let issuer = try Issuer(.es256, id: "k1")
        let key = TopologyChange.signingKey(try issuer.published())
        let verifier = TokenVerifier(cluster: issuer.cluster, audience: .data)
        let token = "Bearer " + (try issuer.token(expires: now.seconds + 300, jti: "gone"))
        #expect(try refusal(verifier, token, topology([key])) == nil)
        #expect(try refusal(verifier, token, topology([key]), action: .write) == .actionNotGranted(.write))
        #expect(try refusal(verifier, token, topology([key]), table: "usertable") == .wrongTable)
        let revoked = TopologyChange.tokenRevoked(RevokedToken(id: "gone", expiresAt: now))
        #expect(try refusal(verifier, token, topology([key, revoked])) == .revoked)
        // Its key is withdrawn.
        #expect(try refusal(verifier, token, topology([])) == .unknownKey)
        let late = WallTime(milliseconds: now.milliseconds + 400_000)
        let request = AccessRequest(table: try RelationName("packages"), action: .read)
        #expect(throws: TokenRefusal.expired(at: now.seconds + 300)) {
            try verifier.verify(authorization: token, for: request, under: topology([key]), at: late)
        }
    }

    @Test(
        "what is no token is refused without a trap",
        arguments: [
            nil, "", "Bearer", "Bearer ", "Basic abc", "Bearer a.b", "Bearer ..", "Bearer a.b.c.d", "Bearer e30.e30.e30",
            "Bearer " + String(repeating: "A", count: 9_000), "Bearer \u{0}.\u{0}.\u{0}", "Bearer bnVsbA.bnVsbA.bnVsbA",
        ])
    func garbage(authorization: String?) throws {
        let issuer = try Issuer(.es256, id: "k1")
        let verifier = TokenVerifier(cluster: issuer.cluster, audience: .data)
        #expect(try refusal(verifier, authorization, topology([.signingKey(try issuer.published())])) != nil)
    }
}
