import Consensus
import Model
import Testing

/// A member's log beside its twin: a plain list that does what the paper says, entry by entry, and forgets nothing.
@Suite struct RaftLogTests {
    private static let founders = ["a", "b", "c"].compactMap { try? MemberID(text: $0) }

    /// What the leaders of terms 1, 2, … hold. Each keeps a part of what its predecessor had, and goes on from there; what all later
    /// ones keep can be committed.
    private struct Leaders {
        var logs: [[Entry]] = []
        var kept: [Int] = []

        init(_ random: inout SeededGenerator) throws {
            var log: [Entry] = []
            for term in 1...6 {
                let safe = kept.max() ?? 0
                kept.append(Int.random(in: min(safe, log.count)...log.count, using: &random))
                log = Array(log.prefix(kept[term - 1]))
                for _ in 0..<Int.random(in: 1...5, using: &random) {
                    let id = EntryID(term: Term(UInt64(term)), index: LogIndex(UInt64(log.count + 1)))
                    log.append(Entry(id: id, content: try content(&random)))
                }
                logs.append(log)
            }
        }

        private func content(_ random: inout SeededGenerator) throws -> EntryContent {
            guard random.next() % 4 == 0 else { return .command([UInt8(truncatingIfNeeded: random.next())]) }
            let voters = founders.filter { _ in random.next() % 2 == 0 }
            return .configuration(try MemberConfiguration(voters: voters.isEmpty ? founders : voters))
        }

        /// How much of what the leader of a term holds is never cut later.
        func committable(in term: Int) -> Int { (kept.dropFirst(term).min()) ?? logs[term - 1].count }

        /// An append of that leader: from anywhere in its log, as long as it likes.
        func append(in term: Int, _ random: inout SeededGenerator) -> (previous: EntryID, entries: [Entry]) {
            let log = logs[term - 1]
            let from = Int.random(in: 0...log.count, using: &random)
            let count = Int.random(in: 0...(log.count - from), using: &random)
            return (from == 0 ? .zero : log[from - 1].id, Array(log[from..<from + count]))
        }
    }

    private struct Twin {
        var entries: [Entry] = []

        func holds(_ id: EntryID) -> Bool {
            id == .zero || (id.index.number <= UInt64(entries.count) && entries[Int(id.index.number) - 1].id == id)
        }

        /// Raft figure 2, "AppendEntries RPC", 2 to 4.
        mutating func merge(_ new: [Entry], after previous: EntryID) -> Bool {
            guard holds(previous) else { return false }
            for entry in new where !holds(entry.id) {
                entries = entries.prefix(Int(entry.id.index.number) - 1) + [entry]
            }
            return true
        }

        func configuration(at index: LogIndex) -> MemberConfiguration? {
            for entry in entries.prefix(Int(index.number)).reversed() {
                if case .configuration(let configuration) = entry.content { return configuration }
            }
            return try? MemberConfiguration(voters: founders)
        }
    }

