// How far one peer has come, as its primary knows it.

import Model

struct PeerProgress: Hashable, Sendable {
    enum Mode: Hashable, Sendable {
        /// Looking for the last place where the two logs agree; one prepare at a time. *Can move to: streaming, snapshot.*
        case probing
        /// Prepares follow each other without waiting, up to the window. *Can move to: probing (loss), snapshot.*
        case streaming
        /// The log no longer reaches back to where the peer stands. *Can move to: probing, when the peer has its snapshot.*
        case snapshot
    }

    /// How long a peer that was late is not let in, and until when: one whose disk takes longer than others wait for would be made to
    /// leave as soon as it is in, again and again, and each time all writers wait.
    struct Lateness: Hashable, Sendable {
        static let shortest = Span.milliseconds(500)
        static let longest = Span.seconds(8)

        let span: Span
        let until: LogicalInstant

        /// Whoever is late again soon after is given twice as long.
        func next(at now: LogicalInstant) -> Span { now < until + span * 4 ? min(span * 2, Self.longest) : Self.shortest }
    }

    struct Flight: Hashable, Sendable {
        let through: UInt64
        let bytes: Int
    }

    var mode = Mode.probing
    /// The newest of the peer's logs that was heard of; what is known of an older one says nothing.
    var incarnation: UInt64 = 0
    /// The next sequence to send.
    var next: UInt64
    /// On the peer's disk, under the present term.
    var durable: UInt64 = 0
    /// In the peer's log, under the present term.
    var received: UInt64 = 0
    var flights: [Flight] = []
    var sentAt: LogicalInstant?
    /// The commit point of the last prepare.
    var sentCommit: UInt64 = 0
    /// Since when the peer owes progress; nil when it owes none.
    var stalledSince: LogicalInstant?
    private(set) var heardAt: LogicalInstant?
    /// When the first thing was asked of it that nothing has been heard since.
    var unansweredSince: LogicalInstant?
    /// It owed progress for longer than others wait for.
    private(set) var lateness: Lateness?
    /// The epoch in which it last said what it has.
    var saidIn = Epoch(0)
    /// When it last spoke, by its own clock.
    var spokenAt: LogicalInstant?
    var verified: ReplicationMessage.VerifyReport?
    var engine = EngineProgress()
    /// Entries after this one are kept, within the budget, for a snapshot that is on its way, or that broke and may go on.
    var pin: UInt64?
    /// It was built from a snapshot in this primary's life, or before it and is not known to have been compared since.
    var cameBySnapshot = false
    /// The peer's log ends below what it acknowledged (rule E4).
    var hasLost = false

    init(next: UInt64) { self.next = next }

    /// Met anew: what it acknowledged before says nothing any more.
    init(next: UInt64, after last: PeerProgress?) {
        self.init(next: next)
        lateness = last?.lateness
    }

    var flightBytes: Int { flights.reduce(0) { $0 + $1.bytes } }

    /// Whether anything was heard of it in the last `patience`: each prepare is acknowledged, and each beacon answered.
    func isHeard(within patience: Span, at now: LogicalInstant) -> Bool {
        heardAt.map { now < $0 + patience } ?? false
    }

    mutating func heard(at now: LogicalInstant) {
        heardAt = now
        unansweredSince = nil
    }

    /// - Parameter isRequired: writers waited for it.
    mutating func wasLate(at now: LogicalInstant, isRequired: Bool) {
        let span: Span
        if let lateness, now < lateness.until || !isRequired {
            span = lateness.span
        } else {
            span = lateness?.next(at: now) ?? Lateness.shortest
        }
        lateness = Lateness(span: span, until: now + span)
    }

    /// Whether it has kept up for long enough to be let in.
    func keepsUp(at now: LogicalInstant) -> Bool { lateness.map { now >= $0.until } ?? true }

    mutating func landed(through sequence: UInt64) {
        flights.removeAll { $0.through <= sequence }
    }

    /// Whether word of that log counts. A newer log than the one known holds nothing until it says so: the peer has started again,
    /// or was built anew, and what it acknowledged before may be gone.
    mutating func hears(_ incarnation: UInt64, last: UInt64) -> Bool {
        guard incarnation > self.incarnation else { return incarnation == self.incarnation }
        self.incarnation = incarnation
        (durable, received, flights, engine, spokenAt) = (0, 0, [], EngineProgress(), nil)
        if mode == .streaming { mode = .probing }
        next = last + 1
        return true
    }

    /// Goes back to the last place that the peer acknowledged.
    mutating func probeAgain() {
        mode = .probing
        flights = []
        next = max(received, durable) + 1
    }
}
