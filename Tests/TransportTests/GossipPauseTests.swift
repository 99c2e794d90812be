import Foundation
import Identity
import Membership
import Model
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Transport
import Wire

/// A thread that stood still, and what lay in the socket meanwhile.
@Suite(.timeLimit(.minutes(5))) struct GossipPauseTests {
    private struct Seen {
        var received = 0
        var isPaused = false
        /// How much had been read at the first tick after the pause.
        var readBefore: Int?
    }

    @Test("after a pause all that lies in the socket is read before time is looked at")
    func readsFirst() async throws {
        let count = 200
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        let seal = GossipSeal(try GossipKeyring.generate(), of: cluster)
        let seen = Mutex(Seen())
        let socket = GossipSocket(
            address: HostPort(host: "127.0.0.1", port: 0), seal: seal, logger: quiet, group: group,
            received: { _, _ in seen.withLock { $0.received += 1 } },
            ticked: {
                seen.withLock { seen in
                    guard seen.isPaused, seen.readBefore == nil else { return }
                    seen.readBefore = seen.received
                }
            }, due: { BootClock.now() })
        let task = Task { try await socket.run() }
        #expect(await eventually { socket.port != nil })
        let target = try SocketAddress(ipAddress: "127.0.0.1", port: try #require(socket.port))
        let sender = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let message = SwimMessage(
            from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: [])
        let goOn = DispatchSemaphore(value: 0)
        group.next().execute {
            seen.withLock { $0.isPaused = true }
            goOn.wait()
            // However fast the datagrams were sent: a pause, and not what any timer is late by.
            Thread.sleep(forTimeInterval: 0.1)
        }
        #expect(await eventually { seen.withLock { $0.isPaused } })
        for _ in 0..<count {
            let sealed = try seal.seal(message.serialized())
            try await sender.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: sealed)))
        }
        goOn.signal()
        #expect(await eventually { seen.withLock { $0.readBefore != nil } })
        #expect(seen.withLock { $0.readBefore } == count)
        try await sender.close()
        task.cancel()
        _ = try? await task.value
        try await group.shutdownGracefully()
    }
}
