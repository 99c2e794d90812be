// What a process shows when it speaks TLS, and what it asks of others.

package import Model
import NIOCore
package import NIOSSL

/// A member's or an operator's certificate, its key, and the authority that it trusts.
package struct TLSIdentity: Sendable {
    package let certificate: Certificate
    package let authority: Certificate
    /// Who the certificate says we are.
    package let identity: PeerIdentity
    private let chain: [NIOSSLCertificateSource]
    private let key: NIOSSLPrivateKey
    private let signingKey: PrivateKey
    private let root: NIOSSLCertificate

    /// - Throws: `malformed`, or whatever makes `certificate` nobody's identity.
    package init(certificate: Certificate, key: PrivateKey, authority: Certificate) throws(IdentityError) {
        self.certificate = certificate
        self.authority = authority
        signingKey = key
        identity = try certificate.identity()
        root = try authority.forTLS()
        // The authority's certificate travels too, so that a joining node can compare it with the pin of its token.
        chain = [.certificate(try certificate.forTLS()), .certificate(root)]
        let pem = try key.pem()
        do {
            self.key = try NIOSSLPrivateKey(bytes: Array(pem.utf8), format: .pem)
        } catch {
            throw .malformed("private key: \(error)")
        }
    }

    /// Signs a topology delta, as it was written, so that it can be handed on; see `SignerCertificate`.
    package func sign(delta bytes: [UInt8], of cluster: ClusterID) throws(IdentityError) -> [UInt8] {
        try signingKey.sign(SignerCertificate.statement(bytes, of: cluster))
    }

    /// For links between members: TLS 1.3, both sides show a certificate of our authority. Addresses are not compared; the
    /// caller reads the peer's `PeerIdentity` after the handshake and compares that.
    package func linkServer() -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: chain, privateKey: .privateKey(key), trustRoots: .certificates([root]))
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateVerification = .noHostnameVerification
        return configuration
    }

    /// The other end of `linkServer`.
    package func linkClient() -> TLSConfiguration {
        var configuration = httpsClient()
        configuration.certificateVerification = .noHostnameVerification
        return configuration
    }

    /// For HTTPS: a client may show a certificate; one that our authority did not sign ends the handshake.
    package func httpsServer() -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
        configuration.trustRoots = .certificates([root])
        configuration.certificateVerification = .optionalVerification
        configuration.minimumTLSVersion = .tlsv12
        // Whoever has said that it closes need not wait for the other's word (RFC 8446 §6.1). NIOSSL does wait, and on a channel whose
        // peer may close its half it does not take that word either: each orderly end lasted as long as it may.
        configuration.shutdownTimeout = .milliseconds(200)
        return configuration
    }

    /// For HTTPS requests that show our certificate; the server's certificate must carry its address.
    package func httpsClient() -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([root])
        configuration.certificateChain = chain
        configuration.privateKey = .privateKey(key)
        configuration.minimumTLSVersion = .tlsv13
        return configuration
    }
}

extension TLSConfiguration {
    /// For HTTPS requests without a certificate of one's own: only `authority` is trusted.
    package static func trusting(_ authority: Certificate) throws(IdentityError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([try authority.forTLS()])
        configuration.minimumTLSVersion = .tlsv13
        return configuration
    }
}