    @Test(
        "whatever a leader sends, in any order and any number of times, the log is what the paper says, and nothing committed moves"
    )
    func merging() throws {
        for seed in 1...300 as ClosedRange<UInt64> {
            var random = SeededGenerator(seed: seed)
            let leaders = try Leaders(&random)
            var log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: Self.founders)))
            var twin = Twin()
            for term in 1...leaders.logs.count {
                for _ in 0..<12 {
                    let (previous, entries) = leaders.append(in: term, &random)
                    let outcome = log.merge(entries, after: previous)
                    let accepted = twin.merge(entries, after: previous)
                    switch outcome {
                    case .matched(let index):
                        #expect(accepted && index == max(previous.index, entries.last?.id.index ?? .zero), "seed \(seed)")
                        let most = min(index, LogIndex(UInt64(leaders.committable(in: term))))
                        if random.next() % 3 == 0 { log.commit(to: most) }
                    case .rejected(let hint):
                        #expect(!accepted, "seed \(seed)")
                        check(hint, after: previous, twin, leader: leaders.logs[term - 1], seed)
                    case .conflictWithCommitted(let id): Issue.record("seed \(seed): \(id) contradicts what is committed")
                    }
                    if random.next() % 5 == 0 {
                        _ = log.takeCommitted()
                        log.compact(through: LogIndex(UInt64.random(in: 0...log.applied.number, using: &random)))
                    }
                    compare(log, twin, seed)
                }
            }
        }
    }

    /// A refusal's hint lies behind the append, and not behind where the logs agree; so does what the leader makes of it.
    private func check(_ hint: EntryID, after previous: EntryID, _ twin: Twin, leader: [Entry], _ seed: UInt64) {
        let agreement = zip(twin.entries, leader).prefix { $0.id == $1.id }.count
        #expect(hint.index.number >= UInt64(agreement) || hint.index >= previous.index, "seed \(seed)")
        guard let founding = try? MemberConfiguration(voters: Self.founders) else { return }
        let leaderLog = RaftLog(snapshot: .founding(founding), entries: leader)
        let next = leaderLog.agreement(atLatest: hint)
        #expect(next.index < previous.index && next.index.number >= UInt64(agreement), "seed \(seed): \(hint), \(next)")
    }

    private func compare(_ log: RaftLog, _ twin: Twin, _ seed: UInt64) {
        let base = Int(log.base.index.number)
        #expect(twin.holds(log.base) && log.entries == Array(twin.entries.dropFirst(base)), "seed \(seed)")
        #expect(log.last == twin.entries.last?.id ?? .zero, "seed \(seed)")
        for number in base...twin.entries.count {
            let index = LogIndex(UInt64(number))
            #expect(log.configuration(at: index) == twin.configuration(at: index), "seed \(seed) at \(index)")
        }
        #expect(log.configuration == twin.configuration(at: log.last.index), "seed \(seed)")
    }

    @Test("stable is what a disk would give back that lost all unfinished writes, and that no unfinished write is about to cut")
    func durability() throws {
        for seed in 1...300 as ClosedRange<UInt64> {
            var random = SeededGenerator(seed: seed)
            let leaders = try Leaders(&random)
            var log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: Self.founders)))
            var disk = Twin()
            var underWay: [[Entry]] = []
            var finished: UInt64 = 0
            for term in 1...leaders.logs.count {
                for _ in 0..<20 {
                    switch random.next() % 3 {
                    case 0:
                        let (previous, entries) = leaders.append(in: term, &random)
                        _ = log.merge(entries, after: previous)
                    case 1:
                        underWay.append(log.takeUnwritten())
                        log.beganWrite(finished + UInt64(underWay.count), at: .origin)
                    default:
                        guard !underWay.isEmpty else { continue }
                        write(underWay.removeFirst(), to: &disk)
                        finished += 1
                        log.finishedWrites(through: finished)
                    }
                    let firstCut = underWay.compactMap(\.first?.id.index).min() ?? LogIndex(.max)
                    let safe = zip(disk.entries, log.entries).prefix { $0 == $1 && $0.id.index < firstCut }.count
                    #expect(log.stable.number <= UInt64(safe), "seed \(seed): stable \(log.stable), on disk \(safe)")
                    #expect(log.oldestWriteStartedAt == (underWay.isEmpty ? nil : .origin), "seed \(seed)")
                }
            }
            // Everything written and finished: it is all stable, or the member would never acknowledge it.
            underWay.append(log.takeUnwritten())
            log.beganWrite(finished + UInt64(underWay.count), at: .origin)
            log.finishedWrites(through: finished + UInt64(underWay.count))
            for write in underWay { self.write(write, to: &disk) }
            #expect(disk.entries == log.entries && log.stable == log.last.index, "seed \(seed)")
        }
    }

    private func write(_ entries: [Entry], to disk: inout Twin) {
        guard let first = entries.first else { return }
        disk.entries = disk.entries.prefix(Int(first.id.index.number) - 1) + entries
    }

    @Test("an entry that contradicts a committed one is told of, and nothing is cut")
    func committedStays() throws {
        var log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: Self.founders)))
        func entry(_ term: UInt64, _ index: UInt64) -> Entry {
            Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .leaderStarted)
        }
        #expect(log.merge([entry(1, 1), entry(1, 2)], after: .zero) == .matched(LogIndex(2)))
        log.commit(to: LogIndex(2))
        #expect(log.merge([entry(2, 2)], after: entry(1, 1).id) == .conflictWithCommitted(entry(2, 2).id))
        #expect(log.entries == [entry(1, 1), entry(1, 2)])
    }

    @Test("what is taken from the log has the bytes that were asked for, and one entry at least")
    func slices() throws {
        let entries = (1...4 as ClosedRange<UInt64>).map { index in
            Entry(id: EntryID(term: Term(1), index: LogIndex(index)), content: .command([UInt8](repeating: 0, count: 68)))
        }
        let log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: Self.founders)), entries: entries)
        for (bytes, count) in [(0, 1), (99, 1), (100, 1), (199, 1), (200, 2), (399, 3), (400, 4), (Int.max, 4)] {
            #expect(log.entries(from: LogIndex(1), bytes: bytes).count == count, "\(bytes)")
        }
        #expect(log.entries(from: LogIndex(0), bytes: 100) == [] && log.entries(from: LogIndex(5), bytes: 100) == [])
    }
}
