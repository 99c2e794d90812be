import Access
import AgentServer
import Identity
import KeyEncoding
import Model

/// Verification of data tokens, one thread: the first use, with its signature, and every further one.
enum TokenBench {
    static func run(full: Bool) throws -> [BenchRow] {
        let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        let now = WallTime(milliseconds: 1_700_000_000_000)
        let request = AccessRequest(table: try RelationName("usertable"), action: .read)
        var rows: [BenchRow] = []
        for algorithm in SignatureAlgorithm.allCases {
            let key = try PrivateKey.generate(algorithm)
            let published = SigningKey(id: "k1", algorithm: algorithm, publicKey: try key.publicKey(), createdAt: now)
            let topology = Topology(revision: Revision(history: 1, index: 1), changes: [.signingKey(published)])
            let tokens = try (0..<(full ? 4_000 : 1_000)).map { try token($0, algorithm, key, cluster, at: now) }
            let cold = try medianRate(rounds: 3) {
                let verifier = TokenVerifier(cluster: cluster)
                for token in tokens {
                    keep(try verifier.verify(authorization: token, for: request, under: topology, at: now))
                }
                return tokens.count
            }
            let verifier = TokenVerifier(cluster: cluster)
            for token in tokens { keep(try verifier.verify(authorization: token, for: request, under: topology, at: now)) }
            let cached = try medianRate(rounds: 3) {
                for _ in 0..<20 {
                    for token in tokens {
                        keep(try verifier.verify(authorization: token, for: request, under: topology, at: now))
                    }
                }
                return 20 * tokens.count
            }
            rows.append(BenchRow(bench: "token", row: "\(algorithm.rawValue) first use", unit: "1/s", ours: cold))
            rows.append(BenchRow(bench: "token", row: "\(algorithm.rawValue) cached", unit: "1/s", ours: cached, goal: 500_000))
        }
        return rows
    }

    private static func token(
        _ number: Int, _ algorithm: SignatureAlgorithm, _ key: PrivateKey, _ cluster: ClusterID, at now: WallTime
    ) throws -> String {
        let header = "{\"alg\":\"\(algorithm.rawValue)\",\"kid\":\"k1\",\"typ\":\"\(TokenForm.type)\"}"
        let claims =
            "{\"iss\":\"\(TokenForm.issuer(of: cluster))\",\"sub\":\"bench\",\"aud\":\"\(TokenForm.audience(of: cluster))\","
            + "\"exp\":\(now.seconds + 600),\"nbf\":\(now.seconds),\"iat\":\(now.seconds),\"jti\":\"bench-\(number)\","
            + "\"table\":\"usertable\",\"actions\":[\"read\"]}"
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(claims.utf8))
        return "Bearer " + signed + "." + Base64URL.encode(try key.sign(Array(signed.utf8)))
    }
}
