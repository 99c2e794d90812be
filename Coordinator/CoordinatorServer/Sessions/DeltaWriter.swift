import Identity
import Model
import Synchronization
import Wire

/// Writes and signs each delta once, for all sessions that it goes out on.
final class DeltaWriter: Sendable {
    /// Those written last: watchers are seldom further apart.
    private static let kept = 256

    private let identity: TLSIdentity?
    private let cluster: ClusterID
    private let written = Mutex<[SignedDelta]>([])

    /// - Parameter identity: by whose key they are signed; nil: they are not.
    init(signingAs identity: TLSIdentity?, of cluster: ClusterID) {
        self.identity = identity
        self.cluster = cluster
    }

    /// The signer's certificate.
    var signer: [UInt8]? { identity?.certificate.der }

    func signed(_ delta: TopologyDelta) -> SignedDelta {
        // Whoever wants the same one waits for it: a thousand sessions send each change at the same moment.
        written.withLock { written in
            if let known = written.last(where: { $0.delta.to == delta.to && $0.delta.from == delta.from }) { return known }
            // Without a signature it cannot be handed on, and is good on this link all the same.
            let signed = SignedDelta(delta) { try? identity?.sign(delta: $0, of: cluster) }
            if written.count == Self.kept { written.removeFirst() }
            written.append(signed)
            return signed
        }
    }
}
