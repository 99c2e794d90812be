import Identity
import Model

/// What the steps of a rotation make of a ring; a member takes each from the cluster's record.
extension GossipKeyring {
    func installing(_ key: [UInt8], as number: UInt8) throws -> GossipKeyring {
        try GossipKeyring(keys: bytes.merging([number: key]) { $1 }, primary: primary)
    }

    func using(_ number: UInt8) throws -> GossipKeyring { try GossipKeyring(keys: bytes, primary: number) }

    func removing(_ number: UInt8) throws -> GossipKeyring {
        try GossipKeyring(keys: bytes.filter { $0.key != number }, primary: primary)
    }

    private var bytes: [UInt8: [UInt8]] { Dictionary(uniqueKeysWithValues: listed.map { ($0.number, $0.secret.bytes) }) }
}
