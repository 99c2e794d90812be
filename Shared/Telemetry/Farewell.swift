package import NIOCore
package import NIOHTTP1

/// Tells clients whose requests are still being answered that the connection ends with the answer, once the server has been told to
/// stop: they would find out otherwise by sending the next request to nobody. Connections on which nothing is under way are closed by
/// the server itself.
///
/// Stands next to the decoder, where answers have the form of HTTP/1.
package final class Farewell: ChannelDuplexHandler {
    package typealias InboundIn = NIOAny
    package typealias OutboundIn = HTTPServerResponsePart
    package typealias OutboundOut = HTTPServerResponsePart

    private var isStopping = false

    package init() {}

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { isStopping = true }
        context.fireUserInboundEventTriggered(event)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isStopping, case .head(var head) = unwrapOutboundIn(data) else {
            context.write(data, promise: promise)
            return
        }
        head.headers.replaceOrAdd(name: "connection", value: "close")
        context.write(wrapOutboundOut(.head(head)), promise: promise)
    }
}
