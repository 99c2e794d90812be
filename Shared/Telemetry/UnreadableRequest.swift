import NIOCore
import NIOHTTP1

/// Gives the server's bare answer to a request that cannot be read a body that says why, and the status of its own that too large a
/// header has (RFC 6585 §5).
///
/// The server answers such a request behind all that came before it, and ends the connection. Only that answer is replaced, so order
/// and end stay the server's. It stands next to the decoder, where requests and answers still have the form of HTTP/1.
final class UnreadableRequest: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// What was wrong with what the decoder has read last: nothing follows it.
    private var failure: HTTPParserError?

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError { failure = error }
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let failure, case .head(let head) = unwrapOutboundIn(data), Self.isBare(head) else {
            context.write(data, promise: promise)
            return
        }
        self.failure = nil
        let (status, body) = Self.explanation(of: failure)
        let headers = HTTPHeaders([
            ("connection", "close"), ("content-type", "application/problem+json"), ("content-length", String(body.utf8.count)),
        ])
        let explained = HTTPResponseHead(version: head.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(explained)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: promise)
    }

    /// Our own refusals have bodies.
    private static func isBare(_ head: HTTPResponseHead) -> Bool {
        head.status == .badRequest && head.headers["content-length"] == ["0"]
    }

    private static func explanation(of failure: HTTPParserError) -> (status: HTTPResponseStatus, body: String) {
        func problem(_ status: HTTPResponseStatus, _ code: String, _ detail: String, _ hint: String) -> String {
            """
            {"code":"\(code)","detail":"\(detail)","hint":"\(hint)","retryable":false,"status":\(status.code),\
            "title":"\(status.reasonPhrase)","type":"about:blank","violations":[]}

            """
        }
        guard failure == .headerOverflow else {
            return (
                .badRequest,
                problem(
                    .badRequest, "MALFORMED_REQUEST", "the request is not HTTP/1.1", "speak HTTP/1.1; the connection ends here")
            )
        }
        return (
            .requestHeaderFieldsTooLarge,
            problem(
                .requestHeaderFieldsTooLarge, "HEADERS_TOO_LARGE",
                "the header has more than \(HTTPBounds.headerBytes / 1_024) KiB or \(HTTPBounds.headerFields) fields",
                "send fewer or shorter fields; the connection ends here")
        )
    }
}

/// Puts `UnreadableRequest` and `Farewell` in their place: handlers of ours are added behind the one that gives requests their later
/// form.
final class BesideDecoder: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandlers([UnreadableRequest(), Farewell()], position: .after(decoder))
        } catch {
            context.fireErrorCaught(error)
        }
    }
}
