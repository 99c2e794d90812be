package import NIOCore

/// Ends a connection whose first request does not come in time, whether it never finishes its handshake or sends a header byte by
/// byte. Idle times do not see that: each byte begins them anew, and a connection that is kept open between requests may rest longer.
///
/// Stands behind the decoder of requests, one for each connection.
package final class FirstRequestDeadline: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = NIOAny

    /// For the handshake and the first request's head together.
    package static let usual = TimeAmount.seconds(10)

    private let time: TimeAmount
    private var timer: Scheduled<Void>?

    package init(_ time: TimeAmount = FirstRequestDeadline.usual) { self.time = time }

    package func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { stop() }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        stop()
        context.fireChannelRead(data)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }
}
