import Consensus
import ConsensusKit
import Model
import Testing

/// Mistakes that other implementations have made and lived to regret, each as a story.
@Suite struct ScenarioTests {
    private func elected(_ count: Int = 3, settings: RaftSettings = Group.settings) throws -> (Group, MemberID) {
        try Group.elected(count, settings: settings)
    }

    @Test("a group elects one leader, and what it is given is applied by all")
    func elects() throws {
        var (group, leader) = try elected()
        try group.propose("a", at: leader)
        try group.run(.milliseconds(100))
        for name in group.names { #expect(group.members[name]?.applied == LogIndex(2)) }
    }

    @Test("a vote and an acknowledgement leave the member only when they are on its disk")
    func durableFirst() throws {
        var group = try Group(3)
        group.slowDisks = true
        let (a, b) = (group.names[0], group.names[1])
        try group.input(.received(.voteRequest(VoteRequest(term: Term(5), last: .zero)), from: a), to: b)
        #expect(group.wire.isEmpty)
        try group.flushOne(b)
        #expect(group.wire.map(\.message) == [.voteAnswer(VoteAnswer(term: Term(5), granted: true))])
        #expect(group.members[b]?.disk.hardState.vote == a)
        group.wire = []
        let entry = Entry(id: EntryID(term: Term(5), index: LogIndex(1)), content: .leaderStarted)
        try group.input(
            .received(.append(Append(term: Term(5), previous: .zero, entries: [entry], commit: .zero)), from: a), to: b)
        #expect(group.wire.isEmpty)
        try group.flushOne(b)
        #expect(group.wire.map(\.message) == [.appendAnswer(AppendAnswer(term: Term(5), outcome: .matched(LogIndex(1))))])
    }

    @Test("an answer leaves at once when it counts on no write under way, and waits for the writes before it otherwise")
    func answersWithoutWrites() throws {
        var (group, leader) = try elected()
        let other = try #require(group.names.first { $0 != leader })
        let raft = try #require(group.raft(other))
        let (term, last) = (raft.term, raft.log.last)
        group.slowDisks = true
        group.wire = []
        func append(_ entries: [Entry], after previous: EntryID) throws {
            let message = Message.append(Append(term: term, previous: previous, entries: entries, commit: last.index))
            try group.input(.received(message, from: leader), to: other)
        }
        func answer(_ index: LogIndex) -> Message { .appendAnswer(AppendAnswer(term: term, outcome: .matched(index))) }

        try append([], after: last)
        #expect(group.wire.map(\.message) == [answer(last.index)])
        #expect(group.members[other]?.disk.underWay.isEmpty == true)

        let entry = Entry(id: EntryID(term: term, index: last.index.next), content: .command([1]))
        try append([entry], after: last)
        try append([], after: entry.id)
        #expect(group.wire.count == 1)
        try group.flush(other)
        #expect(group.wire.map(\.message) == [answer(last.index), answer(entry.id.index), answer(entry.id.index)])
    }

    @Test("a group of one commits nothing before its own disk has it")
    func single() throws {
        var group = try Group(1)
        try group.run(.milliseconds(300))
        let leader = try #require(group.leader)
        group.slowDisks = true
        let before = group.members[leader]?.applied
        try group.propose("a", at: leader)
        #expect(group.members[leader]?.applied == before)
        try group.flush(leader)
        try group.settle(leader)
        #expect(group.members[leader]?.applied == before?.next)
    }

    @Test("a finished write does not speak for entries that were cut and written again since")
    func lateAcknowledgement() throws {
        func entry(_ term: UInt64, _ index: UInt64) -> Entry {
            Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .command([UInt8(term)]))
        }
        var log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: [MemberID(text: "a")])))
        let origin = LogicalInstant.origin
        _ = log.merge([entry(1, 1), entry(1, 2)], after: .zero)
        _ = log.takeUnwritten()
        log.beganWrite(1, at: origin)
        _ = log.merge([entry(2, 2)], after: entry(1, 1).id)
        _ = log.takeUnwritten()
        log.beganWrite(2, at: origin)
        // The first entry comes back under a newer leader, while the write that replaces it is still to come.
        _ = log.merge([entry(1, 2)], after: entry(1, 1).id)
        #expect(log.takeUnwritten() == [entry(1, 2)])
        log.beganWrite(3, at: origin)
        log.finishedWrites(through: 1)
        #expect(log.stable == LogIndex(1))
        log.finishedWrites(through: 2)
        #expect(log.stable == LogIndex(1))
        log.finishedWrites(through: 3)
        #expect(log.stable == LogIndex(2))
    }

    @Test("a pre-vote changes nothing at the one that is asked, and is refused while it hears its leader")
    func preVote() throws {
        var (group, leader) = try elected()
        let others = group.names.filter { $0 != leader }
        let before = try #require(group.raft(others[0]))
        let request = VoteRequest(term: before.term.next, last: EntryID(term: Term(9), index: LogIndex(9)))
        try group.input(.received(.preVoteRequest(request), from: others[1]), to: others[0])
        let after = try #require(group.raft(others[0]))
        #expect(after.hardState.term == before.hardState.term)
        #expect(after.leader == leader)
        #expect(group.wire.contains { $0.message == .preVoteAnswer(VoteAnswer(term: before.term, granted: false)) })
    }

    @Test("the known leader's own pre-vote is not refused: it has started again")
    func leaderRestarts() throws {
        var (group, leader) = try elected()
        let other = try #require(group.names.first { $0 != leader })
        let raft = try #require(group.raft(other))
        group.wire = []
        let request = VoteRequest(term: raft.term.next, last: raft.log.last)
        try group.input(.received(.preVoteRequest(request), from: leader), to: other)
        #expect(group.wire.map(\.message) == [.preVoteAnswer(VoteAnswer(term: raft.term.next, granted: true))])
    }

    @Test("a member that was cut off comes back without disturbing the leader")
    func comesBack() throws {
        var (group, leader) = try elected()
        let away = try #require(group.names.first { $0 != leader })
        let term = group.raft(leader)?.term
        group.isolate(away)
        try group.run(.seconds(2))
        group.heal()
        try group.run(.milliseconds(500))
        #expect(group.leader == leader)
        #expect(group.raft(leader)?.term == term)
    }

    @Test("a leader that is cut off steps down, and the others go on")
    func cutOffLeader() throws {
        var (group, leader) = try elected(5)
        group.isolate(leader)
        try group.run(.seconds(1))
        #expect(group.raft(leader)?.isLeader == false)
        let next = try #require(group.leader)
        #expect(next != leader)
        #expect(try group.propose("b", at: next) != nil)
    }

    @Test("every one-way cut of one link, in groups of three and of five, leaves or regains a leader that commits")
    func oneWayCuts() throws {
        for count in [3, 5] {
            for from in 0..<count {
                for to in 0..<count where to != from {
                    var (group, _) = try elected(count)
                    group.block(group.names[from], group.names[to])
                    try group.run(.seconds(3))
                    let leader = try #require(group.leader, "\(from) > \(to) of \(count)")
                    let id = try #require(try group.propose("x", at: leader))
                    try group.run(.milliseconds(300))
                    #expect(group.chosen[id.index]?.id == id, "\(from) > \(to) of \(count)")
                }
            }
        }
    }

    @Test("the longest log on an old term wins against a newer term with a shorter log")
    func termSkew() throws {
        var (group, leader) = try elected()
        let others = group.names.filter { $0 != leader }
        group.isolate(others[1])
        try group.propose("only two have this", at: leader)
        try group.run(.milliseconds(100))
        // The one without the entry has a much newer term; the one with it has lost its leader.
        group.crash(leader)
        group.heal()
        let ahead = Term((group.raft(others[1])?.term.number ?? 0) + 50)
        try group.input(.received(.voteAnswer(VoteAnswer(term: ahead, granted: false)), from: leader), to: others[1])
        try group.run(.seconds(2))
        #expect(group.leader == others[0])
    }

    @Test("the same candidate asking again in the same term gets the same yes; another gets a no")
    func sameYes() throws {
        var group = try Group(3)
        let (a, b, c) = (group.names[0], group.names[1], group.names[2])
        let ask = Message.voteRequest(VoteRequest(term: Term(2), last: .zero))
        for sender in [a, a, c] { try group.input(.received(ask, from: sender), to: b) }
        #expect(
            group.wire.map(\.message)
                == [true, true, false].map { .voteAnswer(VoteAnswer(term: Term(2), granted: $0)) })
    }

    @Test("an entry of an old term is committed only with one of the leader's own (figure 8)")
    func figure8() throws {
        let voters = try (1...3).map { try MemberID(text: "c\($0)") }
        let old = Entry(id: EntryID(term: Term(2), index: LogIndex(1)), content: .command([1]))
        var raft = Raft(
            id: voters[0], settings: Group.settings, hardState: HardState(term: Term(3)),
            snapshot: .founding(try MemberConfiguration(voters: voters)), entries: [old], seed: 1, at: .origin)
        let later = LogicalInstant.origin + .seconds(1)
        raft.step(.tick, at: later)
        raft.step(.received(.preVoteAnswer(VoteAnswer(term: Term(4), granted: true)), from: voters[1]), at: later)
        let vote = try #require(raft.takeReady(at: later)?.persist)
        raft.step(.persisted(vote.sequence), at: later)
        raft.step(.received(.voteAnswer(VoteAnswer(term: Term(4), granted: true)), from: voters[1]), at: later)
        #expect(raft.isLeader)
        let noop = try #require(raft.takeReady(at: later)?.persist)
        raft.step(
            .received(.appendAnswer(AppendAnswer(term: Term(4), outcome: .matched(LogIndex(1)))), from: voters[1]), at: later)
        #expect(raft.log.commit == .zero)
        raft.step(.persisted(noop.sequence), at: later)
        raft.step(
            .received(.appendAnswer(AppendAnswer(term: Term(4), outcome: .matched(LogIndex(2)))), from: voters[1]), at: later)
        #expect(raft.log.commit == LogIndex(2))
    }

    @Test("an append that is old, doubled or short never cuts what matches")
    func neverCutsPrefix() throws {
        func entry(_ index: UInt64) -> Entry {
            Entry(id: EntryID(term: Term(1), index: LogIndex(index)), content: .command([UInt8(index)]))
        }
        var log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: [MemberID(text: "a")])))
        #expect(log.merge([entry(1), entry(2), entry(3)], after: .zero) == .matched(LogIndex(3)))
        #expect(log.merge([entry(1)], after: .zero) == .matched(LogIndex(1)))
        #expect(log.merge([], after: entry(2).id) == .matched(LogIndex(2)))
        #expect(log.last == entry(3).id)
        let stranger = EntryID(term: Term(7), index: LogIndex(9))
        #expect(log.merge([], after: stranger) == .rejected(hint: entry(3).id))
    }

    @Test("a follower with sixty entries that nobody else has is brought back in a few exchanges")
    func manyDivergent() throws {
        var (group, leader) = try elected()
        group.isolate(leader)
        for number in 0..<60 { try group.propose("lost \(number)", at: leader) }
        try group.run(.seconds(1))
        let next = try #require(group.leader)
        for number in 0..<60 { try group.propose("kept \(number)", at: next) }
        try group.run(.milliseconds(200))
        group.heal()
        try group.run(.milliseconds(200))
        #expect(group.members[leader]?.applied == group.members[next]?.applied)
    }

    @Test("a lost append behind a full window is found by the heartbeats")
    func fullWindow() throws {
        var (group, leader) = try elected()
        let away = try #require(group.names.first { $0 != leader })
        group.block(leader, away)
        for number in 0..<20 { try group.propose("x\(number)", at: leader) }
        try group.run(.milliseconds(30))
        group.heal()
        try group.run(.milliseconds(200))
        #expect(group.members[away]?.applied == group.members[leader]?.applied)
    }

    @Test("a follower behind the compacted log gets the snapshot in chunks, and what follows")
    func snapshot() throws {
        var (group, leader) = try elected()
        group.compactEvery = 5
        let away = try #require(group.names.first { $0 != leader })
        group.isolate(away)
        for number in 0..<40 { try group.propose("x\(number)", at: leader); try group.run(.milliseconds(5)) }
        group.heal()
        try group.run(.seconds(1))
        #expect(group.members[away]?.applied == group.members[leader]?.applied)
        #expect((group.raft(away)?.log.base.index ?? .zero) > LogIndex(10))
        group.crash(away)
        group.start(away)
        try group.settle(away)
        #expect((group.members[away]?.applied ?? .zero) > LogIndex(10))
    }

    @Test("a leader's heartbeat never commits more than the member is known to hold, and a lie about it is a fault")
    func commitBeyondLog() throws {
        var group = try Group(3)
        let beat = Message.heartbeat(Heartbeat(term: Term(3), commit: LogIndex(7), round: 0))
        #expect(throws: Violation.self) { try group.input(.received(beat, from: group.names[0]), to: group.names[1]) }
        #expect(group.members[group.names[1]]?.faults == [.commitBeyondLog(LogIndex(7), last: .zero)])
    }

    @Test("a read waits for a commit of the leader's own term and for a round of heartbeats")
    func reads() throws {
        var (group, leader) = try elected()
        let follower = try #require(group.names.first { $0 != leader })
        group.members[leader]?.raft?.read(1)
        group.members[leader]?.raft?.read(2)
        group.members[follower]?.raft?.read(3)
        try group.settle(leader)
        try group.settle(follower)
        #expect(group.members[leader]?.answered.isEmpty == true)
        try group.run(.milliseconds(50))
        #expect(group.members[leader]?.answered.map(\.id) == [1, 2])
        #expect(group.members[follower]?.answered.map(\.id) == [3])
    }

    @Test("a leader that no longer leads confirms no read")
    func deposedReads() throws {
        var (group, leader) = try elected()
        group.isolate(leader)
        group.members[leader]?.raft?.read(1)
        try group.settle(leader)
        try group.run(.seconds(1))
        #expect(group.members[leader]?.answered.isEmpty == true)
        #expect(group.members[leader]?.failed == [1])
    }

    @Test("a leader whose disk stands still stops leading")
    func stalledDisk() throws {
        var (group, leader) = try elected()
        group.slowDisks = true
        try group.propose("never written", at: leader)
        let end = group.now + .seconds(1)
        while group.now < end {
            group.now = group.now + .milliseconds(5)
            for name in group.names {
                if name != leader { try group.flush(name); try group.settle(name) }
                if let due = group.raft(name)?.nextDeadline, due <= group.now { try group.input(.tick, to: name) }
            }
            try group.deliverAll()
        }
        #expect(group.raft(leader)?.isLeader == false)
    }

    @Test("too much that is not committed is refused, not queued")
    func boundedUncommitted() throws {
        var (group, leader) = try elected()
        group.isolate(leader)
        var refused = false
        for _ in 0..<200 {
            do { _ = try group.members[leader]?.raft?.propose([UInt8](repeating: 0, count: 1_000)) } catch {
                guard case .tooMuchUncommitted = error else { throw error }
                refused = true
            }
        }
        #expect(refused)
    }

    @Test("a new leader counts what it inherits: a row of leaders that commit nothing adds up to one limit")
    func boundedInheritance() throws {
        let (a, b) = (try MemberID(text: "a"), try MemberID(text: "b"))
        let voters = [a, b, try MemberID(text: "c")]
        let inherited = (1...90).map { index in
            Entry(id: EntryID(term: Term(1), index: LogIndex(index)), content: .command([UInt8](repeating: 0, count: 1_000)))
        }
        var raft = Raft(
            id: a, settings: Group.settings, hardState: HardState(term: Term(1)),
            snapshot: .founding(try MemberConfiguration(voters: voters)), entries: inherited, seed: 1, at: .origin)
        var now = raft.nextDeadline
        raft.step(.tick, at: now)
        raft.step(.received(.preVoteAnswer(VoteAnswer(term: Term(2), granted: true)), from: b), at: now)
        raft.step(.persisted(try #require(raft.takeReady(at: now)?.persist?.sequence)), at: now)
        raft.step(.received(.voteAnswer(VoteAnswer(term: Term(2), granted: true)), from: b), at: now)
        #expect(raft.isLeader)
        #expect(throws: Raft.Refusal.self) { _ = try raft.propose([UInt8](repeating: 0, count: 8_000)) }
        // Once it is committed there is room for all of the limit again.
        let write = try #require(raft.takeReady(at: now)?.persist?.sequence)
        now = now + .milliseconds(1)
        raft.step(.persisted(write), at: now)
        raft.step(
            .received(.appendAnswer(AppendAnswer(term: Term(2), outcome: .matched(raft.log.last.index))), from: b), at: now)
        #expect(raft.log.commit == raft.log.last.index)
        _ = try raft.propose([UInt8](repeating: 0, count: 99_000))
    }

    @Test("numbers that no honest peer sends are dropped")
    func implausible() throws {
        var group = try Group(3)
        let (a, b) = (group.names[0], group.names[1])
        let far = EntryID(term: Term(1), index: LogIndex(.max))
        let gap = Entry(id: EntryID(term: Term(1), index: LogIndex(4)), content: .leaderStarted)
        for message: Message in [
            .voteRequest(VoteRequest(term: Term(.max), last: .zero)),
            .append(Append(term: Term(1), previous: far, entries: [], commit: .zero)),
            .append(Append(term: Term(1), previous: .zero, entries: [gap], commit: .zero)),
        ] { try group.input(.received(message, from: a), to: b) }
        #expect(group.wire.isEmpty)
        #expect(group.raft(b)?.term == .zero)
    }
}
