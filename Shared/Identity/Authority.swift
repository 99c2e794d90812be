// The cluster's own certificate authority: made by `cluster init`, it signs what members and operators present.

import COpenSSL
package import Model

package struct Authority: Sendable {
    package let certificate: Certificate
    private let key: PrivateKey

    /// How far in the past a certificate begins, for clocks that differ.
    static let clockSkewSeconds: Int64 = 5 * 60
    /// A leaf's life: short, because revocation lists are not read.
    package static let leafSeconds: Int64 = 7 * 86_400
    static let authoritySeconds: Int64 = 10 * 365 * 86_400

    /// - Throws: `malformed` unless `key` belongs to `certificate`.
    package init(certificate: Certificate, key: PrivateKey) throws(IdentityError) {
        let handle = try certificate.handle()
        guard try key.withHandle({ (key) throws(IdentityError) in X509_check_private_key(handle.pointer, key) }) == 1 else {
            ERR_clear_error()
            throw .malformed("authority: the key does not belong to the certificate")
        }
        self.certificate = certificate
        self.key = key
    }

    /// Makes a new authority with a P-256 key, for the cluster named `cluster`.
    package static func create(cluster: String, at now: WallTime) throws(IdentityError) -> Authority {
        let key = try PrivateKey.generate(.es256)
        let certificate = try sign(
            subject: "\(cluster) authority", publicKey: try key.publicKey(), issuer: nil, key: key, from: now,
            seconds: authoritySeconds,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"),
            ])
        return try Authority(certificate: certificate, key: key)
    }

    package func keyPEM() throws(IdentityError) -> String { try key.pem() }

    /// Signs a leaf for `identity`: one URI name, CA:false, and the addresses for HTTP clients.
    /// - Parameter publicKey: subject public key info, DER.
    package func issue(
        _ identity: PeerIdentity, publicKey: [UInt8], addresses: [String], at now: WallTime,
        seconds: Int64 = Authority.leafSeconds
    ) throws(IdentityError) -> Certificate {
        try Self.sign(
            subject: identity.name, publicKey: publicKey, issuer: certificate, key: key, from: now, seconds: seconds,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"), (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid"),
                (NID_subject_alt_name, try Extensions.subjectNames(identity, addresses)),
            ])
    }

    /// Signs what a request asks for, if it proves possession of its key and names exactly `identity`.
    package func issue(_ request: CertificateRequest, as identity: PeerIdentity, at now: WallTime) throws(IdentityError)
        -> Certificate
    {
        let contents = try request.verified()
        guard contents.identity == identity else { throw .untrusted("the request names \(contents.identity)") }
        return try issue(identity, publicKey: contents.publicKey, addresses: contents.addresses, at: now)
    }

    private static func sign(
        subject: String, publicKey: [UInt8], issuer: Certificate?, key: PrivateKey, from now: WallTime, seconds: Int64,
        extensions: [(kind: Int32, words: String)]
    ) throws(IdentityError) -> Certificate {
        let certificate = try Owned(X509_new(), "making a certificate") { X509_free($0) }
        let made = certificate.pointer
        try Libcrypto.require(X509_set_version(made, 2), "making a certificate")
        try serial(of: made)
        let start = try OwnedTime(seconds: now.seconds - clockSkewSeconds)
        let end = try OwnedTime(seconds: now.seconds + seconds)
        try Libcrypto.require(X509_set1_notBefore(made, start.pointer), "making a certificate")
        try Libcrypto.require(X509_set1_notAfter(made, end.pointer), "making a certificate")
        try Extensions.name(X509_get_subject_name(made), subject)
        let subjectKey = publicKey.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var cursor = buffer.baseAddress
            return d2i_PUBKEY(nil, &cursor, buffer.count)
        }
        let held = try Owned(subjectKey, "reading a public key") { EVP_PKEY_free($0) }
        try Libcrypto.require(X509_set_pubkey(made, held.pointer), "making a certificate")
        if let issuer {
            let parent = try issuer.handle()
            try Libcrypto.require(X509_set_issuer_name(made, X509_get_subject_name(parent.pointer)), "making a certificate")
            for entry in extensions { try Extensions.add(entry.kind, entry.words, to: made, issuer: parent.pointer) }
        } else {
            try Libcrypto.require(X509_set_issuer_name(made, X509_get_subject_name(made)), "making a certificate")
            for entry in extensions { try Extensions.add(entry.kind, entry.words, to: made, issuer: made) }
        }
        try key.withHandle { (handle) throws(IdentityError) in
            guard X509_sign(made, handle, EVP_sha256()) > 0 else { throw Libcrypto.failure("signing a certificate") }
        }
        return try Certificate(handle: made)
    }

    /// A random serial of 127 bits: positive, and never used twice.
    private static func serial(of certificate: OpaquePointer) throws(IdentityError) {
        var bytes = try SecureRandom.bytes(16)
        bytes[0] = bytes[0] & 0x7F | 0x40
        let number = try Owned(BN_bin2bn(bytes, 16, nil), "making a serial") { BN_free($0) }
        guard BN_to_ASN1_INTEGER(number.pointer, X509_get_serialNumber(certificate)) != nil else {
            throw Libcrypto.failure("making a serial")
        }
    }
}
