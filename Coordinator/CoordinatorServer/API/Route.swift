package import Access
import HTTPTypes
import Hummingbird
package import Model

/// Who may call a route. There is no default: a route that does not say so does not compile (rule S5).
package enum RouteAccess: Hashable, Sendable {
    case permission(Permission)
    /// The permission, shown by a certificate: what comes of it outlives any token, so that no token is enough. Otherwise who steals
    /// one for an hour could keep himself in for ever.
    case certified(Permission)
    /// What the body shows is the credential: a join token.
    case joinToken
    /// Public keys and nothing else.
    case everyone
}

/// Somebody whose certificate or token was verified.
package struct Caller: Hashable, Sendable {
    package enum Credential: Hashable, Sendable {
        case certificate
        /// Seconds since 1970.
        case token(expiresAt: Int64)
    }

    package let principal: Principal
    package let role: Role
    package let credential: Credential

    package init(principal: Principal, role: Role, by credential: Credential = .certificate) {
        self.principal = principal
        self.role = role
        self.credential = credential
    }
}

/// A request that was admitted, with its body read.
struct Call: Sendable {
    let method: HTTPRequest.Method
    /// As it was sent.
    let path: String
    /// What stands in the path in place of `{name}`, decoded.
    let parameters: [String: String]
    let query: [String: String]
    let headers: HTTPFields
    let body: [UInt8]
    let caller: Caller?

    func parameter(_ name: String) -> String { parameters[name] ?? "" }
}

/// One thing that the API offers.
struct Route: Sendable {
    let method: HTTPRequest.Method
    /// Segments; `{name}` stands for any text up to the segment's end or to the verb behind it (`{id}:split`).
    let pattern: [String]
    let access: RouteAccess
    /// Bytes of its body.
    let bodyLimit: Int
    /// Whether its handler looks at If-Match and If-None-Match.
    let takesPrecondition: Bool
    /// The query parameters that it takes. A change can always be tried.
    let query: [String]
    let handler: @Sendable (Call) async throws(Problem) -> Response

    /// - Parameter reads: the query parameters at which the handler looks.
    init(
        _ method: HTTPRequest.Method, _ pattern: String, _ access: RouteAccess, bodyLimit: Int = 64 * 1_024,
        takesPrecondition: Bool = false, reads: [String] = [],
        handler: @escaping @Sendable (Call) async throws(Problem) -> Response
    ) {
        self.method = method
        self.pattern = pattern.split(separator: "/").map(String.init)
        self.access = access
        self.bodyLimit = bodyLimit
        self.takesPrecondition = takesPrecondition
        query = reads + (method == .get ? [] : ["dry_run"])
        self.handler = handler
    }

    /// The parameters, if the segments fit the pattern.
    func match(_ segments: [String]) -> [String: String]? {
        guard segments.count == pattern.count else { return nil }
        var parameters: [String: String] = [:]
        for (part, segment) in zip(pattern, segments) {
            guard part.hasPrefix("{"), let end = part.firstIndex(of: "}") else {
                if part == segment { continue } else { return nil }
            }
            let verb = part[part.index(after: end)...]
            let name = String(part[part.index(after: part.startIndex)..<end])
            guard segment.hasSuffix(verb) else { return nil }
            let value = segment.dropLast(verb.count)
            // Without a verb in the pattern, a verb in the request is another route's.
            guard !value.isEmpty else { return nil }
            parameters[name] = String(value)
        }
        return parameters
    }

    /// More literal text first: `/nodes/join` before `/nodes/{id}`, `{id}:split` before `{id}`.
    var weight: Int { pattern.reduce(0) { $0 + ($1.hasPrefix("{") ? ($1.hasSuffix("}") ? 0 : 1) : 2) } }
}
