// The log that all partitions of this node share: one fsync for many of them. Records are the core's; here they get bytes, and
// segments that nobody needs any more are dropped (rule R9).

import AgentCore
import DurableLog
import LogStorage
import Model
import Replication

/// What a start reads back.
struct RecoveredNodeLog {
    let log: NodeLog
    let partitions: [PartitionID: RecoveredPartition]
}

/// Used by one caller, the runtime; completions come on the log's own thread.
struct NodeLog {
    /// One kind for all: the record's first byte says what it is.
    private static let kind: UInt8 = 1

    let storage: GroupCommitLog
    private var marks: EntryMarks

    /// A record that the log gave back, checksum and all, but that is none of ours: it was written by another version.
    struct UnknownRecord: Error, CustomStringConvertible {
        let number: RecordNumber
        var description: String { "record \(number) of the node's log is of no known form" }
    }

    static func open(folder: String, store: StoreID, options: LogOptions = LogOptions()) throws -> RecoveredNodeLog {
        var partitions: [PartitionID: RecoveredPartition] = [:]
        var marks = EntryMarks()
        let storage = try GroupCommitLog(folder: folder, store: store, options: options) { record in
            guard let decoded = PartitionRecord.decoding(record.payload[...]) else {
                throw UnknownRecord(number: record.number)
            }
            marks.add(decoded, as: record.number)
            if let id = decoded.partition { partitions[id, default: RecoveredPartition()].add(decoded) }
        }
        // A log whose last segment holds nothing yet, and is all that is left.
        if marks.end < storage.end { marks = EntryMarks(end: storage.end) }
        return RecoveredNodeLog(log: NodeLog(storage: storage, marks: marks), partitions: partitions)
    }

    /// Appends records; `completion` says that they, and all before, are durable. They are never refused for want of room: the core has
    /// decided them, and what it may decide is bounded before it is asked (`Intake`).
    mutating func append(_ records: [PartitionRecord], completion: @escaping @Sendable (StorageError?) -> Void) {
        for record in records { marks.add(record) }
        let encoded = records.map { NewRecord(kind: Self.kind, payload: $0.encoded()) }
        storage.submit(encoded, isDecided: true) { result in
            switch result {
            case .success: completion(nil)
            case .failure(let error): completion(error)
            }
        }
    }

    /// Partitions of which entries are kept that stand before the newest segments.
    func laggards(after forgotten: [PartitionID: UInt64]) -> [PartitionID] {
        marks.laggards(after: forgotten, before: storage.start(ofNewest: EntryMarks.freeSegments))
    }

    /// - Returns: the first record that is still needed, given that checkpoints were appended at `checkpoint`.
    mutating func firstNeeded(after forgotten: [PartitionID: UInt64], checkpoint: RecordNumber) -> RecordNumber {
        marks.firstNeeded(after: forgotten, checkpoint: checkpoint)
    }

    var end: RecordNumber { marks.end }
}
