// The keys that sign clients' tokens, and how somebody exchanges them by hand: one is published, all are waited for, tokens are signed with
// it, and when none is shown any more that the old one signed, that one is retired (rule S4).

import Access
import AgentCore
import Catalog
import Model
import SimulationKit

struct TokenKeys: Sendable {
    /// How long tokens live.
    private static let tokenLife = Span.seconds(2)

    /// What signs tokens now.
    private(set) var signing: String?
    /// What is to sign them next.
    private var next: String?
    private var retiring: (id: String, from: LogicalInstant)?
    /// What signs tokens that are good.
    private var trusted: Set<String> = []
    private var made = 0
    /// How many keys others have taken the place of.
    private(set) var exchanged = 0

    var isUnderWay: Bool { next != nil || retiring != nil }

    /// Begins with a key, or with the exchange of the one that there is.
    mutating func exchange() {
        guard !isUnderWay else { return }
        made += 1
        next = "key-\(made)"
    }

    /// Goes on as far as the cluster has come.
    /// - Returns: what is asked of it.
    mutating func look(at checks: ClusterChecks, now: LogicalInstant) -> Command? {
        if signing == nil { exchange() }
        if let next {
            guard checks.truth.signingKeys[next] != nil else {
                return .addSigningKey(
                    SigningKey(id: next, algorithm: .edDSA, publicKey: [1], createdAt: ClusterOptions.wall(at: now)))
            }
            guard checks.allHave({ $0.signingKeys[next] != nil }) else { return nil }
            retiring = signing.map { ($0, now + Self.tokenLife) }
            signing = next
            trusted.insert(next)
            self.next = nil
        } else if let (old, due) = retiring, now >= due {
            trusted.remove(old)
            if checks.truth.signingKeys[old] != nil { return .retireSigningKey(old) }
            exchanged += 1
            retiring = nil
        }
        return nil
    }

    /// An agent did not know a token's key: everywhere it was known before anybody signed with it.
    func refused(_ id: String, by node: NodeID) throws(Violation) {
        guard trusted.contains(id) else { return }
        throw Violation("\(node) refuses a token of \(id), which was published everywhere before it signed any")
    }
}

extension AgentProcess {
    private static let rules = (try? ClusterID(String(repeating: "0", count: 32))).map {
        TokenRules(cluster: $0, audience: .data)
    }

    /// Whether the key of a request's token is one of the cluster's. What else is looked at in a token is for those who have one.
    mutating func knowsKey(of request: ClusterRequest) -> Bool {
        guard let id = request.tokenKey else { return true }
        let header = TokenHeader(algorithm: SignatureAlgorithm.edDSA.rawValue, keyID: id, type: TokenForm.type)
        if (try? Self.rules?.key(for: header, among: core.topology.signingKeys)) != nil { return true }
        unknownKeys.append(id)
        return false
    }
}
