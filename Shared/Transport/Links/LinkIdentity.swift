import Model
package import NIOSSL

/// Who a verified certificate says that its holder is: `spiffe://<cluster name>/{node|coordinator|operator}/<name>` (rule S1).
package struct LinkIdentity: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable, CaseIterable {
        case node, coordinator
        case person = "operator"
    }

    package let clusterName: String
    package let role: Role
    package let name: String

    package init(clusterName: String, role: Role, name: String) {
        self.clusterName = clusterName
        self.role = role
        self.name = name
    }

    /// Reads the one URI name; nil when there is none, more than one, or it has another form.
    package init?(_ certificate: NIOSSLCertificate) {
        let uris = certificate._subjectAlternativeNames().filter { $0.nameType == .uri }
        guard uris.count == 1, let uri = uris.first else { return nil }
        self.init(uri: String(decoding: uri.contents, as: UTF8.self))
    }

    package init?(uri: String) {
        guard uri.hasPrefix("spiffe://") else { return nil }
        let parts = uri.dropFirst("spiffe://".count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, !parts[2].isEmpty, let role = Role(rawValue: String(parts[1])) else {
            return nil
        }
        self.init(clusterName: String(parts[0]), role: role, name: String(parts[2]))
    }
}
