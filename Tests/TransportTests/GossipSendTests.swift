import Identity
import Membership
import Model
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Transport

/// What a kernel refuses.
@Suite(.timeLimit(.minutes(5))) struct GossipSendTests {
    private let seal: GossipSeal
    private let message: SwimMessage

    init() throws {
        seal = GossipSeal(try GossipKeyring.generate(), of: try ClusterID("0123456789abcdef0123456789abcdef"))
        message = SwimMessage(
            from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: [])
    }

    private func socket(port: Int = 0) -> GossipSocket {
        GossipSocket(
            address: HostPort(host: "127.0.0.1", port: port), seal: seal, logger: quiet, received: { _, _ in }, ticked: {},
            due: { BootClock.now() + .seconds(60) })
    }

    /// Tells until it is heard.
    private func hears(_ listener: GossipSocket, at port: Int, from sender: GossipSocket) async -> Bool {
        let before = listener.counters.received
        return await eventually {
            sender.send(message, to: "127.0.0.1:\(port)")
            return listener.counters.received > before
        }
    }

    @Test(
        "a datagram that the kernel refuses is counted, and ends nothing else",
        arguments: ["255.255.255.255:9", "127.0.0.1:0", "[::1]:9"])
    func refused(address: String) async throws {
        let (sender, listener) = (socket(), socket())
        let tasks = [sender, listener].map { socket in Task { try await socket.run() } }
        #expect(await eventually { sender.port != nil && listener.port != nil })
        let (own, port) = (try #require(sender.port), try #require(listener.port))
        let channel = try #require(sender.channel)
        for _ in 0..<3 { sender.send(message, to: address) }
        #expect(sender.counters.unsent == 3)
        #expect(await hears(listener, at: port, from: sender))
        #expect(await hears(sender, at: own, from: listener))
        #expect(sender.port == own)
        // And not another one at the same address.
        #expect(sender.channel === channel)
        for task in tasks { task.cancel() }
        for task in tasks { try await task.value }
    }

    @Test("an address that another socket has is refused, not shared")
    func taken() async throws {
        let first = socket()
        let task = Task { try await first.run() }
        #expect(await eventually { first.port != nil })
        let second = socket(port: try #require(first.port))
        await #expect(throws: IOError.self) { try await second.run() }
        task.cancel()
        try await task.value
    }
}
