// The keys that seal gossip. Several may open, one seals: that is how a key is exchanged while members run.

import COpenSSL
package import FoundationEssentials

/// AES-256-GCM keys by id. A sealed message is `key id (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`.
///
/// A nonce must never come twice under one key. Whoever counts its messages gives nonces of its own (see `GossipSeal`); random ones,
/// of 96 bits, are good for 2^32 messages (NIST SP 800-38D §8.3).
package struct GossipKeyring: Hashable, Sendable {
    /// Bytes that sealing adds.
    package static let overhead = 1 + nonceBytes + 16
    package static let nonceBytes = 12
    /// Keys of one ring: two are held while they are exchanged; more means that somebody forgot to remove some.
    package static let mostKeys = 8

    private let keys: [UInt8: [UInt8]]
    /// The id of the key that seals.
    package let primary: UInt8

    /// - Throws: `malformed` unless every key has 32 bytes and `primary` is one of them.
    package init(keys: [UInt8: [UInt8]], primary: UInt8) throws(IdentityError) {
        guard keys.values.allSatisfy({ $0.count == 32 }) else { throw .malformed("gossip keyring: a key has 32 bytes") }
        guard keys[primary] != nil else { throw .malformed("gossip keyring: no key has the id of the primary, \(primary)") }
        self.keys = keys
        self.primary = primary
    }

    /// A keyring with one new key.
    package static func generate() throws(IdentityError) -> GossipKeyring {
        try GossipKeyring(keys: [1: try SecureRandom.bytes(32)], primary: 1)
    }

    // MARK: - Exchanging keys

    // A key is exchanged in three steps, each of which every member has taken before the next: it is installed, so that all can open
    // what it seals; it is used; and the old one is removed. At no moment does anybody seal what another cannot open.

    /// The ids of all keys, in order.
    package var ids: [UInt8] { keys.keys.sorted() }

    /// With one key more, which opens and does not seal yet.
    /// - Throws: `malformed` for a key of another length, an id that another key has, or a full ring. The same key again is no mistake.
    package func installing(_ key: [UInt8], as id: UInt8) throws(IdentityError) -> GossipKeyring {
        if let held = keys[id], held != key { throw .malformed("gossip keyring: another key has the id \(id)") }
        guard keys[id] != nil || keys.count < Self.mostKeys else {
            throw .malformed("gossip keyring: \(keys.count) keys are held, remove those that nobody uses")
        }
        var more = keys
        more[id] = key
        return try GossipKeyring(keys: more, primary: primary)
    }

    /// Sealing with another of its keys.
    /// - Throws: `unknownSealingKey`.
    package func using(_ id: UInt8) throws(IdentityError) -> GossipKeyring {
        guard keys[id] != nil else { throw .unknownSealingKey(id) }
        return try GossipKeyring(keys: keys, primary: id)
    }

    /// Without a key: what it sealed does not open any more. Who never had it is no mistake.
    /// - Throws: `malformed` for the key that seals.
    package func removing(_ id: UInt8) throws(IdentityError) -> GossipKeyring {
        guard id != primary else { throw .malformed("gossip keyring: key \(id) is in use, use another first") }
        return try GossipKeyring(keys: keys.filter { $0.key != id }, primary: primary)
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
        var primary: UInt8
        var keys: [Key]
    }

    /// `{"primary": 1, "keys": [{"id": 1, "key": "<base64>"}]}`.
    package init(json: Data) throws(IdentityError) {
        let file: File
        do {
            file = try JSONDecoder().decode(File.self, from: json)
        } catch {
            throw .malformed("gossip keyring: not the JSON of one")
        }
        guard Set(file.keys.map(\.id)).count == file.keys.count else { throw .malformed("gossip keyring: an id twice") }
        try self.init(
            keys: Dictionary(uniqueKeysWithValues: file.keys.map { ($0.id, Array($0.key)) }), primary: file.primary)
    }

    package func json() throws(IdentityError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let listed = keys.sorted { $0.key < $1.key }.map { File.Key(id: $0.key, key: Data($0.value)) }
        do {
            return try encoder.encode(File(primary: primary, keys: listed))
        } catch {
            throw .malformed("gossip keyring: \(error)")
        }
    }
}
