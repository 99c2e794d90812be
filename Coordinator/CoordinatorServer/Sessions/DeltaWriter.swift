import Identity
import Model
import Synchronization
import Wire

/// Writes and signs each delta once, for all sessions that it goes out on.
final class DeltaWriter: Sendable {
    /// Those written last: as many as watchers may be behind before they get the whole.
    private static let kept = 4_096

    private struct Written {
        /// By the revision that each leads to; and those in the order in which they were written. Looked up only.
        var byEnd: [Revision: SignedDelta] = [:]
        var ends: [Revision] = []
    }

    private let identity: TLSIdentity?
    private let cluster: ClusterID
    private let written = Mutex(Written())

    /// - Parameter identity: by whose key they are signed; nil: they are not.
    init(signingAs identity: TLSIdentity?, of cluster: ClusterID) {
        self.identity = identity
        self.cluster = cluster
    }

    /// The signer's certificate.
    var signer: [UInt8]? { identity?.certificate.der }

    func signed(_ delta: TopologyDelta) -> SignedDelta {
        if let known = written.withLock({ $0.byEnd[delta.to] }), known.delta.from == delta.from { return known }
        // Without a signature it cannot be handed on, and is good on this link all the same. Some may sign the same one at one moment:
        // better than that all wait for each.
        let signed = SignedDelta(delta) { try? identity?.sign(delta: $0, of: cluster) }
        written.withLock { written in
            guard written.byEnd.updateValue(signed, forKey: delta.to) == nil else { return }
            written.ends.append(delta.to)
            guard written.ends.count > Self.kept else { return }
            // A quarter at a time, so that shifting the array costs nothing per delta.
            for end in written.ends.prefix(Self.kept / 4) { written.byEnd[end] = nil }
            written.ends.removeFirst(Self.kept / 4)
        }
        return signed
    }
}
