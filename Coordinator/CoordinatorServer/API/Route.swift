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
    /// As it was declared: `{name}` stands for any text up to the segment's end or to the verb behind it (`{id}:split`).
    let path: String
    private let segments: [Segment]
    let access: RouteAccess
    /// Bytes of its body.
    let bodyLimit: Int
    /// Whether its handler looks at If-Match and If-None-Match.
    let takesPrecondition: Bool
    /// The query parameters that it takes. A change can always be tried.
    let query: [String]
    let handler: @Sendable (Call) async throws(Problem) -> Response

    private enum Segment: Sendable {
        case literal(String)
        case parameter(String, verb: String)

        init(_ text: Substring) {
            guard text.hasPrefix("{"), let end = text.firstIndex(of: "}") else {
                self = .literal(String(text))
                return
            }
            self = .parameter(String(text[..<end].dropFirst()), verb: String(text[end...].dropFirst()))
        }

        /// Of more literal text.
        var weight: Int {
            switch self {
            case .literal: 2
            case .parameter(_, let verb): verb.isEmpty ? 0 : 1
            }
        }
    }

    /// - Parameter reads: the query parameters at which the handler looks.
    init(
        _ method: HTTPRequest.Method, _ pattern: String, _ access: RouteAccess, bodyLimit: Int = 64 * 1_024,
        takesPrecondition: Bool = false, reads: [String] = [],
        handler: @escaping @Sendable (Call) async throws(Problem) -> Response
    ) {
        self.method = method
        path = pattern
        segments = pattern.split(separator: "/").map(Segment.init)
        self.access = access
        self.bodyLimit = bodyLimit
        self.takesPrecondition = takesPrecondition
        query = reads + (method == .get ? [] : ["dry_run"])
        self.handler = handler
    }

    /// The parameters, if the segments of a request's path fit.
    func match(_ given: [String]) -> [String: String]? {
        guard given.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, text) in zip(segments, given) {
            switch segment {
            case .literal(let literal): if literal != text { return nil }
            case .parameter(let name, let verb):
                guard text.hasSuffix(verb) else { return nil }
                let value = text.dropLast(verb.count)
                // Without a verb in the pattern, a verb in the request is another route's.
                guard !value.isEmpty else { return nil }
                parameters[name] = String(value)
            }
        }
        return parameters
    }

    /// More literal text first: `/nodes/join` before `/nodes/{id}`, `{id}:split` before `{id}`.
    var weight: Int { segments.reduce(0) { $0 + $1.weight } }
}
