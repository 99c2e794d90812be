import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Client

@Suite struct HTTPFailureTests {
    @Test("a connection that broke may have carried the request; only one that was never made has not")
    func classes() {
        for error in [
            NIOSSLError.uncleanShutdown, .readInInvalidTLSState, .writeDuringTLSShutdown,
        ] {
            #expect(HTTPCalls.failure(error) == .unanswered("\(error)"))
        }
        #expect(HTTPCalls.failure(ChannelError.ioOnClosedChannel) == .unanswered("\(ChannelError.ioOnClosedChannel)"))
        let refused = IOError(errnoCode: 111, reason: "connect")
        #expect(HTTPCalls.failure(refused) == .notSent("\(refused)"))
    }

    /// Answers each read with the head and a part of the content.
    private final class HalfAnswer: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let half = ByteBuffer(string: "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            context.writeAndFlush(wrapOutboundOut(half), promise: nil)
        }
    }

    @Test("an answer that stops in the middle ends with the time that was given", .timeLimit(.minutes(1)))
    func halfAnAnswer() async throws {
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { $0.pipeline.addHandler(HalfAnswer()) }.bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(server.localAddress?.port)
        let calls = HTTPCalls(tls: .makeClientConfiguration())
        await #expect(throws: HTTPCalls.Failure.self) {
            _ = try await calls.call(.get, "http://127.0.0.1:\(port)/", milliseconds: 200)
        }
        try await calls.shutDown()
        try await server.close()
    }
}
