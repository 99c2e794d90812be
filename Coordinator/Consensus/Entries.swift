// Terms, indices and the entries that they name.

/// Counts elections; at most one leader in each.
package struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static let zero = Term(0)
    package var next: Term { Term(number + 1) }
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    package var description: String { "T\(number)" }
}

/// A place in the log; the first entry stands at 1.
package struct LogIndex: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static let zero = LogIndex(0)
    package var next: LogIndex { LogIndex(number + 1) }
    /// The place before; zero has none and stays.
    package var previous: LogIndex { LogIndex(number == 0 ? 0 : number - 1) }
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    package var description: String { "#\(number)" }
}

/// Names one entry: two logs that hold the same one are equal up to it (Raft §5.3).
package struct EntryID: Hashable, Sendable, CustomStringConvertible {
    package let term: Term
    package let index: LogIndex

    package init(term: Term, index: LogIndex) {
        self.term = term
        self.index = index
    }

    package static let zero = EntryID(term: .zero, index: .zero)

    /// Whether a log that ends here is at least as complete as one that ends at `other` (Raft §5.4.1).
    package func isAtLeastAsUpToDate(as other: EntryID) -> Bool {
        (term.number, index.number) >= (other.term.number, other.index.number)
    }

    package var description: String { "\(index)@\(term)" }
}

package enum EntryContent: Hashable, Sendable {
    /// A new leader's first entry: by committing it, it commits everything before it (Raft §8).
    case leaderStarted
    /// A command, in the bytes of whoever proposed it.
    case command([UInt8])
    /// The group's members from here on, in force as soon as it is appended.
    case configuration(MemberConfiguration)

    /// What the entry counts for against limits of bytes: its payload and a little for its envelope.
    var weight: Int {
        switch self {
        case .command(let bytes): bytes.count + 32
        case .leaderStarted, .configuration: 64
        }
    }
}

package struct Entry: Hashable, Sendable {
    package let id: EntryID
    package let content: EntryContent

    package init(id: EntryID, content: EntryContent) {
        self.id = id
        self.content = content
    }
}

/// What must survive a crash besides the entries: without it a member could vote twice in a term.
package struct HardState: Hashable, Sendable {
    package var term: Term
    package var vote: MemberID?
    /// A hint that lets a restarted member show what it knew; never ahead of the log, as far as it was handed to the disk before. Needs
    /// no flush of its own.
    package var commit: LogIndex

    package init(term: Term = .zero, vote: MemberID? = nil, commit: LogIndex = .zero) {
        self.term = term
        self.vote = vote
        self.commit = commit
    }
}

/// The state machine at one entry, with the membership in force there: it takes the place of all entries up to it.
package struct Snapshot: Hashable, Sendable {
    package let id: EntryID
    package let configuration: MemberConfiguration
    /// Where the configuration stands in the log, at `id` or before it. Of two configurations the later one is the newer, wherever they
    /// were found: taken for as new as its snapshot, an old one would look newer than what took its place (matrixone #24966).
    package let configurationIndex: LogIndex
    package internal(set) var contents: SnapshotContents

    /// - Parameter configurationIndex: nil where only the snapshot's own place is known.
    /// - Precondition: the configuration does not stand behind `id`.
    package init(id: EntryID, configuration: MemberConfiguration, configurationIndex: LogIndex? = nil, data: [UInt8]) {
        let place = configurationIndex ?? id.index
        precondition(place <= id.index, "a configuration at \(place) in a snapshot of \(id)")
        self.id = id
        self.configuration = configuration
        self.configurationIndex = place
        contents = SnapshotContents(data)
    }

    /// All of its bytes; none when they are not in memory and cannot be read.
    package var data: [UInt8] { contents.bytes(in: 0..<contents.count) ?? [] }

    /// Where a new group begins: no entry yet, and the founding members.
    package static func founding(_ configuration: MemberConfiguration) -> Snapshot {
        Snapshot(id: .zero, configuration: configuration, data: [])
    }
}
