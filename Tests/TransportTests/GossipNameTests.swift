import Identity
import Membership
import Model
import NIOCore
import Synchronization
import Testing
import Transport
import Wire

/// Names of machines, whose addresses change.
@Suite(.timeLimit(.minutes(5))) struct GossipNameTests {
    private func socket(
        _ seal: GossipSeal, resolve: @escaping @Sendable (HostPort) throws -> SocketAddress = { _ in throw ChannelError.eof },
        lookUpAge: Span = .seconds(10)
    ) -> GossipSocket {
        GossipSocket(
            address: HostPort(host: "127.0.0.1", port: 0), seal: seal, logger: quiet, received: { _, _ in }, ticked: {},
            due: { BootClock.now() + .seconds(60) }, resolve: resolve, lookUpAge: lookUpAge)
    }

    @Test("a peer whose name stands for another address is found there; where names are not found any more, none is lost")
    func moved() async throws {
        let seal = GossipSeal(try GossipKeyring.generate(), of: try ClusterID("0123456789abcdef0123456789abcdef"))
        let peers = [socket(seal), socket(seal)]
        let place = Mutex<SocketAddress?>(nil)
        let lookUps = Mutex(0)
        let sender = socket(
            seal,
            resolve: { _ in
                lookUps.withLock { $0 += 1 }
                return try place.withLock { $0 } ?? { throw ChannelError.eof }()
            }, lookUpAge: .milliseconds(20))
        let tasks = (peers + [sender]).map { socket in Task { try await socket.run() } }
        #expect(await eventually { (peers + [sender]).allSatisfy { $0.port != nil } })
        let message = SwimMessage(
            from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: [])
        /// Tells this one until it has heard.
        func isTold(_ peer: GossipSocket) async -> Bool {
            let before = peer.counters.received
            return await eventually {
                sender.send(message, to: "peer.example:7461")
                return peer.counters.received > before
            }
        }
        for peer in peers {
            let port = try #require(peer.port)
            try place.withLock { $0 = try SocketAddress(ipAddress: "127.0.0.1", port: port) }
            #expect(await isTold(peer))
        }
        place.withLock { $0 = nil }
        let before = lookUps.withLock { $0 }
        #expect(
            await eventually {
                sender.send(message, to: "peer.example:7461")
                return lookUps.withLock { $0 } > before + 2
            })
        #expect(await isTold(peers[1]))
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }
}
