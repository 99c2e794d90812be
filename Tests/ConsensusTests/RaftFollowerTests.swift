import Consensus
import Model
import Testing

/// What no leader of ours sends, and a follower must withstand all the same.
@Suite struct RaftFollowerTests {
    private func entry(_ term: UInt64, _ index: UInt64) -> Entry {
        Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .command([UInt8(term)]))
    }

    @Test("an append that ends before the follower's log commits nothing that it has not shown to be the leader's")
    func commitsWhatIsVerified() throws {
        let voters = try ["a", "b", "c"].map { try MemberID(text: $0) }
        var raft = Raft(
            id: voters[0], settings: Group.settings, hardState: HardState(term: Term(1)),
            snapshot: .founding(try MemberConfiguration(voters: voters)), entries: [entry(1, 1), entry(1, 2), entry(1, 3)],
            seed: 1,
            at: .origin)
        // The leader has another entry at #3, and has committed it.
        let append = Append(term: Term(2), previous: entry(1, 1).id, entries: [entry(1, 2)], commit: LogIndex(3))
        raft.step(.received(.append(append), from: voters[1]), at: .origin)
        #expect(raft.log.commit == LogIndex(2))
        #expect(raft.log.last == entry(1, 3).id)
        let next = Append(term: Term(2), previous: entry(1, 2).id, entries: [entry(2, 3)], commit: LogIndex(3))
        raft.step(.received(.append(next), from: voters[1]), at: .origin)
        #expect(raft.log.commit == LogIndex(3))
        #expect(raft.fault == nil)
    }

    @Test("a write never says that what it brings itself is committed: torn, it would commit what it was to replace")
    func tornCommit() throws {
        let voters = try ["a", "b", "c"].map { try MemberID(text: $0) }
        let founding = Snapshot.founding(try MemberConfiguration(voters: voters))
        let stale = [entry(1, 1), entry(1, 2), entry(1, 3)]
        var raft = Raft(
            id: voters[0], settings: Group.settings, hardState: HardState(term: Term(1)), snapshot: founding, entries: stale,
            seed: 1, at: .origin)
        let append = Append(
            term: Term(2), previous: stale[0].id, entries: [entry(2, 2), entry(2, 3)], commit: LogIndex(3))
        raft.step(.received(.append(append), from: voters[1]), at: .origin)
        #expect(raft.log.commit == LogIndex(3))
        let taken = raft.takeReady(at: .origin)
        let persist = try #require(taken?.persist)
        #expect(persist.hardStateChanged)
        // Of the write its vote arrived, and its entries did not.
        let after = Raft(
            id: voters[0], settings: Group.settings, hardState: persist.hardState, snapshot: founding, entries: stale, seed: 1,
            at: .origin)
        #expect(after.term == Term(2))
        #expect(after.log.commit == LogIndex(1))
    }
}
