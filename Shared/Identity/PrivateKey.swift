// A private key as our certificates and tokens need it: P-256 or Ed25519, made here, kept as PKCS#8.

import COpenSSL
package import Model

/// A private key: of a member (P-256), of the authority (P-256), or of tokens (either).
///
/// `@unchecked Sendable`: the one stored reference is to a key that nobody changes after `init`, and libcrypto's use of a key
/// (reference counts, cached conversions) is safe from many threads at once.
package final class PrivateKey: @unchecked Sendable {
    package let algorithm: SignatureAlgorithm
    private let key: OpaquePointer

    /// Takes ownership of `key`.
    private init(owning key: OpaquePointer) throws(IdentityError) {
        guard let algorithm = Self.algorithm(of: key) else {
            EVP_PKEY_free(key)
            throw .malformed("private key: neither P-256 nor Ed25519")
        }
        self.key = key
        self.algorithm = algorithm
    }

    deinit { EVP_PKEY_free(key) }

    package static func generate(_ algorithm: SignatureAlgorithm = .es256) throws(IdentityError) -> PrivateKey {
        let name = algorithm == .es256 ? "EC" : "ED25519"
        let context = try Owned(EVP_PKEY_CTX_new_from_name(nil, name, nil), "making a key") { EVP_PKEY_CTX_free($0) }
        try Libcrypto.require(EVP_PKEY_keygen_init(context.pointer), "making a key")
        if algorithm == .es256 {
            try Libcrypto.require(EVP_PKEY_CTX_set_group_name(context.pointer, "P-256"), "choosing P-256")
        }
        var key: OpaquePointer?
        try Libcrypto.require(EVP_PKEY_generate(context.pointer, &key), "making a key")
        guard let key else { throw Libcrypto.failure("making a key") }
        return try PrivateKey(owning: key)
    }

    /// - Throws: `malformed` unless `pem` holds an unencrypted P-256 or Ed25519 key.
    package convenience init(pem: String) throws(IdentityError) {
        // An empty pass phrase rather than none: without it libcrypto would ask on the terminal.
        let key = try Libcrypto.parsed(Array(pem.utf8), as: "private key") { stream in
            PEM_read_bio_PrivateKey(stream, nil, { _, _, _, _ in 0 }, nil)
        }
        try self.init(owning: key)
    }

    /// PKCS#8, not encrypted: keep the file to its owner.
    package func pem() throws(IdentityError) -> String {
        let bytes = try Libcrypto.written("writing a private key") { stream in
            PEM_write_bio_PrivateKey(stream, key, nil, nil, 0, nil, nil)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Subject public key info, DER.
    package func publicKey() throws(IdentityError) -> [UInt8] {
        try Libcrypto.written("writing a public key") { i2d_PUBKEY_bio($0, key) }
    }

    /// Signs as JWS wants it: `r ‖ s` of 64 bytes for ES256, 64 bytes for EdDSA.
    package func sign(_ message: [UInt8]) throws(IdentityError) -> [UInt8] {
        let context = try Owned(EVP_MD_CTX_new(), "signing") { EVP_MD_CTX_free($0) }
        let digest = algorithm == .es256 ? EVP_sha256() : nil
        try Libcrypto.require(EVP_DigestSignInit(context.pointer, nil, digest, nil, key), "signing")
        var signature = [UInt8](repeating: 0, count: 128)
        var length = signature.count
        try Libcrypto.require(
            EVP_DigestSign(context.pointer, &signature, &length, message, message.count), "signing")
        signature.removeLast(signature.count - length)
        return algorithm == .es256 ? try ECDSASignature.raw(fromDER: signature) : signature
    }

    /// For the parts of this module that hand the key to libcrypto. The key outlives `body`.
    func withHandle<R>(_ body: (OpaquePointer) throws(IdentityError) -> R) throws(IdentityError) -> R { try body(key) }

    /// Which of our algorithms a libcrypto key serves, if any.
    static func algorithm(of key: OpaquePointer) -> SignatureAlgorithm? {
        if EVP_PKEY_is_a(key, "ED25519") == 1 { return .edDSA }
        guard EVP_PKEY_is_a(key, "EC") == 1 else { return nil }
        var group = [CChar](repeating: 0, count: 64)
        guard EVP_PKEY_get_group_name(key, &group, group.count, nil) == 1 else { return nil }
        return String(decoding: group.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) == "prime256v1"
            ? .es256 : nil
    }
}
