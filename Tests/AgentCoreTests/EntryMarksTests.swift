import AgentCore
import DurableLog
import Model
import Replication
import Testing

@Suite struct EntryMarksTests {
    private let quiet = PartitionID(1)
    private let busy = PartitionID(2)

    private func entry(_ partition: PartitionID, _ sequence: UInt64) -> PartitionRecord {
        let position = Position(epoch: Epoch(1), run: 1, sequence: sequence)
        return .entry(partition, Entry(position: position, body: .opening, after: 0))
    }

    /// Record 1 is the quiet partition's only entry, records 2 to 9 are the busy one's.
    private var marks: EntryMarks {
        var marks = EntryMarks()
        marks.add(entry(quiet, 1))
        for sequence in 1...8 { marks.add(entry(busy, UInt64(sequence))) }
        return marks
    }

    @Test("what one partition keeps before the newest segments makes it a laggard, and nothing else does")
    func laggards() {
        #expect(marks.laggards(after: [quiet: 0, busy: 4], before: RecordNumber(5)) == [quiet])
        #expect(marks.laggards(after: [quiet: 1, busy: 2], before: RecordNumber(5)) == [busy])
        #expect(marks.laggards(after: [quiet: 1, busy: 4], before: RecordNumber(5)) == [])
    }

    @Test("the first record that is needed holds the oldest entry that some partition has not given up")
    func firstNeeded() {
        var marks = marks
        #expect(marks.firstNeeded(after: [quiet: 0, busy: 3], checkpoint: marks.end) == RecordNumber(1))
        #expect(marks.firstNeeded(after: [quiet: 1, busy: 4], checkpoint: marks.end) == RecordNumber(6))
        #expect(marks.firstNeeded(after: [quiet: 1, busy: 8], checkpoint: marks.end) == RecordNumber(10))
        #expect(marks.count == 0)
    }

    @Test("a partition that is gone needs nothing")
    func gone() {
        var marks = marks
        #expect(marks.firstNeeded(after: [busy: 6], checkpoint: marks.end) == RecordNumber(8))
    }

    @Test("what was dropped, begun anew or cut off at its end holds nothing back")
    func endings() {
        for ending in [PartitionRecord.dropped(busy), .reset(busy, LogPoint(position: .zero, checksum: 0))] {
            var marks = marks
            marks.add(ending)
            #expect(marks.firstNeeded(after: [quiet: 1, busy: 0], checkpoint: marks.end) == RecordNumber(11))
        }
        var marks = marks
        marks.add(.cut(busy, through: 5))
        #expect(marks.firstNeeded(after: [quiet: 1, busy: 5], checkpoint: marks.end) == RecordNumber(11))
        marks.add(entry(busy, 6))
        #expect(marks.firstNeeded(after: [quiet: 1, busy: 5], checkpoint: marks.end) == RecordNumber(11))
    }

    @Test("numbers go on where the log that was read back ends")
    func numbers() {
        var marks = EntryMarks()
        marks.add(entry(quiet, 7), as: RecordNumber(40))
        marks.add(.beat)
        #expect(marks.end == RecordNumber(42))
        #expect(marks.laggards(after: [quiet: 6], before: RecordNumber(41)) == [quiet])
    }
}
