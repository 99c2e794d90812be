// Which cluster, where, and as whom: the file that `coxctl cluster init` writes.

import Access
import FoundationEssentials
import Identity
package import NIOSSL

package struct ClusterContext: Sendable {
    package let cluster: String
    package let clusterID: String
    /// Base addresses of the coordinators' API.
    package var endpoints: [String]
    package let tls: TLSConfiguration
    /// The operator's name, under which data tokens are asked for.
    package let principal: String
    /// An operator token, for the coordinators and nobody else.
    package let token: String?

    private struct Document: Decodable {
        let cluster: String
        let clusterID: String
        let endpoints: [String]
        let authority: String
        let certificate: String?
        let key: String?
        let operatorTokenFile: String?

        enum CodingKeys: String, CodingKey {
            case cluster, endpoints, authority, certificate, key
            case clusterID = "cluster_id"
            case operatorTokenFile = "operator_token_file"
        }
    }

    /// Who shows a token shows no certificate: as whom somebody acts is told in one way.
    ///
    /// - Parameters:
    ///   - path: of `context.json`; the paths in it are relative to it.
    ///   - tokenFile: holds an operator token, and goes before what the context names.
    /// - Throws: `ClientError.invalid` with what is missing or malformed, and what to do.
    package init(path: String, tokenFile: String? = nil) throws(ClientError) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let beside = { (name: String) in name.hasPrefix("/") ? name : folder + name }
        let text = try Self.text(path, "context")
        let document: Document
        do {
            let decoder = JSONDecoder()
            decoder.allowsJSON5 = true
            document = try decoder.decode(Document.self, from: Data(text.utf8))
        } catch { throw .invalid("context \(path): \(Self.reason(error))") }
        cluster = document.cluster
        clusterID = document.clusterID
        endpoints = document.endpoints
        let authorityText = try Self.text(beside(document.authority), "the context's authority")
        if let file = tokenFile ?? document.operatorTokenFile.map(beside) {
            let text = try Self.text(file, "operator token").split(whereSeparator: \.isWhitespace).joined()
            let subject: String
            do throws(TokenRefusal) { subject = try TokenText(text).claims().subject } catch {
                throw .invalid("operator token \(file): \(error.detail)")
            }
            let prefix = TokenForm.operatorPrefix
            principal = subject.hasPrefix(prefix) ? String(subject.dropFirst(prefix.count)) : subject
            token = text
            do { tls = try .trusting(Certificate(pem: authorityText)) } catch { throw .invalid("context \(path): \(error)") }
        } else if let certificate = document.certificate, let key = document.key {
            let certificateText = try Self.text(beside(certificate), "the context's certificate")
            let keyText = try Self.text(beside(key), "the context's key")
            do {
                let identity = try TLSIdentity(
                    certificate: Certificate(pem: certificateText), key: PrivateKey(pem: keyText),
                    authority: Certificate(pem: authorityText))
                tls = identity.httpsClient()
                principal = identity.identity.name
            } catch { throw .invalid("context \(path): \(error)") }
            token = nil
        } else {
            throw .invalid(
                "context \(path): names no certificate with its key, and no operator_token_file; "
                    + "give --operator-token-file, or set COXSWAIN_OPERATOR_TOKEN_FILE")
        }
    }

    private static func text(_ path: String, _ what: String) throws(ClientError) -> String {
        do throws(IdentityError) { return String(decoding: try SecretFile.read(path), as: UTF8.self) } catch {
            guard case .file(_, let reason) = error else { throw .invalid("\(what) \(path): \(error)") }
            let hint =
                what == "context" ? "\n  hint: give --context the context.json that coxctl cluster init wrote" : ""
            throw .invalid("\(what) \(path): \(reason)\(hint)")
        }
    }

    private static func reason(_ error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
        switch error {
        case DecodingError.keyNotFound(let key, _): return "\(key.stringValue) is missing"
        case DecodingError.valueNotFound(_, let context), DecodingError.typeMismatch(_, let context):
            return "\(place(context.codingPath)) has another type than it should"
        default: return "is not JSON"
        }
    }
}
