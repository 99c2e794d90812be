// One connection, one conversation: frames in both directions between two processes that have proved who they are.
//
// Order is kept in each direction. A frame that was sent may be lost when the link ends; conversations repeat what matters.

package import Identity
import Model
import NIOCore
import NIOPosix
import NIOSSL
package import Wire

/// An open link. Frames are taken by one task; sending is open to all. Dropping the last reference closes it.
package final class Link: Sendable {
    /// The peer's first frame, checked against its certificate.
    package let peer: Hello
    package let identity: PeerIdentity
    /// `address:port` of the other end, for logs.
    package let remoteAddress: String

    private let wiring: LinkWiring

    init(peer: Hello, identity: PeerIdentity, wiring: LinkWiring) {
        self.peer = peer
        self.identity = identity
        self.remoteAddress = wiring.channel.remoteAddress?.description ?? "unknown"
        self.wiring = wiring
    }

    deinit { wiring.channel.close(promise: nil) }

    /// The next frame; nil when the link was closed.
    ///
    /// - Throws: what ended it otherwise, or `.cancelled` when the waiting task was cancelled.
    package func receive() async throws(LinkError) -> [UInt8]? { try await wiring.receive() }

    /// The frames to come, ending when the link is closed.
    package var frames: Frames { Frames(link: self) }

    package struct Frames: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let link: Link

        package func makeAsyncIterator() -> Frames { self }
        package mutating func next() async throws(LinkError) -> [UInt8]? { try await link.receive() }
        package mutating func next(isolation actor: isolated (any Actor)?) async throws(LinkError) -> [UInt8]? {
            try await link.receive()
        }
    }

    /// Hands a frame over, waiting while more than `LinkLimits.sendBytes` are on their way: for bulk.
    ///
    /// - Throws: `.closed`, or `.cancelled`.
    package func send(_ frame: [UInt8]) async throws(LinkError) { try await wiring.send(frame) }

    /// Hands a frame over, or drops it when too much is on its way: for messages that their protocol repeats.
    ///
    /// - Returns: whether it was taken.
    @discardableResult
    package func offer(_ frame: [UInt8]) -> Bool { wiring.offer(frame) }

    /// Ends the link after what was handed over has left, or after `LinkLimits.closeTimeout`.
    package func close() async { await wiring.close() }

    /// Ends the link now; what is on its way is lost.
    package func abort() { wiring.abort() }

    package var isClosed: Bool { wiring.outbox.isClosed }

    /// Whether the peer's machine ended the link: its process closed it, or is gone. Not so for one that this side ended, for silence or
    /// by choice, nor for one whose way is cut.
    package var isEndedByPeer: Bool { wiring.inbox.isEndedByPeer }
}

/// A channel with its two boxes, before and after the peer is known.
final class LinkWiring: Sendable {
    let channel: any Channel
    let inbox: Inbox
    let outbox: Outbox
    let limits: LinkLimits

    /// Sets a connected channel up; on its event loop.
    init(channel: any Channel, tls: NIOSSLHandler, limits: LinkLimits) throws {
        self.channel = channel
        self.limits = limits
        inbox = Inbox(highBytes: limits.receiveHighBytes, lowBytes: limits.receiveLowBytes)
        outbox = Outbox()
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(tls)
        try pipeline.addHandler(ByteToMessageHandler(FrameDecoder(limit: limits.frameBytes)))
        try pipeline.addHandler(InboxHandler(inbox: inbox, outbox: outbox))
        watchForStalls()
    }

    func receive() async throws(LinkError) -> [UInt8]? {
        try await inbox.take { [channel] in
            channel.eventLoop.execute {
                guard let context = try? channel.pipeline.syncOperations.context(handlerType: InboxHandler.self),
                    let handler = context.handler as? InboxHandler
                else { return }
                handler.resumeReading(context: context)
            }
        }
    }

    func send(_ frame: [UInt8]) async throws(LinkError) {
        while true {
            guard !Task.isCancelled else { throw .cancelled }
            switch outbox.put(frame, underBytes: limits.sendBytes) {
            case .accepted(let schedule):
                if schedule { scheduleDrain() }
                return
            case .full: await outbox.waitForRoom(underBytes: limits.sendBytes)
            case .closed: throw .closed
            }
        }
    }

    func offer(_ frame: [UInt8]) -> Bool {
        switch outbox.put(frame, underBytes: limits.offerBytes, underFrames: limits.offerFrames) {
        case .accepted(let schedule):
            if schedule { scheduleDrain() }
            return true
        case .full, .closed: return false
        }
    }

    private func scheduleDrain() {
        channel.eventLoop.execute { [self] in drain(then: nil) }
    }

    /// Writes what has gathered; on the event loop.
    private func drain(then promise: EventLoopPromise<Void>?) {
        let (frames, bytes) = outbox.gather()
        guard !frames.isEmpty else {
            channel.writeAndFlush(ByteBuffer(), promise: promise)
            return
        }
        var buffer = channel.allocator.buffer(capacity: min(bytes + 4 * frames.count, 256 << 10))
        let written = channel.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { [outbox] _ in outbox.settle(frames: frames.count, bytes: bytes) }
        if let promise { written.futureResult.cascade(to: promise) }
        for (index, frame) in frames.enumerated() {
            buffer.writeInteger(UInt32(truncatingIfNeeded: frame.count))
            buffer.writeBytes(frame)
            if index == frames.count - 1 {
                channel.write(buffer, promise: written)
            } else if buffer.readableBytes >= 128 << 10 {
                channel.write(buffer, promise: nil)
                buffer = channel.allocator.buffer(capacity: 256 << 10)
            }
        }
        channel.flush()
    }

    /// Closing right after a write would lose what the socket has not yet taken, so the close waits for the last write.
    func close() async {
        inbox.noteEndingHere()
        let isFirst = !outbox.isClosed
        outbox.close()
        guard isFirst else {
            try? await channel.closeFuture.get()
            return
        }
        let timeout = TimeAmount.microseconds(limits.closeTimeout.microseconds)
        channel.eventLoop.execute { [self] in
            let flushed = channel.eventLoop.makePromise(of: Void.self)
            let deadline = channel.eventLoop.scheduleTask(in: timeout) { [channel] in channel.close(promise: nil) }
            flushed.futureResult.whenComplete { [channel] _ in channel.close(promise: nil) }
            channel.closeFuture.whenComplete { _ in deadline.cancel() }
            drain(then: flushed)
        }
        // A channel that is closed has nothing more to say; that it was closed before is the same to the caller.
        try? await channel.closeFuture.get()
    }

    func abort() {
        inbox.noteEndingHere()
        outbox.close()
        channel.close(promise: nil)
    }
}
