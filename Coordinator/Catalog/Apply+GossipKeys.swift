// The cluster's gossip keys, and the exchange of one: install, use, remove (see `GossipRotation.Step`). Who holds what is no part of the
// state: the leader sees it in the members' reports, and commits that a step is done when all who live have done it. A key's bytes come
// with the command that brings it: applying draws nothing.

import Model

extension Transaction {
    /// Makes a ring the record: the one that `cluster init` wrote for every member.
    /// - Throws: `keyExists` where there is a record, `invalidValue` for what is no ring.
    mutating func seedGossipKeys(_ keys: [GossipKey], primary: UInt8) throws(CatalogRejection) -> CommandPayload {
        guard base.gossipKeys == nil else { throw CatalogRejection(.keyExists, "the cluster's gossip keys are known") }
        let dated = keys.map { GossipKey(number: $0.number, secret: $0.secret, createdAt: now) }
        guard let ring = GossipKeys(keys: dated, primary: primary, version: revision, rotation: nil) else {
            throw CatalogRejection(.invalidValue, "\(keys.count) keys with the primary \(primary) are no ring", field: "keys")
        }
        append(.gossipKeys(ring))
        return .version(index)
    }

    /// Begins to exchange all keys for a new one: it is installed.
    /// - Throws: `gossipKeysUnknown`, `rotationUnderWay`, `keyExists`, `limitReached`, `invalidValue`.
    mutating func rotateGossipKey(to secret: GossipSecret) throws(CatalogRejection) -> CommandPayload {
        let ring = try requireGossipKeys()
        if let rotation = ring.rotation {
            throw CatalogRejection(
                .rotationUnderWay, "the rotation to \(rotation.key) is at its step '\(rotation.step.rawValue)'")
        }
        guard ring.key(secret.id) == nil else { throw CatalogRejection(.keyExists, "key \(secret.id) is in the ring") }
        guard ring.keys.count < GossipKeys.most else {
            throw CatalogRejection(.limitReached, "a ring has \(GossipKeys.most) keys at most")
        }
        let newest = GossipKey(number: nextNumber(in: ring), secret: secret, createdAt: now)
        let rotation = GossipRotation(key: secret.id, step: .install, beganAt: now, steppedAt: now)
        return try put(ring.keys + [newest], primary: ring.primary, rotation)
    }

    /// Every live member has done what the record asks of it: the next step, or the end.
    /// - Throws: `gossipKeysUnknown`, `gossipKeyNotFound`, `rotationMovedOn`.
    mutating func advanceGossipRotation(of key: GossipKeyID, past step: GossipRotation.Step) throws(CatalogRejection)
        -> CommandPayload
    {
        let ring = try requireGossipKeys()
        guard let newest = ring.key(key) else { throw unknown(key) }
        guard let rotation = ring.rotation, rotation.key == key, rotation.step == step else {
            throw CatalogRejection(.rotationMovedOn, "no rotation to \(key) is at its step '\(step.rawValue)'")
        }
        func moved(to step: GossipRotation.Step) -> GossipRotation {
            GossipRotation(key: key, step: step, beganAt: rotation.beganAt, steppedAt: now)
        }
        switch step {
        case .install: return try put(ring.keys, primary: newest.number, moved(to: .use))
        case .use: return try put([newest], primary: newest.number, moved(to: .remove))
        case .remove: return try put(ring.keys, primary: ring.primary, nil, version: ring.version)
        }
    }

    /// Takes the new key back, which opens at some and seals at nobody.
    /// - Throws: `gossipKeysUnknown`, `gossipKeyNotFound`, `rotationMovedOn`, and `gossipKeyInUse` once it may seal.
    mutating func cancelGossipRotation(of key: GossipKeyID) throws(CatalogRejection) -> CommandPayload {
        let ring = try requireGossipKeys()
        guard let newest = ring.key(key) else { throw unknown(key) }
        guard newest.number != ring.primary else {
            throw CatalogRejection(.gossipKeyInUse, "key \(key) seals already")
        }
        guard let rotation = ring.rotation, rotation.key == key else {
            throw CatalogRejection(.rotationMovedOn, "there is no rotation to \(key)")
        }
        return try put(ring.keys.filter { $0.id != key }, primary: ring.primary, nil)
    }

    // MARK: - What they share

    private func requireGossipKeys() throws(CatalogRejection) -> GossipKeys {
        guard let ring = base.gossipKeys else {
            throw CatalogRejection(.gossipKeysUnknown, "the cluster's gossip keys are not committed yet")
        }
        return ring
    }

    private func unknown(_ key: GossipKeyID) -> CatalogRejection {
        CatalogRejection(.gossipKeyNotFound, "there is no gossip key \(key)", field: "key_id")
    }

    /// The one after the highest; from the lowest again when those are used up.
    private func nextNumber(in ring: GossipKeys) -> UInt8 {
        let taken = Set(ring.keys.map(\.number))
        let highest = taken.max() ?? 0
        if highest < .max { return highest + 1 }
        return (1...UInt8.max).first { !taken.contains($0) } ?? 1
    }

    /// - Parameter version: of the ring, where only its rotation changes.
    private mutating func put(
        _ keys: [GossipKey], primary: UInt8, _ rotation: GossipRotation?, version: Revision? = nil
    ) throws(CatalogRejection) -> CommandPayload {
        guard let ring = GossipKeys(keys: keys, primary: primary, version: version ?? revision, rotation: rotation) else {
            throw CatalogRejection(.invalidValue, "the ring would be none", field: "keys")
        }
        append(.gossipKeys(ring))
        return .version(index)
    }
}
