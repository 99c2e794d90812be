// The keys that seal gossip, as the coordinators committed them: which there are, which one seals, and how far an exchange of them has
// come. A node that was away learns them here, by its session, before anybody could tell it by gossip.
//
// The bytes of a key are wrapped: whatever prints a value that contains them prints their name.

/// Names a key and tells nothing of it: eight bytes of a digest of it.
package struct GossipKeyID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt64

    package init(_ number: UInt64) { self.number = number }

    /// Sixteen lower-case hexadecimal digits.
    /// - Throws: `InvalidValue` for anything else.
    package init(_ text: String) throws(InvalidValue) {
        guard text.utf8.count == 16, text == text.lowercased(), let number = UInt64(text, radix: 16), text.first != "+" else {
            throw InvalidValue(field: "key_id", detail: "expected 16 hexadecimal digits")
        }
        self.number = number
    }

    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }

    package var description: String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// The bytes of a key under their name. No log, dump or message shows them.
package struct GossipSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// AES-256.
    package static let byteCount = 32

    package let id: GossipKeyID
    package let bytes: [UInt8]

    package init(id: GossipKeyID, bytes: [UInt8]) {
        self.id = id
        self.bytes = bytes
    }

    package var description: String { "key \(id)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

/// One key of the cluster's ring.
package struct GossipKey: Hashable, Sendable {
    /// What stands before everything that it seals. Given anew when all others are used up.
    package let number: UInt8
    package let secret: GossipSecret
    package let createdAt: WallTime

    package init(number: UInt8, secret: GossipSecret, createdAt: WallTime) {
        self.number = number
        self.secret = secret
        self.createdAt = createdAt
    }

    package var id: GossipKeyID { secret.id }
}

/// A key on its way to take the place of all others.
package struct GossipRotation: Hashable, Sendable {
    /// What every live member does before the next step. At no moment does anybody seal what another cannot open.
    package enum Step: String, Hashable, Sendable, CaseIterable {
        /// All hold the new key; the old one seals. Can move to: use, or be cancelled.
        case install
        /// The new key seals; what the old one sealed still opens. Can move to: remove.
        case use
        /// Only the new key is left. Can move to: the end.
        case remove
    }

    package let key: GossipKeyID
    package let step: Step
    package let beganAt: WallTime
    package let steppedAt: WallTime

    package init(key: GossipKeyID, step: Step, beganAt: WallTime, steppedAt: WallTime) {
        self.key = key
        self.step = step
        self.beganAt = beganAt
        self.steppedAt = steppedAt
    }
}

/// What a member holds, by name.
package struct HeldGossipKeys: Hashable, Sendable {
    /// Rising.
    package let ids: [GossipKeyID]
    /// The key with which it seals.
    package let primary: GossipKeyID

    package init(ids: [GossipKeyID], primary: GossipKeyID) {
        self.ids = ids.sorted()
        self.primary = primary
    }
}

/// The cluster's ring: the word of the coordinators, which every member follows.
package struct GossipKeys: Hashable, Sendable {
    /// Keys of one ring.
    package static let most = 8

    /// By rising numbers.
    package let keys: [GossipKey]
    /// The number of the key that seals.
    package let primary: UInt8
    /// Of the change that made the ring what it is: who holds a newer one does not go back.
    package let version: Revision
    package let rotation: GossipRotation?

    /// - Returns: nil where the ring is none: the primary is not in it, a number comes twice, or there are too many.
    package init?(keys: [GossipKey], primary: UInt8, version: Revision, rotation: GossipRotation?) {
        guard keys.contains(where: { $0.number == primary }), Set(keys.map(\.number)).count == keys.count,
            Set(keys.map(\.id)).count == keys.count, keys.count <= Self.most,
            keys.allSatisfy({ $0.secret.bytes.count == GossipSecret.byteCount })
        else { return nil }
        self.keys = keys.sorted { $0.number < $1.number }
        self.primary = primary
        self.version = version
        self.rotation = rotation
    }

    package var sealing: GossipKey? { keys.first { $0.number == primary } }

    package func key(_ id: GossipKeyID) -> GossipKey? { keys.first { $0.id == id } }

    /// What a member holds that has taken over this ring.
    package var held: HeldGossipKeys? { sealing.map { HeldGossipKeys(ids: keys.map(\.id), primary: $0.id) } }
}
