package import Identity
package import Model

/// Why a datagram was not opened.
package enum DatagramRefusal: String, Error, Hashable, Sendable, CaseIterable {
    /// Too short or too long, or of another version.
    case malformed
    /// Sealed under a key that this keyring has not.
    case unknownKey
    /// Altered, sealed for another cluster, or under another key of the same number.
    case forged
}

/// Seals datagrams so that only members of this cluster can read or make them (rule S1).
package protocol DatagramSealing: Sendable {
    /// Under the key in use, with a fresh nonce.
    func seal(_ plain: [UInt8]) throws -> [UInt8]
    func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8]
}

/// The cluster's keyring, bound to the cluster's id: what was sealed for another cluster does not open, even under the same key.
package struct GossipSeal: DatagramSealing {
    private let keyring: GossipKeyring
    private let context: [UInt8]

    package init(_ keyring: GossipKeyring, of cluster: ClusterID) {
        self.keyring = keyring
        context = Array("coxswain gossip \(cluster)".utf8)
    }

    package func seal(_ plain: [UInt8]) throws -> [UInt8] { try keyring.seal(plain, context: context) }

    package func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8] {
        guard (GossipKeyring.overhead...Limits.datagramBytes).contains(sealed.count) else { throw .malformed }
        do {
            return try keyring.open(sealed, context: context)
        } catch .unknownSealingKey {
            throw .unknownKey
        } catch {
            throw .forged
        }
    }
}
