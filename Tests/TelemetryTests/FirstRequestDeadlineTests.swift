import NIOCore
import NIOEmbedded
import Telemetry
import Testing

@Suite struct FirstRequestDeadlineTests {
    private func channel() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(FirstRequestDeadline(.seconds(10)))
        try channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test("a connection that never sends a request is closed when its time is over, and not before")
    func silent() throws {
        let channel = try channel()
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(9_999))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
    }

    @Test("once a request has come the connection may rest")
    func spoken() throws {
        let channel = try channel()
        try channel.writeInbound("a request")
        #expect(try channel.readInbound(as: String.self) == "a request")
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        _ = try channel.finish()
    }
}
