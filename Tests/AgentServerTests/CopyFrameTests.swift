import Engine
import Model
import Replication
import Testing
import Wire

@testable import AgentServer

@Suite struct CopyFrameTests {
    @Test("a block of a copy is read as it was written, with rows, with what is remembered of writes, and with neither")
    func blocks() throws {
        let key = try IdempotencyKey("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
        let position = Position(epoch: Epoch(4), run: 2, sequence: 9)
        let write = AppliedWrite(key: key, row: Key([1, 2]), checksum: .max, position: position)
        let spans = [(1_600_000_000_000, 1_600_000_001_000), (1_700_000_000_000, 1_700_000_007_000)].map {
            WallTime(milliseconds: $0)..<WallTime(milliseconds: $1)
        }
        let record = WriteRecord([write], forgotten: ForgottenKeys(spans))
        let rows = [Row(key: Key([7]), values: [.integer(1), .null])]
        for block in [
            RowBlock(rows), RowBlock([], record), RowBlock([]), RowBlock([], WriteRecord([], forgotten: record.forgotten)),
            RowBlock(pages: PageRun(first: 129, bytes: [1, 0, 2])),
        ] {
            #expect(try RowBlock(bytes: block.serialized()) == block)
        }
    }

    @Test("what an older version tells of forgotten keys is all time before them, and what it is told lacks none")
    func olderVersions() throws {
        var wire = ProtoWriteRecord()
        wire.horizon = 1_700_000_000_000
        let forgotten = try WriteRecord(wire: wire).forgotten
        #expect(forgotten.contains(WallTime(milliseconds: 5)) && forgotten.contains(WallTime(milliseconds: 1_699_999_999_999)))
        #expect(!forgotten.contains(WallTime(milliseconds: 1_700_000_000_000)))
        #expect(WriteRecord([], forgotten: forgotten).wire.horizon == wire.horizon)
    }

    @Test("an offer of pages and its answer are read as they were written; one of no pages, or of too many, is refused")
    func offers() throws {
        let term = Term(epoch: Epoch(4), run: 2)
        var copy = CopyStart(
            partition: PartitionID(1), epoch: Epoch(4), term: term, storage: StorageID(2),
            start: LogPoint(position: Position(epoch: Epoch(4), run: 2, sequence: 9), checksum: 5), advances: true)
        for image in [PageImage(number: .max, pages: 1), PageImage(number: 0, pages: UInt64(UInt32.max) - 1), nil] {
            copy.image = image
            #expect(try CopyFrame(bytes: CopyFrame.begin(copy).serialized()) == .begin(copy))
        }
        for answer in [CopyFrame.resume(chunk: 7, after: nil, pages: true), .resume(chunk: 7, after: Key([1]))] {
            #expect(try CopyFrame(bytes: answer.serialized()) == answer)
        }
        for pages in [0, UInt64(UInt32.max), .max] {
            copy.image = PageImage(number: 1, pages: pages)
            let bytes = CopyFrame.begin(copy).serialized()
            #expect(throws: WireError.self) { try CopyFrame(bytes: bytes) }
        }
    }

    @Test("a key that is no version 7 UUID is refused")
    func refused() throws {
        var wire = ProtoAppliedWrite()
        wire.keyHigh = 1
        #expect(throws: WireError.self) { try AppliedWrite(wire: wire) }
    }
}
