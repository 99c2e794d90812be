import Glibc
package import Model
package import NIOCore
import NIOPosix
import NIOSSL
package import Wire

/// Opens links to peers.
package struct LinkDialer: Sendable {
    private let endpoint: LinkEndpoint
    private let limits: LinkLimits
    private let group: any EventLoopGroup

    package init(
        endpoint: LinkEndpoint, limits: LinkLimits = LinkLimits(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.endpoint = endpoint
        self.limits = limits
        self.group = group
    }

    /// Connects, proves who both sides are, and opens the conversation.
    ///
    /// - Parameters:
    ///   - address: `host:port`.
    ///   - expecting: who must be there; nil when any member in a fitting role will do.
    ///   - timeout: for the connection, its encryption and the peer's first frame together.
    /// - Throws: `LinkError`; nothing is left open.
    package func connect(
        to address: String, expecting: NodeID? = nil, conversation: Conversation, timeout: Span? = nil
    ) async throws(LinkError) -> Link {
        guard let target = HostPort(address) else { throw .unreachable("'\(address)' is not host:port") }
        let timeout = timeout ?? limits.connectTimeout
        let end = BootClock.now() + timeout
        let wiring = try await open(target, within: timeout)
        do throws(LinkError) {
            let endpoint = endpoint
            // What is left of it.
            let link = try await withDeadline(max(.milliseconds(1), end - BootClock.now()), on: wiring) {
                () throws(LinkError) -> Link in
                try await wiring.send(endpoint.hello(conversation).serialized())
                let (hello, identity) = try await wiring.receiveHello(endpoint: endpoint)
                if let expecting, hello.node != expecting {
                    throw .refusedHello("expected \(expecting), found \(hello.node)")
                }
                return Link(peer: hello, identity: identity, wiring: wiring)
            }
            return link
        } catch {
            wiring.abort()
            throw error
        }
    }

    private func open(_ target: HostPort, within timeout: Span) async throws(LinkError) -> LinkWiring {
        var bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.microseconds(timeout.microseconds))
            .channelOption(
                ChannelOptions.recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 16_384, maximum: 1 << 20))
        limits.socketOptions { bootstrap = bootstrap.channelOption($0, value: $1) }
        let context = endpoint.contexts().client
        do {
            return try await bootstrap.connect(host: target.host, port: target.port) { [limits] channel in
                channel.eventLoop.makeCompletedFuture {
                    try LinkWiring(
                        channel: channel, tls: try NIOSSLClientHandler(context: context, serverHostname: nil), limits: limits)
                }
            }
        } catch {
            throw Self.isRefused(error) ? .refused("\(target)") : .unreachable(String(describing: error))
        }
    }

    /// Whether each of the host's addresses answered that nobody listens there.
    private static func isRefused(_ error: any Error) -> Bool {
        switch error {
        case let error as IOError: error.errnoCode == ECONNREFUSED
        case let error as NIOConnectionError:
            !error.connectionErrors.isEmpty && error.connectionErrors.allSatisfy { isRefused($0.error) }
        default: false
        }
    }
}
