// A certificate as a value: its bytes, read on demand by libcrypto.

import COpenSSL
package import Model
package import NIOSSL

package struct Certificate: Hashable, Sendable {
    package let der: [UInt8]

    /// - Throws: `malformed` unless `der` is one certificate with nothing behind it.
    package init(der: [UInt8]) throws(IdentityError) {
        self.der = der
        _ = try Self.handle(der)
    }

    /// Reads the first certificate of `pem`.
    package init(pem: String) throws(IdentityError) {
        let handle = try Owned(
            try Libcrypto.parsed(Array(pem.utf8), as: "certificate") { PEM_read_bio_X509($0, nil, nil, nil) }, "reading"
        ) { X509_free($0) }
        try self.init(handle: handle.pointer)
    }

    /// Copies what `handle` holds.
    init(handle: OpaquePointer) throws(IdentityError) {
        der = try Libcrypto.written("writing a certificate") { i2d_X509_bio($0, handle) }
    }

    package func pem() throws(IdentityError) -> String {
        let handle = try handle()
        let bytes = try Libcrypto.written("writing a certificate") { PEM_write_bio_X509($0, handle.pointer) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Who the certificate names: its one URI name, never its common name (rule S1).
    /// - Throws: `noSingleIdentity`, `notAnIdentity`; `untrusted` for a certificate of an authority.
    package func identity() throws(IdentityError) -> PeerIdentity {
        let handle = try handle()
        guard X509_check_ca(handle.pointer) == 0 else { throw .untrusted("an authority's certificate is nobody's identity") }
        return try names(of: handle.pointer).identity()
    }

    /// Host names and addresses that the certificate carries for HTTP clients.
    package func addresses() throws(IdentityError) -> [String] {
        let handle = try handle()
        return try names(of: handle.pointer).addresses
    }

    /// SHA-256 of the subject public key info, in hexadecimal: what a join token pins.
    package func pin() throws(IdentityError) -> String { Hex.encode(Digest.sha256(try publicKeyInfo())) }

    /// The subject public key info, DER.
    func publicKeyInfo() throws(IdentityError) -> [UInt8] {
        let handle = try handle()
        return try Libcrypto.written("writing a public key") { i2d_PUBKEY_bio($0, X509_get0_pubkey(handle.pointer)) }
    }

    /// From when and until when it is valid.
    package func validity() throws(IdentityError) -> (from: WallTime, until: WallTime) {
        let handle = try handle()
        return (try Self.time(X509_get0_notBefore(handle.pointer)), try Self.time(X509_get0_notAfter(handle.pointer)))
    }

    /// Whether `authority` signed it and it is valid at `now`.
    /// - Throws: `untrusted`, with libcrypto's reason.
    package func verify(against authority: Certificate, at now: WallTime) throws(IdentityError) {
        let handle = try handle()
        let root = try authority.handle()
        let store = try Owned(X509_STORE_new(), "verifying") { X509_STORE_free($0) }
        try Libcrypto.require(X509_STORE_add_cert(store.pointer, root.pointer), "verifying")
        let context = try Owned(X509_STORE_CTX_new(), "verifying") { X509_STORE_CTX_free($0) }
        try Libcrypto.require(X509_STORE_CTX_init(context.pointer, store.pointer, handle.pointer, nil), "verifying")
        X509_STORE_CTX_set_time(context.pointer, 0, Int(now.seconds))
        guard X509_verify_cert(context.pointer) == 1 else {
            let code = X509_STORE_CTX_get_error(context.pointer)
            ERR_clear_error()
            throw .untrusted(X509_verify_cert_error_string(Int(code)).map { String(cString: $0) } ?? "error \(code)")
        }
    }

    /// For TLS.
    package func forTLS() throws(IdentityError) -> NIOSSLCertificate {
        do {
            return try NIOSSLCertificate(bytes: der, format: .der)
        } catch {
            throw .malformed("certificate: \(error)")
        }
    }

    func handle() throws(IdentityError) -> Owned { try Self.handle(der) }

    private static func handle(_ der: [UInt8]) throws(IdentityError) -> Owned {
        let handle = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var cursor = buffer.baseAddress
            guard let handle = d2i_X509(nil, &cursor, buffer.count) else { return nil }
            guard cursor == buffer.baseAddress.map({ $0 + buffer.count }) else {
                X509_free(handle)
                return nil
            }
            return handle
        }
        guard let handle else {
            ERR_clear_error()
            throw .malformed("certificate")
        }
        return try Owned(handle, "reading a certificate") { X509_free($0) }
    }

    private func names(of handle: OpaquePointer) throws(IdentityError) -> SubjectNames {
        var critical: Int32 = 0
        guard let names = X509_get_ext_d2i(handle, NID_subject_alt_name, &critical, nil) else {
            ERR_clear_error()
            // -1: there is none. Anything else: several, or one that cannot be read.
            guard critical == -1 else { throw .malformed("certificate: subject alternative names") }
            return SubjectNames()
        }
        return SubjectNames(consuming: OpaquePointer(names))
    }

    private static func time(_ value: UnsafePointer<ASN1_TIME>?) throws(IdentityError) -> WallTime {
        let epoch = try OwnedTime(seconds: 0)
        var days: Int32 = 0
        var seconds: Int32 = 0
        try Libcrypto.require(ASN1_TIME_diff(&days, &seconds, epoch.pointer, value), "reading a time")
        return WallTime(milliseconds: (Int64(days) * 86_400 + Int64(seconds)) * 1_000)
    }
}

/// Owns one `ASN1_TIME`.
struct OwnedTime: ~Copyable {
    let pointer: UnsafeMutablePointer<ASN1_TIME>

    init(seconds: Int64) throws(IdentityError) {
        guard let pointer = ASN1_TIME_set(nil, time_t(seconds)) else { throw Libcrypto.failure("making a time") }
        self.pointer = pointer
    }

    deinit { ASN1_TIME_free(pointer) }
}
