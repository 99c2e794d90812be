import Access
import FoundationEssentials
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Identity
package import Logging
import Model
import NIOCore
package import NIOSSL
import ServiceLifecycle
import Synchronization
import Telemetry
import Transport

/// What a request came over: whose certificate the connection showed can be asked of its channel.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Serves the control API over HTTPS. Costs are bounded before a request is read: 16 KiB of header in at most 100 fields, bodies by
/// their route, idle connections by time.
package struct APIServer: Service {
    private let application: Application<APIResponder>

    /// - Parameter tls: a server's configuration under which clients may show a certificate of our authority.
    package init(host: String, port: Int, tls: TLSConfiguration, api: ControlAPI, logger: Logger) throws {
        application = Application(
            responder: APIResponder(api: api, logger: logger),
            server: HTTPServerBuilder { responder in
                LoopBound(
                    try TLSChannel(HTTP1Channel(responder: responder, configuration: HTTPBounds.channel), tlsConfiguration: tls)
                )
            },
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), availableConnectionsDelegate: MaximumAvailableConnections(2_000)),
            onServerRunning: QuiesceOnce.guardShutdown, logger: logger)
    }

    package func run() async throws { try await application.run() }
}

/// A connection whose requests are answered on the event loop that reads and writes it.
private struct LoopBound<Base: ServerChildChannel>: ServerChildChannel {
    let base: Base

    init(_ base: Base) { self.base = base }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        base.setup(channel: channel, logger: logger)
    }

    func handle(value: Base.Value, logger: Logger) async {
        await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) {
            await base.handle(value: value, logger: logger)
        }
    }
}

struct APIResponder: HTTPResponder {
    typealias Context = APIContext

    let api: ControlAPI
    let logger: Logger
    private let identities = KnownIdentities()

    init(api: ControlAPI, logger: Logger) {
        self.api = api
        self.logger = logger
    }

    func respond(to request: Request, context: APIContext) async throws -> Response {
        let response = await api.answer(request, from: await caller(on: context.channel))
        if response.status.code >= 500 {
            logger.debug("refused", metadata: ["path": "\(request.uri.path)", "status": "\(response.status.code)"])
        }
        return response
    }

    /// Who showed a certificate. TLS has verified it against our authority; here it must also be of this cluster.
    private func caller(on channel: any Channel) async -> Caller? {
        guard let certificate = await certificate(on: channel), let identity = identities.identity(of: certificate)
        else { return nil }
        return Caller(identity, cluster: api.settings.clusterName)
    }

    /// Asked on the connection's own loop as a rule, where it costs no waiting.
    private func certificate(on channel: any Channel) async -> NIOSSLCertificate? {
        if channel.eventLoop.inEventLoop { return try? channel.pipeline.syncOperations.nioSSL_peerCertificate() }
        return try? await channel.nioSSL_peerCertificate().get()
    }
}

/// Whom certificates name that were seen before: reading one takes libcrypto longer than all else of a request together.
///
/// Only names are remembered. That a certificate is good is found by each connection's handshake.
final class KnownIdentities: Sendable {
    /// More than there are members and operators.
    private static let capacity = 1_024
    private let known = Mutex<[NIOSSLCertificate: PeerIdentity]>([:])

    /// Nil for a certificate that names nobody.
    func identity(of certificate: NIOSSLCertificate) -> PeerIdentity? {
        if let identity = known.withLock({ $0[certificate] }) { return identity }
        guard let identity = try? PeerIdentity(of: certificate) else { return nil }
        known.withLock { known in
            if known.count >= Self.capacity { known = [:] }
            known[certificate] = identity
        }
        return identity
    }
}

extension Caller {
    /// Operators may do everything, nodes what nodes do, coordinators may look.
    package init?(_ identity: PeerIdentity, cluster: String) {
        guard identity.cluster == cluster, let principal = try? Principal("\(identity.role.rawValue)/\(identity.name)") else {
            return nil
        }
        switch identity.role {
        case .operator: self.init(principal: principal, role: .root)
        case .node: self.init(principal: principal, role: .node)
        case .coordinator: self.init(principal: principal, role: .viewer)
        }
    }
}
