import Model
import Testing

@testable import Replication

@Suite struct PartitionRecordTests {
    private static func records() throws -> [PartitionRecord] {
        let id = PartitionID(77)
        let point = LogPoint(position: Position(epoch: Epoch(3), run: 2, sequence: 9), checksum: 0xABCD_EF01)
        let hard = HardState(
            epoch: Epoch(4), run: 6, fence: Fence(operation: OperationID(8), epoch: Epoch(4)),
            pendingJoin: PendingJoin(node: try NodeID("node-1"), store: StoreID(.max), expecting: Epoch(4)))
        let key = try IdempotencyKey("01890a5d-ac96-774b-bcce-b302099a8057")
        let once = WriteOnce(key: key, horizon: WallTime(milliseconds: -1))
        let bodies: [EntryBody] = [
            .opening, .write([]), .write([1, 2, 3]), .write([1, 2, 3], once), .verify(OperationID(5)), .split(OperationID(5)),
            .cancelSplit(OperationID(5)),
        ]
        return bodies.map { .entry(id, Entry(position: point.position, body: $0, after: 7)) } + [
            .cut(id, through: 12), .reset(id, point), .hardState(id, hard), .hardState(id, HardState()),
            .hardState(id, HardState(epoch: Epoch(4), pendingJoin: hard.pendingJoin, isCopied: true)),
            .hardState(id, HardState(isCopied: true)),
            .checkpoint(id, point, hard), .dropped(id), .beat,
        ]
    }

    @Test("every record is read back as it was written, and no shorter or longer text is one")
    func roundTrip() throws {
        for record in try Self.records() {
            let bytes = record.encoded()
            #expect(PartitionRecord.decoding(bytes[...]) == record)
            for count in 0..<bytes.count { #expect(PartitionRecord.decoding(bytes.prefix(count)) == nil) }
            #expect(PartitionRecord.decoding((bytes + [0])[...]) == nil)
        }
    }

    @Test("what was written before copies said that they are ones is read as of none, and marks of a later time are refused")
    func hardStateOfBefore() {
        let id: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 77]
        let (epoch, run): ([UInt8], [UInt8]) = ([0, 0, 0, 0, 0, 0, 0, 4], [0, 0, 0, 0, 0, 0, 0, 6])
        let old = [4] + id + epoch + run + [0, 0]
        #expect(PartitionRecord.decoding(old[...]) == .hardState(PartitionID(77), HardState(epoch: Epoch(4), run: 6)))
        // And is written so still, where nothing was copied.
        #expect(PartitionRecord.hardState(PartitionID(77), HardState(epoch: Epoch(4), run: 6)).encoded() == old)
        let join = [0, 0, 0, 2] + Array("n1".utf8) + id + epoch
        let joining = [4] + id + epoch + run + [0, 1] + join
        guard case .hardState(_, let state)? = PartitionRecord.decoding(joining[...]) else {
            Issue.record("a pending join of before is not read")
            return
        }
        #expect(state.pendingJoin?.node.name == "n1" && !state.isCopied)
        #expect(PartitionRecord.decoding(([4] + id + epoch + run + [0, 4])[...]) == nil)
    }

    @Test("random bytes are refused or read, never trapped on")
    func garbage() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...9, using: &random) }
            _ = PartitionRecord.decoding(bytes[...])
        }
    }

    @Test("CRC-32C of the nine digits is the published check value")
    func checkValue() {
        #expect(Checksum.crc32c(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test("the chain tells one altered, left out or exchanged entry")
    func chain() throws {
        let term = Term(epoch: Epoch(1), run: 1)
        var log = ReplicaLog()
        let first = log.order(.write([1]), in: term)
        let second = log.order(.write([2]), in: term)
        #expect(first.follows(.start))
        #expect(second.follows(first.point))
        #expect(!second.follows(.start))
        let altered = Entry(position: second.position, body: .write([3]), checksum: second.checksum)
        #expect(!altered.follows(first.point))
        let key = try IdempotencyKey("01890a5d-ac96-774b-bcce-b302099a8057")
        let keyed = EntryBody.write([2], WriteOnce(key: key, horizon: WallTime(milliseconds: 0)))
        #expect(!Entry(position: second.position, body: keyed, checksum: second.checksum).follows(first.point))
    }

    @Test("recovery folds cuts, checkpoints and resets, and tells a hole from an end")
    func recovery() throws {
        let id = PartitionID(1)
        let term = Term(epoch: Epoch(1), run: 1)
        var log = ReplicaLog()
        let entries = (1...6).map { log.order(.write([UInt8($0)]), in: term) }
        var recovered = RecoveredPartition()
        for entry in entries { recovered.add(.entry(id, entry)) }
        recovered.add(.cut(id, through: 4))
        #expect(try recovered.log(origin: .start, applied: .zero).lastSequence == 4)
        recovered.add(.checkpoint(id, entries[1].point, HardState(run: 3)))
        let checked = try recovered.log(origin: .start, applied: entries[1].position)
        #expect(checked.base == entries[1].point)
        #expect(checked.lastSequence == 4)
        #expect(recovered.hard.run == 3)
        #expect(throws: RecoveredPartition.Damage.engineAhead(applied: 9, last: 4)) {
            try recovered.log(origin: .start, applied: Position(term, 9))
        }
        let taken = Position(Term(epoch: Epoch(2), run: 1), 3)
        #expect(throws: RecoveredPartition.Damage.otherHistory(applied: taken, logged: entries[2].position)) {
            try recovered.log(origin: .start, applied: taken)
        }
        var holed = RecoveredPartition()
        holed.add(.entry(id, entries[0]))
        holed.add(.entry(id, entries[2]))
        #expect(throws: RecoveredPartition.Damage.hole(after: 1, found: 3)) { try holed.log(origin: .start, applied: .zero) }
    }
}
