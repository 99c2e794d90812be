import Identity
package import Logging
import Model
package import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
package import Wire

/// Accepts links, each of them proved to be a member's before its conversation starts.
package final class LinkListener: Service {
    /// Holds one conversation; the link is closed when it returns.
    package typealias Handler = @Sendable (Link) async -> Void

    /// Totals since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var accepted: UInt64 = 0
        /// No member, another cluster, a role that may not, or no first frame in time.
        package var refused: UInt64 = 0
        /// Above `LinkLimits.links` at a time.
        package var overflowed: UInt64 = 0
        package var open = 0
    }

    private let endpoint: LinkEndpoint
    private let address: HostPort
    private let handlers: [Conversation: Handler]
    private let limits: LinkLimits
    private let logger: Logger
    private let group: any EventLoopGroup
    private let state = Mutex<(counters: Counters, port: Int?)>((Counters(), nil))

    /// - Parameter handlers: the conversations that are held here; all others are refused, but for `.probe`, which is over when both have
    ///   said who they are.
    package init(
        endpoint: LinkEndpoint, address: HostPort, handlers: [Conversation: Handler], limits: LinkLimits = LinkLimits(),
        logger: Logger, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.endpoint = endpoint
        self.address = address
        self.handlers = handlers.merging([.probe: { _ in }]) { given, _ in given }
        self.limits = limits
        self.logger = logger
        self.group = group
    }

    package var counters: Counters { state.withLock { $0.counters } }
    /// The bound port, once `run` has bound it: another than asked for when that was 0.
    package var port: Int? { state.withLock { $0.port } }

    /// Binds and serves until shutdown; every conversation has ended when it returns.
    package func run() async throws {
        try await cancelWhenGracefulShutdown { try await self.serve() }
    }

    private func serve() async throws {
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 256)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(
                ChannelOptions.recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 16_384, maximum: 1 << 20))
        limits.socketOptions { bootstrap = bootstrap.childChannelOption($0, value: $1) }
        let server = try await bootstrap.bind(host: address.host, port: address.port) { [endpoint, limits] channel in
            channel.eventLoop.makeCompletedFuture {
                try LinkWiring(
                    channel: channel, tls: NIOSSLServerHandler(context: endpoint.contexts().server), limits: limits)
            }
        }
        state.withLock { $0.port = server.channel.localAddress?.port }
        try await withTaskCancellationHandler {
            try await server.executeThenClose { accepted in
                await withDiscardingTaskGroup { group in
                    do {
                        for try await wiring in accepted { admit(wiring, to: &group) }
                    } catch  where !Task.isCancelled {
                        logger.error("the link listener stopped accepting", metadata: ["error": "\(error)"])
                    } catch {
                        // Told to stop.
                    }
                    group.cancelAll()
                }
            }
        } onCancel: {
            server.channel.close(promise: nil)
        }
    }

    private func admit(_ wiring: LinkWiring, to group: inout DiscardingTaskGroup) {
        let isAdmitted = state.withLock { state in
            guard state.counters.open < limits.links else {
                state.counters.overflowed += 1
                return false
            }
            state.counters.open += 1
            return true
        }
        guard isAdmitted else { return wiring.abort() }
        group.addTask {
            await self.converse(on: wiring)
            self.state.withLock { $0.counters.open -= 1 }
        }
    }

    private func converse(on wiring: LinkWiring) async {
        let link: Link
        let handler: Handler
        do throws(LinkError) {
            (link, handler) = try await withDeadline(limits.helloDeadline, on: wiring) {
                () throws(LinkError) -> (Link, Handler) in
                try await self.greet(wiring)
            }
        } catch {
            state.withLock { $0.counters.refused += 1 }
            logger.debug(
                "a link was refused",
                metadata: ["remote": "\(wiring.channel.remoteAddress?.description ?? "unknown")", "reason": "\(error)"])
            wiring.abort()
            return
        }
        state.withLock { $0.counters.accepted += 1 }
        await handler(link)
        await link.close()
    }

    private func greet(_ wiring: LinkWiring) async throws(LinkError) -> (Link, Handler) {
        let (hello, identity) = try await wiring.receiveHello(endpoint: endpoint)
        guard hello.conversation.mayBeOpened(by: identity.role), let handler = handlers[hello.conversation] else {
            throw .refusedHello("\(identity.role) \(hello.node) may not open '\(hello.conversation)' here")
        }
        try await wiring.send(endpoint.hello(hello.conversation).serialized())
        return (Link(peer: hello, identity: identity, wiring: wiring), handler)
    }
}
