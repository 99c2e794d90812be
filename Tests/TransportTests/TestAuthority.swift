import Identity
import Logging
import Model
import NIOSSL
import Synchronization
import Transport

/// A cluster of its own for one test.
struct TestAuthority {
    let clusterName: String
    let cluster: ClusterID
    private let authority: Authority

    init(clusterName: String = "demo", cluster: String = "0123456789abcdef0123456789abcdef") throws {
        self.clusterName = clusterName
        self.cluster = try ClusterID(cluster)
        authority = try Authority.create(cluster: clusterName, at: BootClock.wallTime())
    }

    /// An endpoint whose certificate says `role/certified`, and which says that it is `name`.
    func endpoint(
        _ name: String, role: PeerIdentity.Role = .node, certified: String? = nil, says other: ClusterID? = nil
    ) throws -> LinkEndpoint {
        let key = try PrivateKey.generate()
        let certificate = try authority.issue(
            try PeerIdentity(cluster: clusterName, role: role, name: certified ?? name), publicKey: try key.publicKey(),
            addresses: ["127.0.0.1"], at: BootClock.wallTime())
        let contexts = try LinkContexts(
            try TLSIdentity(certificate: certificate, key: key, authority: authority.certificate))
        return LinkEndpoint(
            cluster: other ?? cluster, clusterName: clusterName, node: try NodeID(name), store: StoreID(7),
            generation: Generation(1), contexts: { contexts })
    }
}

/// Waits until `condition` holds, at most a minute.
func eventually(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<12_000 {
        if await condition() { return true }
        do { try await Task.sleep(for: .milliseconds(5)) } catch { return false }
    }
    return false
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A number that several tasks may change.
final class Tally: Sendable {
    private let number = Mutex(0)
    var value: Int { number.withLock { $0 } }
    func set(_ new: Int) { number.withLock { $0 = new } }
    func add(_ more: Int) { number.withLock { $0 += more } }
}
