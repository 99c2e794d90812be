// A link's channel: TLS, then frames of a 32-bit big-endian length and as many bytes, then an inbox.

import Glibc
import Model
import NIOCore
import NIOSSL
import NIOTLS

/// Cuts the stream into frames; refuses to gather one above the limit.
struct FrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    let limit: Int

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return .needMoreData }
        guard length <= limit else { throw LinkError.oversizeFrame(bytes: Int(length), limit: limit) }
        guard buffer.readableBytes >= 4 + Int(length) else { return .needMoreData }
        buffer.moveReaderIndex(forwardBy: 4)
        guard let frame = buffer.readSlice(length: Int(length)) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(frame))
        return .continue
    }

    mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        try decode(context: context, buffer: &buffer)
    }
}

/// Puts frames into the inbox, and holds the socket's reads back while it is full.
final class InboxHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let inbox: Inbox
    private let outbox: Outbox
    private var mayRead = true
    private var readIsPending = false

    init(inbox: Inbox, outbox: Outbox) {
        self.inbox = inbox
        self.outbox = outbox
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            inbox.noteProof(try? context.pipeline.syncOperations.nioSSL_peerCertificate())
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        if !inbox.put(Array(buffer.readableBytesView)) { mayRead = false }
    }

    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { readIsPending = true }
    }

    /// Called on the event loop when the inbox has room again.
    func resumeReading(context: ChannelHandlerContext) {
        mayRead = true
        if readIsPending {
            readIsPending = false
            context.read()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        inbox.end(Self.translate(error), byPeer: Self.isFromPeer(error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inbox.end(.closed, byPeer: true)
        outbox.close()
        context.fireChannelInactive()
    }

    /// Whether the peer's machine ended the stream. One that nobody answers on any more, or whose way is gone, ends for lack of a word.
    private static func isFromPeer(_ error: any Error) -> Bool {
        switch error {
        case NIOSSLError.uncleanShutdown: true
        case let error as IOError: error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
        default: false
        }
    }

    private static func translate(_ error: any Error) -> LinkError {
        switch error {
        case let error as LinkError: error
        // The peer died or was killed: the end of the stream is no less an end for lack of a farewell. Frames carry their length,
        // so a cut one is never taken for a whole one.
        case NIOSSLError.uncleanShutdown: .closed
        case let error as NIOSSLError: .insecure(String(describing: error))
        case let error as BoringSSLError: .insecure(String(describing: error))
        case is NIOSSLExtraError: .insecure(String(describing: error))
        default: .closed
        }
    }
}
