@testable import Consensus
import Model
@testable import RaftSimulation
import SimulationKit
import Testing

@Suite struct LogStoreTests {
    private let member: MemberID
    private let founding: MemberConfiguration
    private let vote: HardState

    init() throws {
        member = MemberID(try NodeID("m0"))
        vote = HardState(term: Term(1), vote: member)
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

    /// Seed 1064018220111 told of it.
    @Test(
        "a snapshot that made the log void is said in it before anything follows: two starts later the new entries are there",
        // Up to the snapshot, beyond it, and not as far; with room behind them, and with none.
        arguments: [5, 8, 2] as [UInt64], [8, 9_000])
    func voidLog(count: UInt64, bytes: Int) throws {
        var disk = SimulatedDisk()
        var (log, steps) = LogStore.make(member, store: StoreID(1))
        steps += log.steps(for: [persist(entries(1...count, term: 1, bytes: bytes), isNewVote: true)])
        for step in steps { try disk.perform(step) }
        // The snapshot is durable, and the process dies before the record that says that it took the log's place.
        let taken = snapshot(term: 2)
        for step in log.steps(for: [persist(snapshot: taken, replacesLog: true)]).dropLast(2) { try disk.perform(step) }

        var found = try recovered(from: disk)
        #expect(found.snapshot == taken && found.entries.isEmpty && found.hardState == vote)
        for step in found.opening { try disk.perform(step) }
        let fresh = entries(6...7, term: 2, bytes: 8)
        for step in found.log.steps(for: [persist(fresh)]) { try disk.perform(step) }

        found = try recovered(from: disk)
        #expect(found.snapshot == taken && found.entries == fresh && found.hardState == vote)
    }

    /// Seed 546448053495 told of it.
    @Test("a torn tail's cut that is torn as well, by a death in its midst and then by lost power, can be done again")
    func tornCut() throws {
        var cut = 0
        for seed in 0..<4_000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var disk = SimulatedDisk()
            var (log, steps) = LogStore.make(member, store: StoreID(1))
            steps += log.steps(for: [persist(entries(1...2, term: 1, bytes: 8), isNewVote: true)])
            for step in steps { try disk.perform(step) }
            let bytes = Int(random.next() % 16 == 0 ? random.next() % 1_200 : random.next() % 24)
            disk.tear(log.steps(for: [persist(entries(3...3, term: 1, bytes: bytes))])[0], &random)
            for _ in 0..<3 {
                let opening = try recovered(from: disk).opening
                if case .write = opening.first { cut += 1 }
                let last = Int(random.next() % UInt64(opening.count))
                for step in opening[..<last] { try disk.perform(step) }
                disk.tear(opening[last], &random)
                disk.losePower(&random)
            }
            let found = try recovered(from: disk)
            #expect(found.entries == entries(1...2, term: 1, bytes: 8) && found.hardState == vote, "seed \(seed)")
        }
        #expect(cut > 1_000, "\(cut) tails were cut")
    }

    @Test("a log that begins behind its snapshot is damage: what is between them is nowhere")
    func gap() throws {
        var disk = SimulatedDisk()
        var (log, steps) = LogStore.make(member, store: StoreID(1))
        steps += log.steps(for: [persist(entries(7...8, term: 1, bytes: 8))])
        steps += log.steps(for: [persist(snapshot: snapshot(term: 1))])
        for step in steps { try disk.perform(step) }
        #expect(throws: Violation.self) { try recovered(from: disk) }
    }

    private func recovered(from disk: SimulatedDisk) throws -> LogStore.Recovered {
        guard case .store(let found) = LogStore.find(on: disk) else { throw Violation("it cannot be read back") }
        return found
    }

    private func entries(_ indices: ClosedRange<UInt64>, term: UInt64, bytes: Int) -> [Entry] {
        indices.map { index in
            let id = EntryID(term: Term(term), index: LogIndex(index))
            return Entry(id: id, content: .command(Array(repeating: UInt8(truncatingIfNeeded: index), count: bytes)))
        }
    }

    private func snapshot(term: UInt64) -> Snapshot {
        Snapshot(
            id: EntryID(term: Term(term), index: LogIndex(5)), configuration: founding, configurationIndex: .zero,
            data: [1, 2, 3])
    }

    private func persist(
        _ entries: [Entry] = [], isNewVote: Bool = false, snapshot: Snapshot? = nil, replacesLog: Bool = false
    ) -> Persist {
        Persist(
            sequence: 1, hardState: vote, hardStateChanged: isNewVote, snapshot: snapshot, replacesLog: replacesLog,
            entries: entries, answers: [])
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
