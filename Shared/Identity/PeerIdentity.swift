package import Model
package import NIOSSL

/// Who a member or an operator is: the one URI name of its certificate, `spiffe://<cluster>/<role>/<name>` (rule S1).
package struct PeerIdentity: Hashable, Sendable, CustomStringConvertible {
    package enum Role: String, Hashable, Sendable, CaseIterable {
        case node, coordinator, `operator`
    }

    /// The cluster's name.
    package let cluster: String
    package let role: Role
    package let name: String

    /// - Throws: `InvalidValue` unless both names have the form of host names: `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`.
    package init(cluster: String, role: Role, name: String) throws(InvalidValue) {
        try NameRule.host.check(cluster, field: "cluster")
        try NameRule.host.check(name, field: "\(role.rawValue) name")
        self.cluster = cluster
        self.role = role
        self.name = name
    }

    /// Reads the form that `uri` writes, and no other.
    package init(uri: String) throws(IdentityError) {
        let scheme = "spiffe://"
        guard uri.utf8.count <= 256, uri.hasPrefix(scheme) else { throw .notAnIdentity(uri) }
        let parts = uri.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let role = Role(rawValue: parts[1]) else { throw .notAnIdentity(uri) }
        do {
            try self.init(cluster: parts[0], role: role, name: parts[2])
        } catch {
            throw .notAnIdentity(uri)
        }
    }

    /// Reads a certificate that TLS has verified already.
    package init(of certificate: NIOSSLCertificate) throws(IdentityError) {
        let der: [UInt8]
        do {
            der = try certificate.toDERBytes()
        } catch {
            throw .malformed("certificate: \(error)")
        }
        self = try Certificate(der: der).identity()
    }

    package var uri: String { "spiffe://\(cluster)/\(role.rawValue)/\(name)" }
    package var description: String { uri }
}
