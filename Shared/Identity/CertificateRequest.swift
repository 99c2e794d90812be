// A request for a certificate (PKCS#10): made by a node for its own key, signed with that key.

import COpenSSL
import Model

package struct CertificateRequest: Hashable, Sendable {
    package let pem: String

    /// What a request says, after its signature was found to be by the key in it.
    package struct Contents: Hashable, Sendable {
        package let identity: PeerIdentity
        /// Host names and addresses that the node asks to have in its certificate.
        package let addresses: [String]
        /// Subject public key info, DER.
        package let publicKey: [UInt8]
    }

    package init(pem: String) { self.pem = pem }

    /// Makes a request for `key`, naming `identity` and the addresses at which others will reach it.
    package init(for identity: PeerIdentity, addresses: [String], key: PrivateKey) throws(IdentityError) {
        let request = try Owned(X509_REQ_new(), "making a request") { X509_REQ_free($0) }
        try Extensions.name(X509_REQ_get_subject_name(request.pointer), identity.name)
        let extensions = try Owned(OPENSSL_sk_new_null(), "making a request") { stack in
            while let entry = OPENSSL_sk_pop(stack) { X509_EXTENSION_free(OpaquePointer(entry)) }
            OPENSSL_sk_free(stack)
        }
        let names = try Extensions.make(
            NID_subject_alt_name, try Extensions.subjectNames(identity, addresses), issuer: nil, subject: nil)
        guard OPENSSL_sk_push(extensions.pointer, UnsafeRawPointer(names)) > 0 else {
            X509_EXTENSION_free(names)
            throw Libcrypto.failure("making a request")
        }
        try Libcrypto.require(X509_REQ_add_extensions(request.pointer, extensions.pointer), "making a request")
        try key.withHandle { (handle) throws(IdentityError) in
            try Libcrypto.require(X509_REQ_set_pubkey(request.pointer, handle), "making a request")
            guard X509_REQ_sign(request.pointer, handle, key.algorithm == .es256 ? EVP_sha256() : nil) > 0 else {
                throw Libcrypto.failure("signing a request")
            }
        }
        let bytes = try Libcrypto.written("writing a request") { PEM_write_bio_X509_REQ($0, request.pointer) }
        pem = String(decoding: bytes, as: UTF8.self)
    }

    /// Checks the proof of possession and reads the request.
    /// - Throws: `malformed`, `possessionNotProved`, `noSingleIdentity`, `notAnIdentity`.
    package func verified() throws(IdentityError) -> Contents {
        let handle = try Libcrypto.parsed(Array(pem.utf8), as: "certificate request") {
            PEM_read_bio_X509_REQ($0, nil, nil, nil)
        }
        let request = try Owned(handle, "reading a request") { X509_REQ_free($0) }
        guard let key = X509_REQ_get0_pubkey(request.pointer), X509_REQ_verify(request.pointer, key) == 1 else {
            ERR_clear_error()
            throw .possessionNotProved
        }
        guard PrivateKey.algorithm(of: key) != nil else { throw .malformed("certificate request: neither P-256 nor Ed25519") }
        let names = try subjectNames(of: request.pointer)
        return Contents(
            identity: try names.identity(), addresses: names.addresses,
            publicKey: try Libcrypto.written("writing a public key") { i2d_PUBKEY_bio($0, key) })
    }

    private func subjectNames(of request: OpaquePointer) throws(IdentityError) -> SubjectNames {
        guard let extensions = X509_REQ_get_extensions(request) else { return SubjectNames() }
        defer {
            while let entry = OPENSSL_sk_pop(extensions) { X509_EXTENSION_free(OpaquePointer(entry)) }
            OPENSSL_sk_free(extensions)
        }
        var critical: Int32 = 0
        guard let names = X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, nil) else {
            guard critical == -1 else { throw .malformed("certificate request: subject alternative names") }
            return SubjectNames()
        }
        return SubjectNames(consuming: OpaquePointer(names))
    }
}
