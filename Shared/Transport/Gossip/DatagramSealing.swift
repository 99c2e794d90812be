package import Identity
package import Model
import Synchronization

/// Why a datagram was not opened.
package enum DatagramRefusal: String, Error, Hashable, Sendable, CaseIterable {
    /// Too short or too long, or of another version.
    case malformed
    /// Sealed under a key that this keyring has not.
    case unknownKey
    /// Altered, sealed for another cluster, or under another key of the same number.
    case forged
    /// It came before, or is so old that nobody remembers.
    case replayed
}

/// Seals datagrams so that only members of this cluster can read or make them (rule S1).
package protocol DatagramSealing: Sendable {
    /// Under the key in use, with a fresh nonce.
    func seal(_ plain: [UInt8]) throws -> [UInt8]
    func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8]
}

/// The cluster's keyring, bound to the cluster's id: what was sealed for another cluster does not open, even under the same key.
///
/// The nonce is the number of this process, drawn at its first datagram (8 bytes), and the number of the datagram (4). So none comes
/// twice under one key, and whoever receives can tell what it has had before.
package final class GossipSeal: DatagramSealing {
    private struct State {
        var keyring: GossipKeyring
        var sender: [UInt8] = []
        /// Of the next datagram.
        var number: UInt32 = 0
        var replays = ReplayGuard()
    }

    private let state: Mutex<State>
    private let context: [UInt8]

    package convenience init(_ keyring: GossipKeyring, of cluster: ClusterID) {
        self.init(keyring, of: cluster, sender: [], next: 0)
    }

    /// - Parameters:
    ///   - sender: the number of this process; drawn, if it is empty.
    ///   - next: the number of the next datagram.
    init(_ keyring: GossipKeyring, of cluster: ClusterID, sender: [UInt8], next: UInt32) {
        state = Mutex(State(keyring: keyring, sender: sender, number: next))
        context = Array("coxswain gossip \(cluster)".utf8)
    }

    package var keyring: GossipKeyring { state.withLock { $0.keyring } }

    /// In force from the next datagram on.
    package func use(_ keyring: GossipKeyring) { state.withLock { $0.keyring = keyring } }

    package func seal(_ plain: [UInt8]) throws -> [UInt8] {
        let (keyring, nonce) = try state.withLock { state in
            if state.sender.isEmpty || state.number == .max {
                state.sender = try SecureRandom.bytes(8)
                state.number = 0
            }
            defer { state.number += 1 }
            return (state.keyring, state.sender + (0..<4).map { UInt8(truncatingIfNeeded: state.number >> (24 - 8 * $0)) })
        }
        return try keyring.seal(plain, context: context, nonce: nonce)
    }

    package func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8] {
        guard (GossipKeyring.overhead...Limits.datagramBytes).contains(sealed.count) else { throw .malformed }
        let plain: [UInt8]
        do {
            plain = try keyring.open(sealed, context: context)
        } catch .unknownSealingKey {
            throw .unknownKey
        } catch {
            throw .forged
        }
        let sender = sealed[1..<9].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let number = sealed[9..<13].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard state.withLock({ $0.replays.admit(number, of: sender) }) else { throw .replayed }
        return plain
    }
}
