package import Consensus
package import DurableLog
import Model
package import Wire

/// What one record of a member's log says.
package enum RaftRecord: Hashable, Sendable {
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

    package var record: NewRecord {
        switch self {
        case .entry(let entry): NewRecord(kind: Kind.entry, payload: entry.serialized())
        case .hardState(let state): NewRecord(kind: Kind.hardState, payload: state.serialized())
        case .reset(let id): NewRecord(kind: Kind.reset, payload: id.serialized())
        }
    }

    /// - Throws: `WireError` when the record is whole but unknown to this version.
    package init(_ record: LogRecord) throws(WireError) {
        switch record.kind {
        case Kind.entry: self = .entry(try Consensus.Entry(bytes: record.payload))
        case Kind.hardState: self = .hardState(try HardState(bytes: record.payload))
        case Kind.reset: self = .reset(try EntryID(bytes: record.payload))
        default: throw WireError("RaftRecord.kind", .unknown(Int(record.kind)))
        }
    }
}
