import Consensus
import DurableLog
import Model
import Wire

/// What one record of a member's log says.
enum RaftRecord: Hashable, Sendable {
    /// Cuts whatever stands at its index and after it.
    case entry(Consensus.Entry)
    case hardState(HardState)
    /// A snapshot up to here took the place of everything before this record.
    case reset(EntryID)

    private enum Kind {
        static let entry: UInt8 = 1
        static let hardState: UInt8 = 2
        static let reset: UInt8 = 3
    }

    var record: NewRecord {
        switch self {
        case .entry(let entry): NewRecord(kind: Kind.entry, payload: entry.serialized())
        case .hardState(let state): NewRecord(kind: Kind.hardState, payload: state.serialized())
        case .reset(let id): NewRecord(kind: Kind.reset, payload: id.serialized())
        }
    }

    /// - Throws: `WireError` when the record is whole but unknown to this version.
    init(_ record: LogRecord) throws(WireError) {
        switch record.kind {
        case Kind.entry: self = .entry(try Consensus.Entry(bytes: record.payload))
        case Kind.hardState: self = .hardState(try HardState(bytes: record.payload))
        case Kind.reset: self = .reset(try EntryID(bytes: record.payload))
        default: throw WireError("RaftRecord.kind", .unknown(Int(record.kind)))
        }
    }
}

/// Reads a member's records back, oldest first, into the log that they amount to.
struct RaftReplay: Sendable {
    /// The newest snapshot on disk, found before the records are read.
    var snapshot: Consensus.Snapshot?
    private(set) var places = EntryPlaces()
    private var hardState = HardState()
    private var entries: [Consensus.Entry] = []

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
        case .reset:
            entries = []
            places.removeAll()
        }
    }

    /// The log behind the snapshot. An entry that contradicts the snapshot at its index ends the log there: the snapshot came from
    /// a leader, and the process died before the record that says so was durable.
    func finish() -> RaftStore.Recovered {
        guard let covered = snapshot?.id else {
            return RaftStore.Recovered(hardState: hardState, snapshot: nil, entries: entries)
        }
        let contradicts = entries.contains { $0.id.index == covered.index && $0.id.term != covered.term }
        let behind = contradicts ? [] : entries.filter { $0.id.index > covered.index }
        let isConnected = behind.first.map { $0.id.index == covered.index.next } ?? true
        return RaftStore.Recovered(hardState: hardState, snapshot: snapshot, entries: isConnected ? behind : [])
    }
}
