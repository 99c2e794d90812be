import Identity
import Logging
import Membership
import Model
import NIOCore
import NIOPosix
import Testing
import Wire

@testable import Transport

/// Sockets of one key, with no member behind them, and what they tell each other.
struct GossipSockets {
    let seal: GossipSeal
    let message: SwimMessage

    init() throws {
        seal = GossipSeal(try GossipKeyring.generate(), of: try ClusterID("0123456789abcdef0123456789abcdef"))
        message = SwimMessage(
            from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: [])
    }

    func make(
        port: Int = 0, logger: Logger = quiet, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        ticked: @escaping @Sendable () -> Void = {},
        resolve: @escaping @Sendable (HostPort) throws -> SocketAddress = { _ in throw ChannelError.eof }
    ) -> GossipSocket {
        GossipSocket(
            address: HostPort(host: "127.0.0.1", port: port), seal: seal, logger: logger, group: group, received: { _, _ in },
            ticked: ticked, due: { BootClock.now() }, resolve: resolve)
    }

    /// Tells until it is heard.
    func hears(_ listener: GossipSocket, from sender: GossipSocket) async throws -> Bool {
        let (before, port) = (listener.counters.received, try #require(listener.port))
        return await eventually {
            sender.send(message, to: "127.0.0.1:\(port)")
            return listener.counters.received > before
        }
    }
}
