// What the shell is to do, in which order. `takeReady()` returns one value at a time:
//
//   1. `messages` may be sent at once: a leader's disk works while its followers' disks do.
//   2. `persist` goes to the disk, after every earlier one. When it is durable, and not before, its `answers` are sent, and then
//      `.persisted(sequence)` is stepped. Nothing in `answers` is true before that.
//      Answers that count on no write under way are among the `messages`.
//   3. `install`, then `committed`, go to the state machine, in order, each once.
//   4. `reads` may be answered when the state machine has reached their index; `failedReads` will not be answered here.

package struct Persist: Hashable, Sendable {
    /// Counts the writes of this process, without gaps.
    package let sequence: UInt64
    package let hardState: HardState
    /// Whether `hardState` must be on disk with this write; otherwise it differs in its commit index alone, or not at all.
    package let hardStateChanged: Bool
    /// Takes the place of everything on disk up to it. `replacesLog`: of everything after it too.
    package let snapshot: Snapshot?
    package let replacesLog: Bool
    /// Consecutive; the first one cuts whatever stands at its index and after it.
    package let entries: [Entry]
    /// To be sent when all of the above is durable.
    package let answers: [Envelope]

    /// Whether there is anything to write: without, the answers still wait for the writes before.
    package var needsWrite: Bool { hardStateChanged || snapshot != nil || !entries.isEmpty }
}

package struct ConfirmedRead: Hashable, Sendable {
    package let id: UInt64
    package let index: LogIndex
}

/// What a peer or a disk did that cannot be. The member takes no part any more, and says so: its store is to be set aside, and its
/// node comes back with another one.
package enum Fault: Error, Hashable, Sendable {
    /// The leader's entry contradicts one that is committed here.
    case conflictWithCommitted(EntryID)
    /// The leader says that an index is committed here which this log does not hold: acknowledged entries were lost.
    case commitBeyondLog(LogIndex, last: LogIndex)
    /// Another leader speaks in the same term.
    case secondLeader(MemberID, term: Term)
    /// Having applied the same entries up to here, this member's state is another one than a quorum's (rule C4).
    case stateDiffers(LogIndex)
}

package struct Ready: Sendable {
    package let messages: [Envelope]
    package let persist: Persist?
    package let install: Snapshot?
    package let committed: [Entry]
    package let reads: [ConfirmedRead]
    package let failedReads: [UInt64]
    package let faults: [Fault]
}
