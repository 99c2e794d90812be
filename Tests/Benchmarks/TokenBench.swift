import Access
import Identity
import KeyEncoding
import Model

/// Verification of data tokens, one thread: the first use, with its signature, and every further one.
enum TokenBench {
    static func run(_ settings: BenchSettings, report: Benchmarks.Report) async throws {
        let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        let now = WallTime(milliseconds: 1_700_000_000_000)
        let request = AccessRequest(table: try RelationName("usertable"), action: .read)
        for algorithm in SignatureAlgorithm.allCases {
            let key = try PrivateKey.generate(algorithm)
            let publicKey = try key.publicKey()
            let published = SigningKey(id: "k1", algorithm: algorithm, publicKey: publicKey, createdAt: now)
            let topology = Topology(revision: Revision(history: 1, index: 1), changes: [.signingKey(published)])
            let tokens = try (0..<(settings.full ? 4_000 : 1_000)).map { try token($0, algorithm, key, cluster, at: now) }
            let message = Array(tokens[0].utf8)
            let signature = try key.sign(message)
            let known = Dictionary(uniqueKeysWithValues: tokens.map { ($0, 1) })
            var (cold, bare, cached, lookUps) = (Samples(), Samples(), Samples(), Samples())
            for _ in 0..<settings.rounds {
                let verifier = TokenVerifier(cluster: cluster, audience: .data)
                let check = {
                    for token in tokens {
                        keep(try verifier.verify(authorization: token, for: request, under: topology, at: now))
                    }
                    return tokens.count
                }
                cold.add(try rates(rounds: 1, check))
                bare.add(
                    try rates(rounds: 1) {
                        let parsed = try PublicKey(spki: publicKey, algorithm: algorithm)
                        for _ in tokens { keep(parsed.isValid(signature, for: message)) }
                        return tokens.count
                    })
                cached.add(try rates(rounds: 1) { try (0..<20).reduce(0) { done, _ in done + (try check()) } })
                lookUps.add(
                    rates(rounds: 1) {
                        for _ in 0..<20 { for token in tokens { keep(known[token]) } }
                        return 20 * tokens.count
                    })
            }
            let name = algorithm.rawValue
            report(
                BenchRow(
                    bench: "token", row: "\(name) checks, first use, one thread", unit: "1/s", of: cold, peer: bare,
                    peerName: "bare signature"))
            report(
                BenchRow(
                    bench: "token", row: "\(name) checks, cached, one thread", unit: "1/s", of: cached, peer: lookUps,
                    peerName: "dictionary look-up of the text"))
        }
    }

    private static func token(
        _ number: Int, _ algorithm: SignatureAlgorithm, _ key: PrivateKey, _ cluster: ClusterID, at now: WallTime
    ) throws -> String {
        let header = "{\"alg\":\"\(algorithm.rawValue)\",\"kid\":\"k1\",\"typ\":\"\(TokenForm.type)\"}"
        let claims =
            "{\"iss\":\"\(TokenForm.issuer(of: cluster))\",\"sub\":\"bench\",\"aud\":\"\(TokenAudience.data.name(in: cluster))\","
            + "\"exp\":\(now.seconds + 600),\"nbf\":\(now.seconds),\"iat\":\(now.seconds),\"jti\":\"bench-\(number)\","
            + "\"table\":\"usertable\",\"actions\":[\"read\"]}"
        let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(claims.utf8))
        return "Bearer " + signed + "." + Base64URL.encode(try key.sign(Array(signed.utf8)))
    }
}
