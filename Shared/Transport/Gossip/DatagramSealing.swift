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
