import COpenSSL
package import Model

/// The certificate of a coordinator of this cluster, by which what it has signed is checked, whoever hands it on (rule E2).
package struct SignerCertificate: Sendable {
    private let key: PublicKey
    private let cluster: ClusterID

    /// - Parameters:
    ///   - der: a certificate that anybody may have given.
    ///   - clusterName: the cluster that it has to be of, as certificates name it.
    /// - Throws: `malformed`, or `untrusted` unless `authority` signed it, it is valid at `now`, and it names a coordinator of the cluster.
    package init(
        der: [UInt8], by authority: Certificate, clusterName: String, cluster: ClusterID, at now: WallTime
    ) throws(IdentityError) {
        let certificate = try Certificate(der: der)
        try certificate.verify(against: authority, at: now)
        let identity = try certificate.identity()
        guard identity.role == .coordinator, identity.cluster == clusterName else {
            throw .untrusted("\(identity) is no coordinator of \(clusterName)")
        }
        key = try certificate.publicKey()
        self.cluster = cluster
    }

    /// Whether the coordinator has signed this delta, as it was written.
    package func hasSigned(delta bytes: [UInt8], with signature: [UInt8]) -> Bool {
        key.isValid(signature, for: Self.statement(bytes, of: cluster))
    }

    /// What is signed: with what it is, and of which cluster, so that no other signature of the same key is taken for one of these.
    static func statement(_ bytes: [UInt8], of cluster: ClusterID) -> [UInt8] {
        Array("coxswain topology delta\0\(cluster.text)\0".utf8) + bytes
    }
}

extension Certificate {
    /// - Throws: `malformed` where it is of another kind than our members' keys.
    func publicKey() throws(IdentityError) -> PublicKey {
        let handle = try handle()
        guard let algorithm = X509_get0_pubkey(handle.pointer).flatMap({ PrivateKey.algorithm(of: $0) }) else {
            throw .malformed("certificate: its key is neither P-256 nor Ed25519")
        }
        return try PublicKey(spki: try publicKeyInfo(), algorithm: algorithm)
    }
}
