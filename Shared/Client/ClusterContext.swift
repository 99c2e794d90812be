// Which cluster, where, and as whom: the file that `coxctl cluster init` writes.

import FoundationEssentials
import Identity
package import NIOSSL

package struct ClusterContext: Sendable {
    package let cluster: String
    package let clusterID: String
    /// Base addresses of the coordinators' API.
    package var endpoints: [String]
    package let tls: TLSConfiguration
    /// The name in the certificate, under which tokens are asked for.
    package let principal: String

    private struct Document: Decodable {
        let cluster: String
        let clusterID: String
        let endpoints: [String]
        let authority: String
        let certificate: String
        let key: String

        enum CodingKeys: String, CodingKey {
            case cluster, endpoints, authority, certificate, key
            case clusterID = "cluster_id"
        }
    }

    /// - Parameter path: of `context.json`; the paths in it are relative to it.
    /// - Throws: `ClientError.invalid` with what is missing or malformed.
    package init(path: String) throws(ClientError) {
        do {
            let decoder = JSONDecoder()
            decoder.allowsJSON5 = true
            let document = try decoder.decode(Document.self, from: try Data(contentsOf: URL(filePath: path)))
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
            func text(_ name: String) throws -> String {
                let file = name.hasPrefix("/") ? name : folder + name
                return String(decoding: try SecretFile.read(file), as: UTF8.self)
            }
            let identity = try TLSIdentity(
                certificate: Certificate(pem: try text(document.certificate)), key: PrivateKey(pem: try text(document.key)),
                authority: Certificate(pem: try text(document.authority)))
            cluster = document.cluster
            clusterID = document.clusterID
            endpoints = document.endpoints
            tls = identity.httpsClient()
            principal = identity.identity.name
        } catch {
            throw .invalid("context \(path): \(error)")
        }
    }
}
