import AgentCore
import Model
import Replication
import Testing
import Wire

@testable import AgentServer

@Suite struct PeerMessageTests {
    private static let term = Term(epoch: Epoch(7), run: 3)
    private static let opening = Entry(position: Position(term, 11), body: .opening, after: 99)
    private static let once = IdempotencyKey(high: 0x0189_0A5D_AC96_774B, low: 0xBCCE_B302_099A_8057).map {
        WriteOnce(key: $0, horizon: WallTime(milliseconds: 1_700_000_000_000))
    }
    private static let plain = Entry(position: Position(term, 12), body: .write([1, 2, 3]), after: opening.checksum)
    private static let entries = [
        opening, plain, Entry(position: Position(term, 13), body: .write([4], once), after: plain.checksum),
    ]

    static let bodies: [ReplicationMessage.Body] = [
        .prepare(.init(term: term, previous: .start, entries: entries, commit: 10, wantsReply: true)),
        .prepare(
            .init(
                term: term, previous: .start, entries: [], commit: 10, wantsReply: true,
                voucher: Voucher(incarnation: 6, spokenAt: LogicalInstant(microseconds: 77)))),
        .ack(
            .init(
                term: term, received: 12, durable: 11, verified: nil, incarnation: 5, applied: 10,
                spokenAt: LogicalInstant(microseconds: 78))),
        .ack(
            .init(
                term: term, received: 12, durable: 11, verified: nil, incarnation: 5, applied: 10,
                spokenAt: LogicalInstant(microseconds: 78), isCopied: true)),
        .nack(
            .init(
                term: term, refused: 12, hint: entries[0].position, committed: .zero, wantsSnapshot: true, incarnation: 5,
                heard: Term(epoch: Epoch(8), run: 4))),
        .survey(.init(number: .max, point: entries[1].point)),
        .standing(.init(number: 6, last: entries[1].point, heard: term, common: nil, entries: [])),
        .standing(
            .init(
                number: 6, last: entries[1].point, heard: Term(epoch: Epoch(0), run: 0), common: .start, entries: entries)),
        .stale,
        .yielded,
    ]

    @Test("what agents say to each other about a partition is read as it was written", arguments: bodies)
    func isRead(body: ReplicationMessage.Body) throws {
        let message = PeerMessage.replication(ReplicationMessage(partition: PartitionID(4), epoch: Epoch(7), body: body))
        #expect(try PeerMessage(bytes: message.serialized()) == message)
    }
}
