package import NIOCore

/// Put first into the pipeline of a listening socket, so that its orderly end is asked for once. The quiescing helper tells the
/// pipeline and then closes the socket itself; the acceptor would close it on being told, and the helper's own close would then be
/// reported as an error of the shutdown.
package final class QuiesceOnce: ChannelInboundHandler, Sendable {
    package typealias InboundIn = NIOAny

    package init() {}

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { return }
        context.fireUserInboundEventTriggered(event)
    }

    /// For a server's `onServerRunning`. A socket that has closed meanwhile needs it no more.
    @Sendable package static func guardShutdown(of server: any Channel) async {
        try? await server.pipeline.addHandler(QuiesceOnce(), position: .first).get()
    }
}
