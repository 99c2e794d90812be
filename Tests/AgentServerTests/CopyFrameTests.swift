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
        let record = WriteRecord([write], horizon: WallTime(milliseconds: 1_700_000_000_000))
        let rows = [Row(key: Key([7]), values: [.integer(1), .null])]
        for block in [
            RowBlock(rows), RowBlock([], record), RowBlock([]), RowBlock([], WriteRecord([], horizon: record.horizon)),
        ] {
            #expect(try RowBlock(bytes: block.serialized()) == block)
        }
    }

    @Test("a key that is no version 7 UUID is refused")
    func refused() throws {
        var wire = ProtoAppliedWrite()
        wire.keyHigh = 1
        #expect(throws: WireError.self) { try AppliedWrite(wire: wire) }
    }
}
