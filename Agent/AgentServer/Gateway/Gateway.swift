package import Engine
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
import NIOCore
package import NIOSSL
import ServiceLifecycle
import Telemetry

/// Serves data requests over HTTPS. What a request may cost is bounded before any of it is read: 16 KiB of header in at most 100
/// fields, bodies by what they carry, idle connections by time.
package struct Gateway: Service {
    private let application: Application<GatewayResponder>

    /// - Parameter tls: a server's configuration that shows this node's certificate.
    package init(
        host: String, port: Int, tls: TLSConfiguration, plane: any DataPlane, engine: any StorageEngine,
        tokens: any TokenChecking, meters: AgentMeters = AgentMeters(), logger: Logger
    ) throws {
        application = Application(
            responder: GatewayResponder(plane: plane, engine: engine, tokens: tokens, meters: meters, logger: logger),
            server: try .tls(.http1(configuration: HTTPBounds.channel), tlsConfiguration: tls),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), availableConnectionsDelegate: MaximumAvailableConnections(10_000)),
            onServerRunning: QuiesceOnce.guardShutdown, logger: logger)
    }

    package func run() async throws { try await application.run() }
}
