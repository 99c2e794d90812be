// The names in a certificate or a request: one URI that identifies, host names and addresses that only help HTTP clients.

import COpenSSL
import Glibc

/// A host name or an IP address that a certificate may carry beside its identity.
enum SubjectAddress {
    /// The words of libcrypto's configuration for one address: `IP:…` or `DNS:…`.
    static func configuration(_ address: String) throws(IdentityError) -> String {
        var storage = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, address, &storage) == 1 || inet_pton(AF_INET6, address, &storage) == 1 {
            return "IP:\(address)"
        }
        let allowed = address.utf8.allSatisfy {
            ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2D || $0 == 0x2E
        }
        guard (1...253).contains(address.utf8.count), allowed else { throw .badAddress(address) }
        return "DNS:\(address)"
    }
}

/// What the subject alternative names of one certificate or request say.
struct SubjectNames {
    var uris: [String] = []
    /// Host names and IP addresses, in order.
    var addresses: [String] = []

    /// Reads and frees `names`, a `GENERAL_NAMES`.
    init(consuming names: OpaquePointer) {
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<max(0, OPENSSL_sk_num(names)) {
            guard let entry = OPENSSL_sk_value(names, index) else { continue }
            let name = entry.assumingMemoryBound(to: GENERAL_NAME.self).pointee
            switch name.type {
            case GEN_URI: uris.append(Self.text(name.d.uniformResourceIdentifier))
            case GEN_DNS: addresses.append(Self.text(name.d.dNSName))
            case GEN_IPADD: if let address = Self.address(name.d.iPAddress) { addresses.append(address) }
            default: continue
            }
        }
    }

    init() {}

    /// The one identity. - Throws: `noSingleIdentity`, `notAnIdentity`.
    func identity() throws(IdentityError) -> PeerIdentity {
        guard uris.count == 1 else { throw .noSingleIdentity(found: uris.count) }
        return try PeerIdentity(uri: uris[0])
    }

    private static func bytes(_ string: UnsafeMutablePointer<ASN1_STRING>?) -> [UInt8] {
        guard let string, let data = ASN1_STRING_get0_data(string) else { return [] }
        return Array(UnsafeBufferPointer(start: data, count: Int(max(0, ASN1_STRING_length(string)))))
    }

    private static func text(_ string: UnsafeMutablePointer<ASN1_STRING>?) -> String {
        String(decoding: bytes(string), as: UTF8.self)
    }

    private static func address(_ string: UnsafeMutablePointer<ASN1_STRING>?) -> String? {
        let bytes = bytes(string)
        var text = [CChar](repeating: 0, count: 64)
        guard bytes.count == 4 || bytes.count == 16,
            inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil
        else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
