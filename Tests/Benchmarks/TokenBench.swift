import Access
import Glibc
import Identity
import KeyEncoding
import Model

/// Verification of data tokens, one thread: the first use, with its signature, beside what `openssl speed` says of such signatures, and
/// every further one.
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
            let known = Dictionary(uniqueKeysWithValues: tokens.map { ($0, 1) })
            var (cold, signatures, cached, lookUps) = (Samples(), Samples(), Samples(), Samples())
            for _ in 0..<settings.rounds {
                let verifier = TokenVerifier(cluster: cluster, audience: .data)
                let check = {
                    for token in tokens {
                        keep(try verifier.verify(authorization: token, for: request, under: topology, at: now))
                    }
                }
                cold.add(1e6 * (try seconds(forEachOf: tokens.count, check)))
                if let one = try OpenSSLSpeed.verification(algorithm) { signatures.add(1e6 * one) }
                cached.add(1e6 * (try seconds(forEachOf: 20 * tokens.count) { for _ in 0..<20 { try check() } }))
                lookUps.add(
                    1e6
                        * seconds(forEachOf: 20 * tokens.count) {
                            for _ in 0..<20 { for token in tokens { keep(known[token]) } }
                        })
            }
            let name = algorithm.rawValue
            let hasPeer = !signatures.values.isEmpty
            report(
                BenchRow(
                    bench: "token", row: "\(name) check, first use, one thread", unit: "µs", of: cold,
                    peer: hasPeer ? signatures : nil, peerName: hasPeer ? "openssl speed, one signature" : nil,
                    note: hasPeer ? nil : "openssl is not installed"))
            report(
                BenchRow(
                    bench: "token", row: "\(name) check, cached, one thread", unit: "µs", of: cached, peer: lookUps,
                    peerName: "dictionary look-up of the text", ask: .atMost(1)))
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

/// Debian's `openssl speed`.
private enum OpenSSLSpeed {
    /// Seconds of one verification; nil when the program is not installed.
    static func verification(_ algorithm: SignatureAlgorithm) throws -> Double? {
        let program = "/usr/bin/openssl"
        guard access(program, X_OK) == 0 else { return nil }
        // What it begins its figures with, of which the last is how many it verified in a second.
        let (name, mark) =
            switch algorithm {
            case .es256: ("ecdsap256", "+F4:")
            case .edDSA: ("ed25519", "+F6:")
            }
        let said = try BenchProgram.output(of: program, ["speed", "-mr", "-seconds", "1", name])
        let line = said.split(separator: "\n").first { $0.hasPrefix(mark) }
        guard let rate = line?.split(separator: ":").last.flatMap({ Double($0) }), rate > 0 else {
            throw BenchFailure("openssl speed says nothing of \(name): \(said)")
        }
        return 1 / rate
    }
}
