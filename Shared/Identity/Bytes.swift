// Small tools over bytes that must be right: digests, random bytes, comparison in constant time, hexadecimal.

import COpenSSL

package enum Digest {
    /// SHA-256, 32 bytes.
    package static func sha256(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let done = bytes.withContiguousStorageIfAvailable { SHA256($0.baseAddress, $0.count, &digest) != nil }
        if done == nil {
            let copy = Array(bytes)
            _ = SHA256(copy, copy.count, &digest)
        }
        return digest
    }
}

package enum SecureRandom {
    /// `count` bytes from libcrypto's generator, fit for keys and secrets.
    package static func bytes(_ count: Int) throws(IdentityError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard let length = Int32(exactly: count), RAND_bytes(&bytes, length) == 1 else {
            throw Libcrypto.failure("reading random bytes")
        }
        return bytes
    }

    /// A number for identifiers, such as a store's.
    package static func number() throws(IdentityError) -> UInt64 {
        try bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Whether the two are equal, in a time that depends on their lengths only.
package func equalInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

package enum Hex {
    /// Two lower-case digits for each byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}
