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
            server: try .tls(.http1(configuration: HTTPBounds.channel), tlsConfiguration: tls),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), availableConnectionsDelegate: MaximumAvailableConnections(2_000)),
            onServerRunning: QuiesceOnce.guardShutdown, logger: logger)
    }

    package func run() async throws { try await application.run() }
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
        guard let certificate = try? await channel.nioSSL_peerCertificate().get(),
            let identity = identities.identity(of: certificate)
        else { return nil }
        return Caller(identity, cluster: api.settings.clusterName)
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
