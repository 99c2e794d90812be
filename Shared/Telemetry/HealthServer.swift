// `/metrics`, `/livez` and `/readyz` over plain HTTP on a port of their own, so that a collector needs no certificate.

import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
import ServiceLifecycle

/// What a probe found, by name. Not ready means: send no new work here; it never means: restart me.
package struct Readiness: Sendable {
    package struct Check: Hashable, Sendable {
        package let name: String
        /// Nil when all is well.
        package let problem: String?

        package init(_ name: String, problem: String?) {
            self.name = name
            self.problem = problem
        }
    }

    package let checks: [Check]
    package init(_ checks: [Check]) { self.checks = checks }
    package var isReady: Bool { checks.allSatisfy { $0.problem == nil } }

    /// One line for each check, as `/readyz?verbose` shows it.
    package var report: String {
        checks.map { check in check.problem.map { "[-] \(check.name): \($0)\n" } ?? "[+] \(check.name)\n" }.joined()
            + (isReady ? "ready\n" : "not ready\n")
    }
}

package enum HealthRoutes {
    /// Adds the three routes to `router`: for a server that has other routes too.
    package static func add<Context: RequestContext>(
        to router: Router<Context>, registry: MetricsRegistry, collect: @escaping @Sendable () async -> Void = {},
        readiness: @escaping @Sendable () async -> Readiness
    ) {
        router.get("/metrics") { _, _ in
            await collect()
            return text(registry.exposition(), type: PrometheusText.contentType)
        }
        // Answers as long as the process turns: neither quorum nor disk is its business.
        router.get("/livez") { _, _ in text("alive\n") }
        router.get("/readyz") { request, _ in
            let found = await readiness()
            let verbose = request.uri.queryParameters["verbose"] != nil
            return text(
                verbose ? found.report : (found.isReady ? "ready\n" : "not ready\n"),
                status: found.isReady ? .ok : .serviceUnavailable)
        }
    }

    private static func text(
        _ body: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}

/// A server with the three routes and nothing else.
package struct HealthServer: Service {
    private let application: Application<RouterResponder<BasicRequestContext>>

    /// - Parameters:
    ///   - collect: called before each reading, to set gauges that are costly to keep.
    ///   - bound: told the port when the server listens.
    package init(
        host: String, port: Int, registry: MetricsRegistry, logger: Logger,
        collect: @escaping @Sendable () async -> Void = {}, bound: @escaping @Sendable (Int) async -> Void = { _ in },
        readiness: @escaping @Sendable () async -> Readiness
    ) {
        let router = Router()
        HealthRoutes.add(to: router, registry: registry, collect: collect, readiness: readiness)
        application = Application(
            responder: router.buildResponder(), server: .http1(configuration: HTTPBounds.channel),
            configuration: .init(address: .hostname(host, port: port), serverName: nil),
            onServerRunning: { channel in
                await QuiesceOnce.guardShutdown(of: channel)
                if let port = channel.localAddress?.port { await bound(port) }
            }, logger: logger)
    }

    package func run() async throws { try await application.run() }
}
