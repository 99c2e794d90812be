import Hummingbird
import HummingbirdCore
package import Identity
package import Logging
import Model
import ServiceLifecycle
import Telemetry

/// `/metrics`, `/livez` and `/readyz` for collectors on other machines: figures only, nothing that names a table or a key.
package struct MetricsServer: Service {
    private let application: Application<RouterResponder<BasicRequestContext>>

    package init(
        host: String, port: Int, plane: any DataPlane, tokens: TokenVerifier? = nil,
        furtherMetrics: @escaping @Sendable () async -> String = { "" }, logger: Logger
    ) {
        let router = Router()
        router.add(middleware: OfferedPaths(paths: StatusAnswers.healthPaths))
        StatusAnswers(plane: plane, tokens: tokens, furtherMetrics: furtherMetrics).addHealthRoutes(to: router)
        application = Application(
            router: router, server: .http1(configuration: HTTPBounds.channel),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            onServerRunning: QuiesceOnce.guardShutdown, logger: logger)
    }

    package func run() async throws { try await application.run() }
}
