/// Why a key, a certificate, a signature or a sealed message was refused. Nothing was changed in any case.
package enum IdentityError: Error, Hashable, Sendable, CustomStringConvertible {
    /// libcrypto refused: what was asked of it, and its own words.
    case library(operation: String, reason: String)
    /// Bytes that are not what they should be: not PEM, not DER, not JSON, a key of another kind.
    case malformed(String)
    /// A certificate or request without any URI name, with more than one, or with one of another form.
    case noSingleIdentity(found: Int)
    case notAnIdentity(String)
    /// A certificate that the authority did not sign, or that is not valid now.
    case untrusted(String)
    /// A request whose signature is not by the key inside it.
    case possessionNotProved
    /// An address that is neither an IP address nor a host name.
    case badAddress(String)
    /// A sealed message that was changed, or that was sealed with a key that we do not hold.
    case unsealable
    case unknownSealingKey(UInt8)
    /// A file that could not be read or written.
    case file(path: String, reason: String)

    package var description: String {
        switch self {
        case .library(let operation, let reason): "\(operation) failed: \(reason)"
        case .malformed(let what): "malformed \(what)"
        case .noSingleIdentity(let found): "a certificate has exactly one URI name; this one has \(found)"
        case .notAnIdentity(let uri): "'\(String(uri.prefix(200)))' is not of the form spiffe://<cluster>/<role>/<name>"
        case .untrusted(let reason): "not trusted: \(reason)"
        case .possessionNotProved: "the request is not signed by the key in it"
        case .badAddress(let address): "'\(String(address.prefix(200)))' is neither an IP address nor a host name"
        case .unsealable: "the sealed message was changed, or is of another cluster"
        case .unknownSealingKey(let id): "no key with id \(id) in the keyring"
        case .file(let path, let reason): "\(path): \(reason)"
        }
    }
}
