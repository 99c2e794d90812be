// The public half of a token key, and the form of its signatures.

import COpenSSL
package import Model

/// A public key that verifies signatures of one algorithm, fixed when it was published.
///
/// `@unchecked Sendable` for the reason given at `PrivateKey`.
package final class PublicKey: @unchecked Sendable {
    package let algorithm: SignatureAlgorithm
    private let key: OpaquePointer

    /// - Parameter spki: subject public key info, DER, with nothing behind it.
    /// - Throws: `malformed` when it is not a key of exactly this algorithm.
    package init(spki: [UInt8], algorithm: SignatureAlgorithm) throws(IdentityError) {
        let parsed = spki.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var cursor = buffer.baseAddress
            guard let key = d2i_PUBKEY(nil, &cursor, buffer.count) else { return nil }
            guard cursor == buffer.baseAddress.map({ $0 + buffer.count }) else {
                EVP_PKEY_free(key)
                return nil
            }
            return key
        }
        guard let parsed else {
            ERR_clear_error()
            throw .malformed("public key")
        }
        guard PrivateKey.algorithm(of: parsed) == algorithm else {
            EVP_PKEY_free(parsed)
            throw .malformed("public key: not for \(algorithm.rawValue)")
        }
        self.key = parsed
        self.algorithm = algorithm
    }

    deinit { EVP_PKEY_free(key) }

    /// Whether `signature` (raw, 64 bytes) is this key's over `message`. Never throws: what cannot be checked is not valid.
    package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        let encoded = algorithm == .es256 ? ECDSASignature.der(fromRaw: signature) : signature
        guard let encoded, let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        let digest = algorithm == .es256 ? EVP_sha256() : nil
        guard EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, encoded, encoded.count, message, message.count) == 1
    }
}

/// libcrypto speaks DER, JWS speaks `r ‖ s` in 32 bytes each.
enum ECDSASignature {
    static func raw(fromDER der: [UInt8]) throws(IdentityError) -> [UInt8] {
        let signature = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var cursor = buffer.baseAddress
            return d2i_ECDSA_SIG(nil, &cursor, buffer.count)
        }
        let owned = try Owned(signature, "reading a signature") { ECDSA_SIG_free($0) }
        var raw = [UInt8](repeating: 0, count: 64)
        let written = raw.withUnsafeMutableBufferPointer { buffer -> Bool in
            guard let base = buffer.baseAddress else { return false }
            return BN_bn2binpad(ECDSA_SIG_get0_r(owned.pointer), base, 32) == 32
                && BN_bn2binpad(ECDSA_SIG_get0_s(owned.pointer), base + 32, 32) == 32
        }
        guard written else { throw Libcrypto.failure("reading a signature") }
        return raw
    }

    /// Nil unless `raw` has 64 bytes. Built by hand: two positive integers of minimal length in a sequence.
    static func der(fromRaw raw: [UInt8]) -> [UInt8]? {
        guard raw.count == 64 else { return nil }
        let body = integer(raw[0..<32]) + integer(raw[32..<64])
        return [0x30, UInt8(body.count)] + body
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.isEmpty || digits[0] >= 0x80 { digits.insert(0, at: 0) }
        return [0x02, UInt8(digits.count)] + digits
    }
}
