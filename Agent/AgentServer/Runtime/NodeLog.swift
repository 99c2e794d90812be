// The log that all partitions of this node share: one fsync for many of them. Records are the core's; here they get bytes, and
// segments that nobody needs any more are dropped (rule R9).

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

    /// Within so many segments, the one being written among them, a partition may keep on disk whatever it keeps in memory.
    private static let freeSegments = 3

    let storage: GroupCommitLog
    /// For each partition, where its entries stand: the number of an append's first record, the last sequence in it.
    private var marks: [PartitionID: [Mark]] = [:]
    private var nextNumber: RecordNumber

    private struct Mark {
        let number: RecordNumber
        let through: UInt64
    }

    /// A record that the log gave back, checksum and all, but that is none of ours: it was written by another version.
    struct UnknownRecord: Error, CustomStringConvertible {
        let number: RecordNumber
        var description: String { "record \(number) of the node's log is of no known form" }
    }

    static func open(folder: String, store: StoreID, options: LogOptions = LogOptions()) throws -> RecoveredNodeLog {
        var partitions: [PartitionID: RecoveredPartition] = [:]
        var marks: [PartitionID: [Mark]] = [:]
        let storage = try GroupCommitLog(folder: folder, store: store, options: options) { record in
            guard let decoded = PartitionRecord.decoding(record.payload[...]) else {
                throw UnknownRecord(number: record.number)
            }
            guard let id = decoded.partition else { return }
            partitions[id, default: RecoveredPartition()].add(decoded)
            if case .entry(_, let entry) = decoded {
                marks[id, default: []].append(Mark(number: record.number, through: entry.sequence))
            }
        }
        let log = NodeLog(storage: storage, marks: marks, nextNumber: storage.end)
        return RecoveredNodeLog(log: log, partitions: partitions)
    }

    /// Appends records; `completion` says that they, and all before, are durable. They are never refused for want of room: the core has
    /// decided them, and what it may decide is bounded before it is asked (`Intake`).
    mutating func append(_ records: [PartitionRecord], completion: @escaping @Sendable (StorageError?) -> Void) {
        for (offset, record) in records.enumerated() {
            guard case .entry(let id, let entry) = record else { continue }
            marks[id, default: []].append(Mark(number: nextNumber.advanced(by: offset), through: entry.sequence))
        }
        nextNumber = nextNumber.advanced(by: records.count)
        let encoded = records.map { NewRecord(kind: Self.kind, payload: $0.encoded()) }
        storage.submit(encoded, isDecided: true) { result in
            switch result {
            case .success: completion(nil)
            case .failure(let error): completion(error)
            }
        }
    }

    /// Partitions of which entries are kept that stand before the newest segments: what one of them keeps there, all keep.
    func laggards(after forgotten: [PartitionID: UInt64]) -> [PartitionID] {
        let start = storage.start(ofNewest: Self.freeSegments)
        return marks.compactMap { id, list in
            guard let through = forgotten[id], let mark = list.first(where: { $0.through > through }) else { return nil }
            return mark.number < start ? id : nil
        }
    }

    /// Forgets marks up to what each partition no longer needs.
    ///
    /// - Returns: the first record that is still needed, given that checkpoints were appended at `checkpoint`.
    mutating func firstNeeded(after forgotten: [PartitionID: UInt64], checkpoint: RecordNumber) -> RecordNumber {
        var first = checkpoint
        for (id, list) in marks {
            guard let through = forgotten[id] else {
                marks[id] = nil
                continue
            }
            let kept = list.drop { $0.through <= through }
            marks[id] = Array(kept)
            if let mark = kept.first { first = min(first, mark.number) }
        }
        return first
    }

    var end: RecordNumber { nextNumber }
}
