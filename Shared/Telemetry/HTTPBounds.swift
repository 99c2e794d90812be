package import HummingbirdCore
import NIOCore

/// What a request may cost before any of it is read, at every HTTP port alike: 16 KiB of header in at most 100 fields, 10 s
/// for the handshake and the first head, and a connection that says nothing afterwards is closed. A server that is told to stop
/// says so with the answers that it still gives.
package enum HTTPBounds {
    static let headerBytes = 16 * 1_024
    static let headerFields = 100

    package static let channel = HTTP1Channel.Configuration(
        additionalChannelHandlers: [FirstRequestDeadline(), BesideDecoder()], idleTimeout: .seconds(75),
        httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: headerBytes, maxHeaderListSize: headerBytes, maxHeaderFieldCount: headerFields))
}
