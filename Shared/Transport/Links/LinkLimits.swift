package import Model

/// Bounds of links, with their units and reasons.
package struct LinkLimits: Sendable {
    /// Bytes of a frame; an announced larger one ends the link unread.
    package var frameBytes = Limits.frameBytes
    /// Bytes that `Link.send` lets pile up before it waits: enough to keep a fast network busy.
    package var sendBytes = 4 << 20
    /// Bytes and frames that `Link.offer` lets pile up before it refuses.
    package var offerBytes = 16 << 20
    package var offerFrames = 8_192
    /// Bytes received and not yet taken, above which reading from the socket stops, and below which it goes on.
    package var receiveHighBytes = 4 << 20
    package var receiveLowBytes = 1 << 20
    /// How long a new link has for TLS and the first frame.
    package var helloDeadline = Span.seconds(10)
    /// How long a dialled peer has to answer in all.
    package var connectTimeout = Span.seconds(3)
    /// How long closing waits for what was sent to leave.
    package var closeTimeout = Span.seconds(5)
    /// How long a peer's kernel may leave unanswered what it is sent, before the connection is given up (see `Stall`). A reader who
    /// takes nothing is no such case: its kernel says so.
    package var unacknowledged = Span.seconds(4)
    /// Links that one listener holds at a time.
    package var links = 4_096

    package init() {}
}
