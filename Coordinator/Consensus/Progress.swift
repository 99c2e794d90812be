package import Model

/// What a leader knows of one member's log, and how it sends to it.
package struct Progress: Hashable, Sendable {
    package enum Mode: Hashable, Sendable {
        /// Where the logs agree is unknown: one append at a time. Can move to: replicate, snapshot.
        case probe(waiting: Bool)
        /// They agree: appends are sent ahead of their answers. Can move to: probe, snapshot.
        case replicate(InFlightWindow)
        /// What it needs is compacted away. Can move to: probe.
        case snapshot(EntryID, offset: Int, sentAt: LogicalInstant)
    }

    /// Everything up to here is on the member's disk and equal to the leader's log.
    package private(set) var match: LogIndex = .zero
    /// The next entry to send.
    package private(set) var next: LogIndex
    package private(set) var mode: Mode = .probe(waiting: false)
    /// When it answered last; nil when it has not yet.
    package var answeredAt: LogicalInstant?
    /// The newest read round that it confirmed.
    package var confirmedRound: UInt64 = 0

    /// What the last append to it said to be committed.
    package var toldCommit: LogIndex = .zero

    package init(next: LogIndex) { self.next = next }

    package func hasAnswered(since instant: LogicalInstant) -> Bool { answeredAt.map { $0 >= instant } ?? false }

    package var isReplicating: Bool {
        switch mode {
        case .replicate: true
        case .probe, .snapshot: false
        }
    }

    package var isInSnapshot: Bool {
        switch mode {
        case .snapshot: true
        case .probe, .replicate: false
        }
    }

    /// For people.
    package var modeName: String {
        switch mode {
        case .probe: "probe"
        case .replicate: "replicate"
        case .snapshot: "snapshot"
        }
    }

    /// Whether an append with entries may be sent now.
    package func maySend(_ settings: RaftSettings) -> Bool {
        switch mode {
        case .probe(let waiting): !waiting
        case .replicate(let window): !window.isFull(settings)
        case .snapshot: false
        }
    }

    /// Notes that an append that ends at `last` is on its way.
    package mutating func sent(upTo last: LogIndex, bytes: Int) {
        switch mode {
        case .probe: mode = .probe(waiting: true)
        case .replicate(var window):
            guard last >= next else { return }
            window.add(last, bytes: bytes)
            next = last.next
            mode = .replicate(window)
        case .snapshot: break
        }
    }

    /// Takes an acknowledgement; old and doubled ones do no harm.
    /// - Returns: whether `match` has risen.
    package mutating func matched(_ index: LogIndex) -> Bool {
        let rises = index > match
        if rises { match = index }
        next = max(next, match.next)
        switch mode {
        case .probe:
            mode = .replicate(InFlightWindow())
            next = match.next
        case .replicate(var window):
            window.free(upTo: index)
            mode = .replicate(window)
        case .snapshot(let snapshot, _, _):
            if match >= snapshot.index {
                mode = .probe(waiting: false)
                next = match.next
            }
        }
        return rises
    }

    /// Takes a refusal of the append after `at`.
    /// - Returns: false when the refusal is old and nothing changes.
    package mutating func rejected(at: LogIndex, agreesAtLatest hint: LogIndex) -> Bool {
        switch mode {
        case .replicate:
            guard at > match else { return false }
            mode = .probe(waiting: false)
            next = match.next
        case .probe:
            guard at == next.previous else { return false }
            next = max(min(at, hint.next), match.next)
            mode = .probe(waiting: false)
        case .snapshot: return false
        }
        return true
    }

    /// An answer to a heartbeat shows that the link works: a probe that was lost may be repeated.
    package mutating func linkWorks() {
        if case .probe = mode { mode = .probe(waiting: false) }
    }

    /// What was on its way may be lost: ask where the logs agree.
    package mutating func linkBroken() {
        if case .replicate = mode {
            mode = .probe(waiting: false)
            next = match.next
        }
    }

    package mutating func sendSnapshot(_ id: EntryID, offset: Int, at now: LogicalInstant) {
        mode = .snapshot(id, offset: offset, sentAt: now)
    }
}

/// The appends on their way to one follower, bounded by count and by bytes.
package struct InFlightWindow: Hashable, Sendable {
    private struct Item: Hashable, Sendable {
        let last: LogIndex
        let bytes: Int
    }
    private var items: [Item] = []
    private var bytes = 0

    package init() {}

    package var isEmpty: Bool { items.isEmpty }

    package func isFull(_ settings: RaftSettings) -> Bool {
        items.count >= settings.inFlightMessages || bytes >= settings.inFlightBytes
    }

    package mutating func add(_ last: LogIndex, bytes count: Int) {
        items.append(Item(last: last, bytes: count))
        bytes += count
    }

    package mutating func free(upTo index: LogIndex) {
        let freed = items.prefix { $0.last <= index }
        bytes -= freed.reduce(0) { $0 + $1.bytes }
        items.removeFirst(freed.count)
    }
}
