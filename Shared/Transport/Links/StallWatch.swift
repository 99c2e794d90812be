// Ends a connection whose peer has stopped answering, and only such a one.
//
// A connection that lived through a cut network waits for TCP's back-off, minutes long, after the network is whole again; so it must be
// given up. TCP_USER_TIMEOUT does that, but it counts a closed window too, even while the peer confirms it (tcp(7)): a reader who
// is held back for some seconds would lose its link and what is on it. The kernel knows the difference, and is asked: bytes that
// it sends again and again, or questions after the window that nobody answers. A heartbeat of our own was refused: it would
// take a busy or a stopped process for a dead one, and cost a coordinator thousands of writes a second.

import Glibc
import Model
import NIOCore

/// How long a connection has been stuck, by samples of the kernel's view of it.
struct Stall: Hashable, Sendable {
    private var since: LogicalInstant?

    /// - Parameters:
    ///   - retransmits: times that the oldest bytes under way were sent again, since anything was last confirmed.
    ///   - probes: questions after a closed window since the last answer. One may be under way.
    /// - Returns: for how long.
    mutating func note(retransmits: Int, probes: Int, at now: LogicalInstant) -> Span {
        guard retransmits > 0 || probes > 1 else {
            since = nil
            return .zero
        }
        let start = since ?? now
        since = start
        return now - start
    }
}

extension LinkWiring {
    /// Looks at the connection each second until it is closed; on its event loop.
    func watchForStalls() {
        guard let options = channel as? any SocketOptionProvider else { return }
        let stall = NIOLoopBound(Box(Stall()), eventLoop: channel.eventLoop)
        let task = channel.eventLoop.scheduleRepeatedAsyncTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [channel, inbox, limits] _ in
            options.getTCPInfo().map { info in
                let stuck = stall.value.content.note(
                    retransmits: Int(info.tcpi_retransmits), probes: Int(info.tcpi_probes), at: BootClock.now())
                guard stuck >= limits.unacknowledged else { return }
                inbox.end(.closed)
                channel.close(promise: nil)
            }
        }
        channel.closeFuture.whenComplete { _ in task.cancel() }
    }
}

/// A value that the tasks of one event loop share.
private final class Box<Content> {
    var content: Content
    init(_ content: Content) { self.content = content }
}
