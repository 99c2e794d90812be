import Consensus
import Model
@testable import RaftSimulation
import SimulationKit
import Testing

@Suite struct LogStoreTests {
    private let member: MemberID
    private let founding: MemberConfiguration

    init() throws {
        member = MemberID(try NodeID("m0"))
        founding = try MemberConfiguration(
            voters: [member, MemberID(try NodeID("m1"))], learners: [MemberID(try NodeID("m2"))])
    }

    @Test("a snapshot is read back as it was written, with the place of its configuration")
    func snapshotRoundTrip() throws {
        for place in [nil, LogIndex.zero, LogIndex(3), LogIndex(7)] {
            let snapshot = Snapshot(
                id: EntryID(term: Term(2), index: LogIndex(7)), configuration: founding, configurationIndex: place,
                data: [1, 2, 3])
            #expect(Snapshot(encoded: snapshot.encoded) == snapshot)
        }
    }

    @Test("a snapshot of which any byte is changed, or any part is missing, is not read")
    func damagedSnapshot() {
        let bytes = Snapshot(
            id: EntryID(term: Term(2), index: LogIndex(7)), configuration: founding, configurationIndex: LogIndex(3), data: [1]
        ).encoded
        for at in bytes.indices {
            var changed = bytes
            changed[at] ^= 0x10
            #expect(Snapshot(encoded: changed) == nil, "byte \(at)")
            #expect(Snapshot(encoded: Array(bytes.prefix(at))) == nil, "\(at) bytes")
        }
    }

    /// Seeds 26150118733, 26150119427 and 26150119560 told of it.
    @Test(
        "a batch that begins a segment may be torn off behind it: what is left is a log, and no promise in it counts on the rest"
    )
    func tornFromNewSegment() throws {
        var (torn, whole) = (0, 0)
        for seed in 0..<100 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var disk = SimulatedDisk()
            var (log, steps) = LogStore.make(member, store: StoreID(1))
            var follower = Raft(
                id: member, settings: RaftSettings(), snapshot: .founding(founding), seed: seed, at: .origin)
            var last = EntryID.zero
            while log.segments.count == 1 {
                for step in steps { try disk.perform(step) }
                // Two writes in one batch: the second says that the entries of the first are committed.
                let batch = [write(3, after: &last, at: &follower), write(3, after: &last, at: &follower)]
                steps = log.steps(for: batch)
            }
            for step in steps.dropLast() { try disk.perform(step) }
            disk.losePower(&random)
            guard case .store(let found) = LogStore.find(on: disk) else {
                Issue.record("seed \(seed): it cannot be read back")
                continue
            }
            if found.entries.last?.id == last { whole += 1 } else { torn += 1 }
        }
        #expect(torn > 10 && whole > 10, "\(torn) torn, \(whole) whole")
    }

    /// What a follower writes of some entries of its leader, of which the ones before are committed.
    private func write(_ count: UInt64, after last: inout EntryID, at follower: inout Raft) -> Persist {
        let entries = (1...count).map { step in
            let id = EntryID(term: Term(1), index: LogIndex(last.index.number + step))
            return Entry(id: id, content: .command(Array(repeating: 7, count: 300)))
        }
        let append = Append(term: Term(1), previous: last, entries: entries, commit: last.index)
        last = entries[entries.count - 1].id
        follower.step(.received(.append(append), from: founding.voters[1]), at: .origin)
        guard let persist = follower.takeReady(at: .origin)?.persist else {
            preconditionFailure("nothing to write of \(append)")
        }
        return persist
    }
}
