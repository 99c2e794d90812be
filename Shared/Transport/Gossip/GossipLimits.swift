import Model

/// Every bound of the failure detector's sockets and links, with its unit and its reason. Those of the protocol are `SwimLimits`, and
/// what differs by network is `SwimTuning`.
enum GossipLimits {
    /// Datagrams that are read before time is looked at again: as many as the buffer of a process that was stopped holds. With the usual
    /// four, ticks would be taken between the answers that lie there.
    static let datagramsAtOnce: UInt = 1_024
    /// Bytes of the socket's receive buffer: what arrives while the process stands still for a second waits there.
    static let receiveBuffer = 1 << 20
    /// Bytes that one datagram is read into: more than any of ours has, so that a longer one is seen to be too long.
    static let datagramRead = 2_048
    /// Between the end of a socket and the next one: what ended it may end that as well.
    static let reopenPause = Duration.milliseconds(50)
    /// An alarm that rings later than this says that the thread stood still: less than any pause that makes a difference, more than a
    /// timer is late by itself.
    static let lateness = Span.milliseconds(20)
    /// How often a tick waits for the socket: where every alarm is late, time must pass all the same.
    static let ticksPutOff = 3
    /// Literal addresses that are kept, a bound against hostile gossip; they are read again as easily.
    static let literals = 16_384
    /// Members asked over links at once: the core asks one member in a period, and a few more whose links were refused to others. Each is
    /// a handshake of some milliseconds, so a storm of them would starve what it asks about.
    static let links = 16
    /// Numbers of a sender below its highest that may still come: a sender counts what it sends to all, and a network may hold a
    /// datagram back for a second of a storm.
    static let replayWindow: UInt32 = 1_024
    /// Processes of which such a window is kept: the largest cluster that we have in mind, each process of it a few times.
    static let replaySenders = 16_384
    /// A disk that refused the keys is asked again after so long.
    static let keysPause = Duration.seconds(1)
    /// How long a start waits for the cluster's keys before it gossips with its own: longer than opening a session and registering take,
    /// shorter than anybody waits for a member to come back.
    static let keysPatience = Duration.seconds(1)
}
