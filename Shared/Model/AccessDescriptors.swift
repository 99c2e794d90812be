// What agents need to judge a token: keys, revocations, policies.

package enum SignatureAlgorithm: String, Hashable, Sendable, CaseIterable {
    case es256 = "ES256"
    case edDSA = "EdDSA"
}

/// The public half of a key that signs tokens.
package struct SigningKey: Hashable, Sendable {
    /// The `kid` of tokens signed with it.
    package let id: String
    package let algorithm: SignatureAlgorithm
    /// Subject public key info, DER.
    package let publicKey: [UInt8]
    package let createdAt: WallTime

    package init(id: String, algorithm: SignatureAlgorithm, publicKey: [UInt8], createdAt: WallTime) {
        self.id = id
        self.algorithm = algorithm
        self.publicKey = publicKey
        self.createdAt = createdAt
    }
}

/// A token that is refused although its signature is good; forgotten after it would have expired anyway.
package struct RevokedToken: Hashable, Sendable {
    package let id: String
    package let expiresAt: WallTime

    package init(id: String, expiresAt: WallTime) {
        self.id = id
        self.expiresAt = expiresAt
    }
}

package enum TableAction: String, Hashable, Comparable, Sendable, CaseIterable {
    case read, write, admin
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What one principal may do with one table.
package struct AccessPolicy: Hashable, Sendable {
    package enum Effect: String, Hashable, Sendable, CaseIterable { case allow, deny }
    package let table: TableID
    package let principal: Principal
    /// Sorted.
    package var actions: [TableAction]
    package var effect: Effect
    /// The Raft index of its last change.
    package var version: UInt64

    package init(table: TableID, principal: Principal, actions: [TableAction], effect: Effect, version: UInt64) {
        self.table = table
        self.principal = principal
        self.actions = actions.sorted()
        self.effect = effect
        self.version = version
    }
}

/// To whom a configuration entry applies; the narrower one wins.
package enum ConfigurationScope: Hashable, Comparable, Sendable, CustomStringConvertible {
    case global
    case zone(ZoneName)
    case node(NodeID)

    package var description: String {
        switch self {
        case .global: "global"
        case .zone(let zone): "zones/\(zone)"
        case .node(let node): "nodes/\(node)"
        }
    }

    package static func < (a: Self, b: Self) -> Bool { a.description < b.description }
}

/// One configuration value: a JSON text under a key.
package struct ConfigurationEntry: Hashable, Sendable {
    package let scope: ConfigurationScope
    package let key: String
    package var value: String
    /// The Raft index of its last change: what `If-Match` compares.
    package var version: UInt64

    package init(scope: ConfigurationScope, key: String, value: String, version: UInt64) {
        self.scope = scope
        self.key = key
        self.value = value
        self.version = version
    }

    /// What it takes, for the bound on all of them together.
    package var bytes: Int { key.utf8.count + value.utf8.count }
}
