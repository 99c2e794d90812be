import Engine
import Model
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

    @Test("a key that is no version 7 UUID is refused")
    func refused() throws {
        var wire = ProtoAppliedWrite()
        wire.keyHigh = 1
        #expect(throws: WireError.self) { try AppliedWrite(wire: wire) }
    }
}
