// The keys that seal gossip. Several may open, one seals: that is how a key is exchanged while members run. See `GossipRotation`.

import COpenSSL
package import FoundationEssentials
package import Model

/// AES-256-GCM keys by id. A sealed message is `key id (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`.
///
/// A nonce must never come twice under one key. Whoever counts its messages gives nonces of its own (see `GossipSeal`); random ones,
/// of 96 bits, are good for 2^32 messages (NIST SP 800-38D §8.3).
package struct GossipKeyring: Hashable, Sendable {
    /// Bytes that sealing adds.
    package static let overhead = 1 + nonceBytes + 16
    package static let nonceBytes = 12

    private let keys: [UInt8: [UInt8]]
    /// The id of the key that seals.
    package let primary: UInt8
    /// Of the record from which it was taken; `.none` of one that stands in no record yet.
    package let version: Revision

    /// - Throws: `malformed` unless every key has 32 bytes and `primary` is one of them.
    package init(keys: [UInt8: [UInt8]], primary: UInt8, version: Revision = .none) throws(IdentityError) {
        guard keys.values.allSatisfy({ $0.count == 32 }) else { throw .malformed("gossip keyring: a key has 32 bytes") }
        guard keys[primary] != nil else { throw .malformed("gossip keyring: no key has the id of the primary, \(primary)") }
        self.keys = keys
        self.primary = primary
        self.version = version
    }

    /// A keyring with one new key.
    package static func generate() throws(IdentityError) -> GossipKeyring {
        try GossipKeyring(keys: [1: try SecureRandom.bytes(32)], primary: 1)
    }

    // MARK: - The cluster's record

    /// The ring of the record.
    package init(_ record: GossipKeys) throws(IdentityError) {
        try self.init(
            keys: Dictionary(record.keys.map { ($0.number, $0.secret.bytes) }) { first, _ in first }, primary: record.primary,
            version: record.version)
    }

    /// A key's name: what a digest of it begins with.
    package static func id(of key: [UInt8]) -> GossipKeyID {
        let digest = Digest.sha256(Array("coxswain gossip key ".utf8) + key)
        return GossipKeyID(digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// A new key, which stands in no ring yet.
    package static func newKey() throws(IdentityError) -> GossipSecret {
        let bytes = try SecureRandom.bytes(GossipSecret.byteCount)
        return GossipSecret(id: id(of: bytes), bytes: bytes)
    }

    /// What is held, by name.
    package var held: HeldGossipKeys {
        HeldGossipKeys(ids: keys.values.map(Self.id), primary: Self.id(of: keys[primary] ?? []))
    }

    /// As a record would have it, by rising numbers. When each was made, nobody knows.
    package var listed: [GossipKey] {
        keys.sorted { $0.key < $1.key }.map { number, bytes in
            GossipKey(
                number: number, secret: GossipSecret(id: Self.id(of: bytes), bytes: bytes),
                createdAt: WallTime(milliseconds: 0))
        }
    }

    // MARK: - Sealing

    /// Seals `message`, bound to `context` (the cluster's id): opened under another context it is refused.
    /// - Parameter given: a nonce that this key has not had before; a random one, if nil.
    package func seal(_ message: [UInt8], context: [UInt8], nonce given: [UInt8]? = nil) throws(IdentityError) -> [UInt8] {
        guard let key = keys[primary] else { throw .unknownSealingKey(primary) }
        let nonce: [UInt8]
        if let given { nonce = given } else { nonce = try SecureRandom.bytes(Self.nonceBytes) }
        precondition(nonce.count == Self.nonceBytes, "a nonce has \(Self.nonceBytes) bytes, not \(nonce.count)")
        let cipher = try Owned(EVP_CIPHER_CTX_new(), "sealing") { EVP_CIPHER_CTX_free($0) }
        let state = cipher.pointer
        try Libcrypto.require(EVP_EncryptInit_ex(state, EVP_aes_256_gcm(), nil, key, nonce), "sealing")
        var length: Int32 = 0
        try Libcrypto.require(EVP_EncryptUpdate(state, nil, &length, context, Int32(context.count)), "sealing")
        var sealed = [primary] + nonce + [UInt8](repeating: 0, count: message.count + 16)
        let done = sealed.withUnsafeMutableBufferPointer { buffer -> Bool in
            guard let out = buffer.baseAddress.map({ $0 + 13 }) else { return false }
            return EVP_EncryptUpdate(state, out, &length, message, Int32(message.count)) == 1
                && EVP_EncryptFinal_ex(state, out + message.count, &length) == 1
                && EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, 16, out + message.count) == 1
        }
        guard done else { throw Libcrypto.failure("sealing") }
        return sealed
    }

    /// Opens what some member sealed with a key that we hold.
    /// - Throws: `unknownSealingKey`, `unsealable`. Nothing of the message is handed out then.
    package func open(_ sealed: [UInt8], context: [UInt8]) throws(IdentityError) -> [UInt8] {
        guard sealed.count >= Self.overhead, sealed.count <= 1 << 20 else { throw .unsealable }
        guard let key = keys[sealed[0]] else { throw .unknownSealingKey(sealed[0]) }
        let count = sealed.count - Self.overhead
        let nonce = Array(sealed[1..<13])
        let ciphertext = Array(sealed[13..<(13 + count)])
        var tag = Array(sealed[(13 + count)...])
        let cipher = try Owned(EVP_CIPHER_CTX_new(), "opening") { EVP_CIPHER_CTX_free($0) }
        let state = cipher.pointer
        try Libcrypto.require(EVP_DecryptInit_ex(state, EVP_aes_256_gcm(), nil, key, nonce), "opening")
        var length: Int32 = 0
        try Libcrypto.require(EVP_DecryptUpdate(state, nil, &length, context, Int32(context.count)), "opening")
        // One byte more than needed, so that an empty message has an address too.
        var message = [UInt8](repeating: 0, count: count + 1)
        guard EVP_DecryptUpdate(state, &message, &length, ciphertext, Int32(count)) == 1,
            EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, 16, &tag) == 1,
            message.withUnsafeMutableBufferPointer({ buffer in
                buffer.baseAddress.map { EVP_DecryptFinal_ex(state, $0 + count, &length) } ?? 0
            }) == 1
        else {
            ERR_clear_error()
            throw .unsealable
        }
        message.removeLast()
        return message
    }
}

