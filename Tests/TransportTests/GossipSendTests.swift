import NIOCore
import Testing

@testable import Transport

/// What a kernel refuses.
@Suite(.timeLimit(.minutes(5))) struct GossipSendTests {
    private let sockets: GossipSockets

    init() throws { sockets = try GossipSockets() }

    @Test(
        "a datagram that the kernel refuses is counted, and ends nothing else",
        arguments: ["255.255.255.255:9", "127.0.0.1:0", "[::1]:9"])
    func refused(address: String) async throws {
        let (sender, listener) = (sockets.make(), sockets.make())
        let tasks = [sender, listener].map { socket in Task { try await socket.run() } }
        #expect(await eventually { sender.port != nil && listener.port != nil })
        let own = try #require(sender.port)
        let channel = try #require(sender.channel)
        for _ in 0..<3 { sender.send(sockets.message, to: address) }
        #expect(sender.counters.unsent == 3)
        #expect(try await sockets.hears(listener, from: sender))
        #expect(try await sockets.hears(sender, from: listener))
        #expect(sender.port == own)
        // And not another one at the same address.
        #expect(sender.channel === channel)
        for task in tasks { task.cancel() }
        for task in tasks { try await task.value }
    }

    @Test("an address that another socket has is refused, not shared")
    func taken() async throws {
        let first = sockets.make()
        let task = Task { try await first.run() }
        #expect(await eventually { first.port != nil })
        let second = sockets.make(port: try #require(first.port))
        await #expect(throws: IOError.self) { try await second.run() }
        task.cancel()
        try await task.value
    }
}
