import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Identity
import KeyEncoding
package import Logging
import Model
import RoutingTable
import ServiceLifecycle
import Telemetry

// The one plain-text port of an agent. It is bound to the loopback device, and the Host field must name it too: a page in somebody's
// browser that resolves its own name to 127.0.0.1 (DNS rebinding) is refused.

/// Serves `/status`, `/metrics`, `/livez`, `/readyz` and `/v1/route` to this machine.
package struct StatusServer: Service {
    /// Why the endpoint does not start.
    package enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        case notLoopback(String)

        package var description: String {
            switch self {
            case .notLoopback(let host):
                "the status endpoint speaks plain HTTP and binds to loopback only; '\(host)' is not 127.0.0.1, ::1 or localhost"
            }
        }
    }

    private let application: Application<RouterResponder<BasicRequestContext>>

    /// - Parameters:
    ///   - host: `127.0.0.1`, `::1` or `localhost`.
    ///   - tokens: whose counters `/metrics` shows.
    ///   - furtherMetrics: Prometheus text of others, put behind ours.
    package init(
        host: String, port: Int, plane: any DataPlane, tokens: TokenVerifier? = nil,
        furtherMetrics: @escaping @Sendable () async -> String = { "" }, logger: Logger
    ) throws(Refusal) {
        guard Self.isLoopback(host) else { throw .notLoopback(host) }
        let router = Router()
        router.add(middleware: LoopbackHost())
        router.add(middleware: OfferedPaths(paths: ["/status", "/v1/route"] + StatusAnswers.healthPaths))
        let answers = StatusAnswers(plane: plane, tokens: tokens, furtherMetrics: furtherMetrics)
        router.get("/status") { _, _ in try await answers.status() }
        answers.addHealthRoutes(to: router)
        router.get("/v1/route") { request, _ in try answers.route(request) }
        application = Application(
            router: router, server: .http1(configuration: HTTPBounds.channel),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            onServerRunning: QuiesceOnce.guardShutdown, logger: logger)
    }

    package func run() async throws { try await application.run() }

    static func isLoopback(_ host: String) -> Bool { ["127.0.0.1", "::1", "[::1]", "localhost"].contains(host.lowercased()) }
}

/// Refuses requests that were not addressed to the loopback device by name.
struct LoopbackHost: RouterMiddleware {
    typealias Context = BasicRequestContext

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let authority = request.head.authority, StatusServer.isLoopback(Self.host(of: authority)) else {
            return StatusAnswers.problem(
                .misdirectedRequest, code: "WRONG_HOST",
                detail: "this endpoint answers requests to 127.0.0.1 or localhost only",
                hint: "name one of them in the Host field")
        }
        return try await next(request, context)
    }

    /// The host of `host`, `host:port` or `[v6]:port`.
    static func host(of authority: String) -> String {
        if authority.hasPrefix("[") {
            return authority.split(separator: "]", maxSplits: 1).first.map { $0 + "]" } ?? authority
        }
        return authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
            ?? authority
    }
}
