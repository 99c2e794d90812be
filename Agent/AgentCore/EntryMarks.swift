// Which records of the node's log somebody still needs (rule R9). The log is cut by segments, and all partitions write into the same ones:
// of each is known where its entries stand, so that the oldest that one of them needs says how much of the log may go.

package import DurableLog
package import Model
package import Replication

package struct EntryMarks: Sendable {
    /// Within so many segments, the one being written among them, a partition may keep on disk whatever it keeps in memory.
    package static let freeSegments = 3

    private struct Mark {
        let number: RecordNumber
        let through: UInt64
    }

    /// For each partition, in log order: which record holds which entry.
    private var marks: [PartitionID: [Mark]] = [:]
    /// The number of the next record.
    package private(set) var end: RecordNumber

    package init(end: RecordNumber = .first) { self.end = end }

    /// A record that stands at the end of the log: handed to it, or read back, under its number.
    package mutating func add(_ record: PartitionRecord, as number: RecordNumber? = nil) {
        let number = number ?? end
        switch record {
        case .entry(let id, let entry): marks[id, default: []].append(Mark(number: number, through: entry.sequence))
        case .dropped(let id), .reset(let id, _): marks[id] = nil
        case .cut(let id, let through):
            while let last = marks[id]?.last, last.through > through { marks[id]?.removeLast() }
        default: break
        }
        end = number.advanced(by: 1)
    }

    /// How many entries it knows the place of: those of segments that were not dropped yet.
    package var count: Int { marks.values.reduce(0) { $0 + $1.count } }

    /// Partitions of which entries are kept that stand before the newest segments: what one of them keeps there, all keep.
    ///
    /// - Parameters:
    ///   - forgotten: up to which sequence each partition needs none of its entries (`AgentCore.forgotten`).
    ///   - start: the first record of the newest segments.
    package func laggards(after forgotten: [PartitionID: UInt64], before start: RecordNumber) -> [PartitionID] {
        marks.compactMap { id, list in
            guard let through = forgotten[id], let mark = list.first(where: { $0.through > through }) else { return nil }
            return mark.number < start ? id : nil
        }.sorted()
    }

    /// Forgets marks up to what each partition no longer needs.
    ///
    /// - Returns: the first record that is still needed, given that checkpoints were appended at `checkpoint`.
    package mutating func firstNeeded(after forgotten: [PartitionID: UInt64], checkpoint: RecordNumber) -> RecordNumber {
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
}
