// What members say to each other. One case for each kind of message, each with exactly its fields; the shell's links name the
// cluster and the sender, so that a message never has to.

package struct Envelope: Hashable, Sendable {
    package let to: MemberID
    package let message: Message

    package init(to: MemberID, message: Message) {
        self.to = to
        self.message = message
    }
}

package enum Message: Hashable, Sendable {
    case preVoteRequest(VoteRequest)
    case preVoteAnswer(VoteAnswer)
    case voteRequest(VoteRequest)
    case voteAnswer(VoteAnswer)
    case append(Append)
    case appendAnswer(AppendAnswer)
    case heartbeat(Heartbeat)
    case heartbeatAnswer(HeartbeatAnswer)
    case snapshotChunk(SnapshotChunk)
    case snapshotAnswer(SnapshotAnswer)
    case timeoutNow(TimeoutNow)
    case readRequest(ReadRequest)
    case readAnswer(ReadAnswer)

    package var term: Term {
        switch self {
        case .preVoteRequest(let m), .voteRequest(let m): m.term
        case .preVoteAnswer(let m), .voteAnswer(let m): m.term
        case .append(let m): m.term
        case .appendAnswer(let m): m.term
        case .heartbeat(let m): m.term
        case .heartbeatAnswer(let m): m.term
        case .snapshotChunk(let m): m.term
        case .snapshotAnswer(let m): m.term
        case .timeoutNow(let m): m.term
        case .readRequest(let m): m.term
        case .readAnswer(let m): m.term
        }
    }
}

package struct VoteRequest: Hashable, Sendable {
    /// The term for which the vote is asked; of a pre-vote, the one that the asker would open.
    package let term: Term
    /// The end of the asker's log.
    package let last: EntryID
    /// The leader asked for this election itself: hearing it is no reason to refuse. Never set in a pre-vote.
    package let isTransfer: Bool

    package init(term: Term, last: EntryID, isTransfer: Bool = false) {
        self.term = term
        self.last = last
        self.isTransfer = isTransfer
    }
}

package struct VoteAnswer: Hashable, Sendable {
    /// Granted: the term asked for. Refused: the refuser's own, which the asker adopts if it is newer, so that a member with the
    /// longest log on an old term is never refused for ever.
    package let term: Term
    package let granted: Bool

    package init(term: Term, granted: Bool) {
        self.term = term
        self.granted = granted
    }
}

package struct Append: Hashable, Sendable {
    package let term: Term
    package let previous: EntryID
    package let entries: [Entry]
    package let commit: LogIndex

    package init(term: Term, previous: EntryID, entries: [Entry], commit: LogIndex) {
        self.term = term
        self.previous = previous
        self.entries = entries
        self.commit = commit
    }
}

package struct AppendAnswer: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        /// On disk up to here, equal to the leader's log.
        case matched(LogIndex)
        /// `at` is not there or of another term. The logs can agree at `hint` at the latest.
        case rejected(at: LogIndex, hint: EntryID)
        /// The sender's term is over; only `term` matters.
        case staleTerm
    }
    package let term: Term
    package let outcome: Outcome

    package init(term: Term, outcome: Outcome) {
        self.term = term
        self.outcome = outcome
    }
}

package struct Heartbeat: Hashable, Sendable {
    package let term: Term
    /// Never ahead of what the receiver is known to hold.
    package let commit: LogIndex
    /// The newest read round of this leader; the answer echoes it.
    package let round: UInt64

    package init(term: Term, commit: LogIndex, round: UInt64) {
        self.term = term
        self.commit = commit
        self.round = round
    }
}

package struct HeartbeatAnswer: Hashable, Sendable {
    package let term: Term
    package let round: UInt64

    package init(term: Term, round: UInt64) {
        self.term = term
        self.round = round
    }
}

package struct SnapshotChunk: Hashable, Sendable {
    package let term: Term
    package let snapshot: EntryID
    package let configuration: MemberConfiguration
    /// Where the configuration stands in the log; never behind the snapshot.
    package let configurationIndex: LogIndex
    package let totalBytes: Int
    /// Of all of the snapshot's bytes, CRC-32C.
    package let checksum: UInt32
    package let offset: Int
    package let bytes: [UInt8]

    package init(
        term: Term, snapshot: EntryID, configuration: MemberConfiguration, configurationIndex: LogIndex, totalBytes: Int,
        checksum: UInt32, offset: Int, bytes: [UInt8]
    ) {
        self.term = term
        self.snapshot = snapshot
        self.configuration = configuration
        self.configurationIndex = configurationIndex
        self.totalBytes = totalBytes
        self.checksum = checksum
        self.offset = offset
        self.bytes = bytes
    }
}

package struct SnapshotAnswer: Hashable, Sendable {
    package let term: Term
    package let snapshot: EntryID
    /// The chunk wanted next starts here.
    package let nextOffset: Int

    package init(term: Term, snapshot: EntryID, nextOffset: Int) {
        self.term = term
        self.snapshot = snapshot
        self.nextOffset = nextOffset
    }
}

/// The leader has its follower take over at once (thesis §3.10).
package struct TimeoutNow: Hashable, Sendable {
    package let term: Term

    package init(term: Term) { self.term = term }
}

/// A follower asks up to where its state machine must have come before it may answer the reads that wait there.
package struct ReadRequest: Hashable, Sendable {
    package let term: Term
    package let number: UInt64

    package init(term: Term, number: UInt64) {
        self.term = term
        self.number = number
    }
}

package struct ReadAnswer: Hashable, Sendable {
    package let term: Term
    package let number: UInt64
    package let index: LogIndex

    package init(term: Term, number: UInt64, index: LogIndex) {
        self.term = term
        self.number = number
        self.index = index
    }
}
