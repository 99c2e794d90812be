// A member's records read back into the log that they amount to, and the judgement whether that is all of it.

import Consensus
import DurableLog
import Model
import Wire

/// Why a member's disk does not hold all that the member has promised (rule C2): it neither votes nor leads with it.
package struct DamagedMember: Error, Hashable, Sendable, CustomStringConvertible {
    package let reason: String
    package var description: String { reason }
}

/// Takes a member's records, oldest first.
struct RaftReplay: Sendable {
    /// The newest snapshot on disk that is whole, found before the records are read.
    var snapshot: Consensus.Snapshot?
    private(set) var places = EntryPlaces()
    private(set) var hardState = HardState()
    private var entries: [Consensus.Entry] = []
    /// Up to where a snapshot took the place of everything before.
    private var reset: EntryID?

    /// What the records and the snapshot amount to.
    struct Outcome: Hashable, Sendable {
        /// Those after the snapshot, consecutive.
        let entries: [Consensus.Entry]
        /// Whether the records hold entries that the snapshot has made void. To be said in the log before anything is added to it: the
        /// next start would take what follows for void as well.
        let mustReset: Bool
    }

    mutating func take(_ record: LogRecord) throws(WireError) {
        switch try RaftRecord(record) {
        case .entry(let entry):
            if let first = entries.first?.id.index, entry.id.index >= first,
                entry.id.index.number - first.number <= UInt64(entries.count)
            {
                entries.removeLast(entries.count - Int(entry.id.index.number - first.number))
            } else {
                entries = []
            }
            entries.append(entry)
            places.append(entry.id.index, at: record.number)
        case .hardState(let state): hardState = state
        case .reset(let id):
            entries = []
            places.removeAll()
            reset = id
        }
    }

    /// The log behind the snapshot. An entry that contradicts the snapshot at its index ends the log there, and so does a log that
    /// ends before it: the snapshot came from a leader, and the process died before the record that says so was durable.
    ///
    /// - Throws: when entries between the snapshot and the log are in neither, or entries that were known to be committed.
    func finish() throws(DamagedMember) -> Outcome {
        let covered = snapshot?.id ?? .zero
        let end = max(entries.last?.id.index ?? .zero, covered.index)
        guard hardState.commit <= end else {
            throw DamagedMember(reason: "\(hardState.commit) was committed here, and what is on disk ends with \(end)")
        }
        if let reset, reset.index > covered.index {
            throw DamagedMember(reason: "the snapshot at \(reset), which took the log's place, is not there or not whole")
        }
        guard let first = entries.first?.id.index, let last = entries.last?.id.index else {
            return Outcome(entries: [], mustReset: false)
        }
        guard first <= covered.index.next else {
            throw DamagedMember(
                reason: "the log begins with entry \(first), and the newest snapshot that is whole ends with \(covered.index)")
        }
        let contradicts = entries.contains { $0.id.index == covered.index && $0.id.term != covered.term }
        guard !contradicts, last >= covered.index else { return Outcome(entries: [], mustReset: true) }
        return Outcome(entries: entries.filter { $0.id.index > covered.index }, mustReset: false)
    }
}

/// At which record each entry stands: consecutive indices, so an array and its first index.
struct EntryPlaces: Hashable, Sendable {
    private var first = LogIndex.zero
    private var numbers: [RecordNumber] = []

    /// The entry at `index` is at `number`; whatever stood at that index and after it is gone.
    mutating func append(_ index: LogIndex, at number: RecordNumber) {
        if numbers.isEmpty || index < first || index.number > first.number + UInt64(numbers.count) {
            numbers = []
            first = index
        } else {
            numbers.removeLast(numbers.count - Int(index.number - first.number))
        }
        numbers.append(number)
    }

    mutating func removeAll() { numbers = [] }

    /// Nil when the entry is not there.
    func place(of index: LogIndex) -> RecordNumber? {
        guard index >= first, index.number - first.number < UInt64(numbers.count) else { return nil }
        return numbers[Int(index.number - first.number)]
    }

    mutating func forget(below index: LogIndex) {
        guard index > first, index.number - first.number <= UInt64(numbers.count) else { return }
        numbers.removeFirst(Int(index.number - first.number))
        first = index
    }
}