extension GossipKeyring {
    private struct File: Codable {
        struct Key: Codable {
            var id: UInt8
            var key: Data
        }
        /// The record's, see `Revision`.
        struct Version: Codable {
            var history: UInt64
            var index: UInt64
        }
        var primary: UInt8
        var keys: [Key]
        var version: Version?
    }

    /// `{"primary": 1, "keys": [{"id": 1, "key": "<base64>"}]}`, and the record's version once there is a record.
    package init(json: Data) throws(IdentityError) {
        let file: File
        do {
            file = try JSONDecoder().decode(File.self, from: json)
        } catch {
            throw .malformed("gossip keyring: not the JSON of one")
        }
        guard Set(file.keys.map(\.id)).count == file.keys.count else { throw .malformed("gossip keyring: an id twice") }
        try self.init(
            keys: Dictionary(uniqueKeysWithValues: file.keys.map { ($0.id, Array($0.key)) }), primary: file.primary,
            version: file.version.map { Revision(history: $0.history, index: $0.index) } ?? .none)
    }

    package func json() throws(IdentityError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let listed = keys.sorted { $0.key < $1.key }.map { File.Key(id: $0.key, key: Data($0.value)) }
        do {
            let taken = version == .none ? nil : File.Version(history: version.history, index: version.index)
            return try encoder.encode(File(primary: primary, keys: listed, version: taken))
        } catch {
            throw .malformed("gossip keyring: \(error)")
        }
    }
}
