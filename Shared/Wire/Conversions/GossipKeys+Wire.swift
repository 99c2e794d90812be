package import FoundationEssentials
package import Model

extension Check {
    /// The bytes of a key, under the name that the sender gives it.
    package static func secret(_ id: UInt64, _ data: Data, _ field: String) throws(WireError) -> GossipSecret {
        let bytes = try bytes(data, field, atMost: GossipSecret.byteCount)
        guard bytes.count == GossipSecret.byteCount else {
            throw WireError(field, .invalid("\(bytes.count) bytes are no key"))
        }
        return GossipSecret(id: GossipKeyID(id), bytes: bytes)
    }

    package static func keyNumber(_ number: UInt32, _ field: String) throws(WireError) -> UInt8 {
        UInt8(try count(number, field, atMost: Int(UInt8.max)))
    }
}

extension GossipKey: WireCodable {
    package init(wire: ProtoGossipKey) throws(WireError) {
        self.init(
            number: try Check.keyNumber(wire.number, "GossipKey.number"),
            secret: try Check.secret(wire.id, wire.secret, "GossipKey.secret"),
            createdAt: try Check.wallTime(wire.createdAtMs, "GossipKey.created_at_ms"))
    }

    package var wire: ProtoGossipKey {
        var wire = ProtoGossipKey()
        wire.number = UInt32(number)
        wire.id = secret.id.number
        wire.secret = Data(secret.bytes)
        wire.createdAtMs = createdAt.milliseconds
        return wire
    }
}

extension GossipRotation.Step: WireEnumeration {
    package var wire: ProtoGossipRotationStep {
        switch self {
        case .install: .install
        case .use: .use
        case .remove: .remove
        }
    }
}

extension GossipRotation: WireCodable {
    package init(wire: ProtoGossipRotation) throws(WireError) {
        self.init(
            key: GossipKeyID(wire.key), step: try Step(wire: wire.step, "GossipRotation.step"),
            beganAt: try Check.wallTime(wire.beganAtMs, "GossipRotation.began_at_ms"),
            steppedAt: try Check.wallTime(wire.steppedAtMs, "GossipRotation.stepped_at_ms"))
    }

    package var wire: ProtoGossipRotation {
        var wire = ProtoGossipRotation()
        wire.key = key.number
        wire.step = step.wire
        wire.beganAtMs = beganAt.milliseconds
        wire.steppedAtMs = steppedAt.milliseconds
        return wire
    }
}

extension GossipKeys: WireCodable {
    package init(wire: ProtoGossipKeys) throws(WireError) {
        let keys = GossipKeys(
            keys: try Check.list(wire.keys, "GossipKeys.keys", atMost: GossipKeys.most, GossipKey.init(wire:)),
            primary: try Check.keyNumber(wire.primary, "GossipKeys.primary"), version: try Revision(wire: wire.version),
            rotation: wire.hasRotation ? try GossipRotation(wire: wire.rotation) : nil)
        self = try Check.present(keys, "GossipKeys.primary")
    }

    package var wire: ProtoGossipKeys {
        var wire = ProtoGossipKeys()
        wire.keys = keys.map(\.wire)
        wire.primary = UInt32(primary)
        wire.version = version.wire
        if let rotation { wire.rotation = rotation.wire }
        return wire
    }
}

extension HeldGossipKeys: WireCodable {
    package init(wire: ProtoHeldGossipKeys) throws(WireError) {
        self.init(
            ids: try Check.list(wire.ids, "HeldGossipKeys.ids", atMost: 256) { (id) throws(WireError) in GossipKeyID(id) },
            primary: GossipKeyID(wire.primary))
    }

    package var wire: ProtoHeldGossipKeys {
        var wire = ProtoHeldGossipKeys()
        wire.ids = ids.map(\.number)
        wire.primary = primary.number
        return wire
    }
}
