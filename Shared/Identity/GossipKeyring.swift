// The keys that seal gossip. Several may open, one seals: that is how a key is exchanged while members run.

import COpenSSL
package import FoundationEssentials

/// AES-256-GCM keys by id. A sealed message is `key id (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`.
///
/// Nonces are random: with 96 bits, a key may seal 2^32 messages before a repetition is worth a thought (NIST SP 800-38D §8.3),
/// which is years of gossip of a hundred members.
package struct GossipKeyring: Hashable, Sendable {
    /// Bytes that sealing adds.
    package static let overhead = 1 + 12 + 16

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

    /// Seals `message`, bound to `context` (the cluster's id): opened under another context it is refused.
    package func seal(_ message: [UInt8], context: [UInt8]) throws(IdentityError) -> [UInt8] {
        guard let key = keys[primary] else { throw .unknownSealingKey(primary) }
        let nonce = try SecureRandom.bytes(12)
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
