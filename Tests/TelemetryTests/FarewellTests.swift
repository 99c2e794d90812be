import NIOCore
import NIOEmbedded
import NIOHTTP1
import Telemetry
import Testing

@Suite struct FarewellTests {
    private func connectionField(afterStop: Bool) throws -> [String] {
        let channel = EmbeddedChannel(handler: Farewell())
        if afterStop { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["connection": "keep-alive"])
        try channel.writeOutbound(HTTPServerResponsePart.head(head))
        guard case .head(let sent) = try channel.readOutbound(as: HTTPServerResponsePart.self) else { return [] }
        _ = try channel.finish()
        return sent.headers["connection"]
    }

    @Test("an answer that a server still gives after it was told to stop says that it is the connection's last")
    func last() throws {
        #expect(try connectionField(afterStop: true) == ["close"])
        #expect(try connectionField(afterStop: false) == ["keep-alive"])
    }
}
