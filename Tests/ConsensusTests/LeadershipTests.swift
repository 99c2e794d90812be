import Consensus
import Model
import Testing

/// Leaders that had better not lead, members that had better be silent, and reads that must not be old.
@Suite struct LeadershipTests {
    /// Lets time pass while the disk of one member stands still.
    private func run(_ group: inout Group, _ span: Span, stalling stalled: MemberID) throws {
        group.slowDisks = true
        let end = group.now + span
        while group.now < end {
            group.now = group.now + .milliseconds(5)
            for name in group.names {
                if name != stalled { try group.flush(name); try group.settle(name) }
                if let due = group.raft(name)?.nextDeadline, due <= group.now { try group.input(.tick, to: name) }
            }
            try group.deliverAll()
        }
    }

    @Test("a leader whose disk stands still names a successor, and does not campaign while it stands")
    func stalledDisk() throws {
        var settings = Group.settings
        settings.diskTimeout = .milliseconds(60)
        var (group, leader) = try Group.elected(settings: settings)
        group.slowDisks = true
        try group.propose("never written here", at: leader)
        // Less than one election time-out after the bound has passed.
        try run(&group, .milliseconds(110), stalling: leader)
        let next = try #require(group.leader)
        #expect(next != leader)
        for name in group.names where name != leader { group.crash(name) }
        let term = group.raft(leader)?.term
        try run(&group, .seconds(2), stalling: leader)
        #expect(group.raft(leader)?.role == .follower(leader: nil))
        #expect(group.raft(leader)?.term == term)
        // The disk is back: so is the candidate.
        try group.flush(leader)
        group.slowDisks = false
        try group.run(.milliseconds(300))
        #expect(group.raft(leader)?.roleName == "pre-candidate")
    }

    @Test("a member that lost what it acknowledged says so once, and neither votes, acknowledges nor campaigns from then on")
    func silent() throws {
        var group = try Group(3)
        group.toleratesFaults = true
        let (a, b, c) = (group.names[0], group.names[1], group.names[2])
        let beat = Message.heartbeat(Heartbeat(term: Term(3), commit: LogIndex(7), round: 0))
        try group.input(.received(beat, from: a), to: b)
        try group.input(.received(beat, from: a), to: b)
        #expect(group.members[b]?.faults == [.commitBeyondLog(LogIndex(7), last: .zero)])
        group.wire = []
        let last = EntryID(term: Term(9), index: LogIndex(9))
        try group.input(.received(.voteRequest(VoteRequest(term: Term(9), last: last)), from: c), to: b)
        try group.input(.received(.preVoteRequest(VoteRequest(term: Term(10), last: last)), from: c), to: b)
        group.isolate(a)
        group.isolate(c)
        try group.run(.seconds(1))
        #expect(group.wire.isEmpty)
        #expect(group.raft(b)?.role == .follower(leader: nil))
        #expect(group.raft(b)?.fault != nil)
    }

    /// Has `name` ask its leader for a read, and takes the question from the wire.
    private func ask(_ id: UInt64, at name: MemberID, in group: inout Group) throws -> UInt64? {
        group.members[name]?.raft?.read(id)
        try group.settle(name)
        var number: UInt64?
        group.wire.removeAll {
            guard case .readRequest(let request) = $0.message else { return false }
            number = request.number
            return true
        }
        return number
    }

    @Test(
        "an answer to a read of a member's former life, or to one that was given up, answers no other read",
        arguments: [true, false])
    func oldAnswer(_ restarts: Bool) throws {
        var (group, leader) = try Group.elected()
        let follower = try #require(group.names.first { $0 != leader })
        let term = try #require(group.raft(leader)?.term)
        let first = try #require(try ask(1, at: follower, in: &group))
        if restarts {
            group.crash(follower)
            group.start(follower)
        } else {
            // It would be asked again.
            group.block(follower, leader)
            try group.run(.milliseconds(110))
            group.heal()
            #expect(group.members[follower]?.failed == [1])
        }
        try group.run(.milliseconds(40))
        let second = try #require(try ask(2, at: follower, in: &group))
        #expect(first != second)
        let old = Message.readAnswer(ReadAnswer(term: term, number: first, index: .zero))
        try group.input(.received(old, from: leader), to: follower)
        #expect(group.members[follower]?.answered.isEmpty == true)
        let fresh = Message.readAnswer(ReadAnswer(term: term, number: second, index: LogIndex(1)))
        try group.input(.received(fresh, from: leader), to: follower)
        #expect(group.members[follower]?.answered.map(\.id) == [2])
    }

    @Test("two lives of a member that go the same way ask under different numbers")
    func numbersOfLives() throws {
        let voters = try ["a", "b", "c"].map { try MemberID(text: $0) }
        func number(inLife seed: UInt64) throws -> UInt64? {
            var raft = Raft(
                id: voters[0], settings: Group.settings, snapshot: .founding(try MemberConfiguration(voters: voters)),
                seed: seed,
                at: .origin)
            raft.step(.received(.heartbeat(Heartbeat(term: Term(1), commit: .zero, round: 0)), from: voters[1]), at: .origin)
            raft.read(1)
            for envelope in raft.takeReady(at: .origin)?.messages ?? [] {
                if case .readRequest(let request) = envelope.message { return request.number }
            }
            return nil
        }
        let numbers = try (1...20).map { try #require(try number(inLife: $0)) }
        #expect(Set(numbers).count == numbers.count)
    }

    @Test("what a member would have said in the very step in which it was found out is not said either")
    func silentAtOnce() throws {
        let voters = try ["a", "b", "c"].map { try MemberID(text: $0) }
        var raft = Raft(
            id: voters[0], settings: Group.settings, snapshot: .founding(try MemberConfiguration(voters: voters)), seed: 1,
            at: .origin)
        let entry = Entry(id: EntryID(term: Term(1), index: LogIndex(1)), content: .leaderStarted)
        let append = Append(term: Term(1), previous: .zero, entries: [entry], commit: .zero)
        raft.step(.received(.append(append), from: voters[1]), at: .origin)
        raft.step(.received(.heartbeat(Heartbeat(term: Term(1), commit: LogIndex(9), round: 0)), from: voters[1]), at: .origin)
        let taken = raft.takeReady(at: .origin)
        let ready = try #require(taken)
        #expect(ready.faults == [.commitBeyondLog(LogIndex(9), last: LogIndex(1))])
        #expect(ready.messages.isEmpty)
        #expect(ready.persist?.answers.isEmpty ?? true)
    }

    @Test("the same leader's closed connection is asked about at once, and a leader that lives keeps its place")
    func connectionLost() throws {
        var (group, leader) = try Group.elected()
        let others = group.names.filter { $0 != leader }
        let term = group.raft(leader)?.term
        try group.input(.connectionLost(leader), to: others[0])
        try group.run(.milliseconds(300))
        #expect(group.leader == leader && group.raft(leader)?.term == term)
        group.crash(leader)
        for other in others { try group.input(.connectionLost(leader), to: other) }
        try group.run(.milliseconds(30))
        #expect(group.leader != nil)
    }
}
