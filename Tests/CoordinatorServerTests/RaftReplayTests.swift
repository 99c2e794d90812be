import Consensus
import DurableLog
import LogStorage
import Model
import Testing

@testable import CoordinatorServer

@Suite struct RaftReplayTests {
    private func entry(_ index: UInt64, term: UInt64 = 1) -> Consensus.Entry {
        Consensus.Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .command([UInt8(index & 0xFF)]))
    }

    private func replay(_ records: [RaftRecord], snapshot: Consensus.Snapshot? = nil) throws -> RaftReplay {
        var replay = RaftReplay()
        replay.snapshot = snapshot
        for (offset, record) in records.enumerated() {
            let new = record.record
            try replay.take(LogRecord(number: RecordNumber(UInt64(offset) + 1), kind: new.kind, payload: new.payload))
        }
        return replay
    }

    private func snapshot(_ index: UInt64, term: UInt64 = 1) throws -> Consensus.Snapshot {
        Consensus.Snapshot(
            id: EntryID(term: Term(term), index: LogIndex(index)),
            configuration: try MemberConfiguration(voters: [try MemberID(text: "c1")]), data: [1, 2, 3])
    }

    @Test("an entry cuts what stood at its index and after it")
    func cuts() throws {
        let recovered = try replay([.entry(entry(1)), .entry(entry(2)), .entry(entry(3)), .entry(entry(2, term: 2))])
        #expect(try recovered.finish().entries == [entry(1), entry(2, term: 2)])
    }

    @Test("the newest vote wins")
    func newestVote() throws {
        let vote = HardState(term: Term(3), vote: try MemberID(text: "c2"), commit: LogIndex(1))
        #expect(try replay([.hardState(HardState(term: Term(2))), .hardState(vote)]).hardState == vote)
    }

    @Test("entries that a snapshot covers are left out, those behind it stay")
    func behindSnapshot() throws {
        let recovered = try replay([.entry(entry(1)), .entry(entry(2)), .entry(entry(3))], snapshot: try snapshot(2))
        #expect(try recovered.finish().entries == [entry(3)])
    }

    @Test("an entry that contradicts the snapshot ends the log: the process died before the reset was durable")
    func contradiction() throws {
        let recovered = try replay([.entry(entry(1)), .entry(entry(2)), .entry(entry(3))], snapshot: try snapshot(2, term: 5))
        #expect(try recovered.finish() == RaftReplay.Outcome(entries: [], mustReset: true))
    }

    @Test("a log that ends before the snapshot is void, and must be said to be")
    func before() throws {
        let recovered = try replay([.entry(entry(1)), .entry(entry(2))], snapshot: try snapshot(9))
        #expect(try recovered.finish() == RaftReplay.Outcome(entries: [], mustReset: true))
    }

    @Test("entries between the snapshot and the log that are in neither are damage", arguments: [nil, 7] as [UInt64?])
    func gap(snapshotAt: UInt64?) throws {
        let recovered = try replay([.entry(entry(9)), .entry(entry(10))], snapshot: try snapshotAt.map { try snapshot($0) })
        #expect(throws: DamagedMember.self) { try recovered.finish() }
    }

    @Test("a snapshot that had taken the log's place, and is gone, is damage")
    func lostReset() throws {
        let id = EntryID(term: Term(4), index: LogIndex(9))
        let records: [RaftRecord] = [.entry(entry(1)), .reset(id)]
        #expect(throws: DamagedMember.self) { try replay(records, snapshot: try snapshot(5)).finish() }
        #expect(throws: DamagedMember.self) { try replay(records + [.entry(entry(10, term: 4))], snapshot: nil).finish() }
    }

    @Test("a log that ends before what was known to be committed is damage, though nothing in it is unreadable")
    func lostCommitted() throws {
        let known = RaftRecord.hardState(HardState(term: Term(1), commit: LogIndex(3)))
        #expect(throws: DamagedMember.self) { try replay([.entry(entry(1)), .entry(entry(2)), known]).finish() }
        #expect(throws: DamagedMember.self) { try replay([known], snapshot: try snapshot(2)).finish() }
        #expect(try replay([known], snapshot: try snapshot(3)).finish().entries.isEmpty)
        #expect(try replay([.entry(entry(1)), .entry(entry(2)), .entry(entry(3)), known]).finish().entries.count == 3)
    }

    @Test("after a reset nothing before it counts")
    func reset() throws {
        let id = EntryID(term: Term(4), index: LogIndex(9))
        let recovered = try replay(
            [.entry(entry(1)), .entry(entry(2)), .reset(id), .entry(entry(10, term: 4))], snapshot: try snapshot(9, term: 4))
        #expect(try recovered.finish().entries == [entry(10, term: 4)])
    }
}
