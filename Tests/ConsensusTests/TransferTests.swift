import Consensus
import Model
import Testing

@Suite struct TransferTests {
    private func transfer(
        _ settings: RaftSettings = Group.settings
    ) throws -> (group: Group, leader: MemberID, successor: MemberID, third: MemberID) {
        let (group, leader) = try Group.elected(settings: settings)
        let others = group.names.filter { $0 != leader }
        return (group, leader, others[0], others[1])
    }

    @Test("leadership goes to the chosen member at once, although everybody hears a leader")
    func transfers() throws {
        var (group, leader, successor, _) = try transfer()
        let term = group.raft(leader)?.term
        try group.transfer(to: successor, at: leader)
        try group.deliverAll()
        #expect(group.raft(successor)?.isLeader == true)
        #expect(group.raft(successor)?.term == term?.next)
    }

    @Test("a successor that is behind is brought up to date first")
    func catchesUp() throws {
        var (group, leader, successor, _) = try transfer()
        group.isolate(successor)
        for number in 0..<20 { try group.propose("x\(number)", at: leader) }
        try group.run(.milliseconds(20))
        group.heal()
        try group.transfer(to: successor, at: leader)
        #expect(!group.wire.contains { $0.message == .timeoutNow(TimeoutNow(term: group.raft(leader)?.term ?? .zero)) })
        try group.run(.milliseconds(60))
        #expect(group.leader == successor)
        #expect(group.members[successor]?.applied == group.raft(successor)?.log.last.index)
    }

    @Test(
        "proposals and changes are refused meanwhile, and taken again when the transfer is given up after one election time-out"
    )
    func givesUp() throws {
        var (group, leader, successor, third) = try transfer()
        group.isolate(successor)
        try group.transfer(to: successor, at: leader)
        #expect(throws: Raft.Refusal.transferring) { try group.members[leader]?.raft?.propose([1]) }
        #expect(throws: Raft.Refusal.transferring) { try group.change([.remove(third)], at: leader) }
        #expect(throws: Raft.Refusal.transferring) { try group.transfer(to: third, at: leader) }
        try group.transfer(to: successor, at: leader)
        try group.run(.milliseconds(95))
        #expect(group.raft(leader)?.isTransferring == true)
        try group.run(.milliseconds(10))
        #expect(group.raft(leader)?.isTransferring == false)
        #expect(try group.propose("again", at: leader) != nil)
    }

    @Test("the word to take over is repeated when it is lost")
    func repeated() throws {
        var (group, leader, successor, _) = try transfer()
        try group.transfer(to: successor, at: leader)
        group.wire.removeAll { if case .timeoutNow = $0.message { true } else { false } }
        try group.run(.milliseconds(60))
        #expect(group.leader == successor)
    }

    @Test("never to a learner or a stranger, and not while a change of members is under way")
    func refused() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        #expect(throws: Raft.Refusal.notVoter(learner)) { try group.transfer(to: learner, at: leader) }
        try group.change([.addLearner(learner)], at: leader)
        let other = try #require(group.names.first { $0 != leader })
        #expect(throws: Raft.Refusal.changeUnderWay) { try group.transfer(to: other, at: leader) }
        try group.run(.milliseconds(50))
        #expect(throws: Raft.Refusal.notVoter(learner)) { try group.transfer(to: learner, at: leader) }
        #expect(throws: Raft.Refusal.notLeader(leader)) { try group.transfer(to: leader, at: other) }
    }

    @Test("a learner, or a member that follows another leader, does not heed the word to take over")
    func unheeded() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        try group.change([.addLearner(learner)], at: leader)
        try group.run(.milliseconds(50))
        let term = try #require(group.raft(leader)?.term)
        group.wire = []
        try group.input(.received(.timeoutNow(TimeoutNow(term: term)), from: leader), to: learner)
        #expect(group.raft(learner)?.term == term)
        let old = Term(term.number - 1)
        let other = try #require(group.names.first { $0 != leader })
        try group.input(.received(.timeoutNow(TimeoutNow(term: old)), from: learner), to: other)
        #expect(group.raft(other)?.term == term)
        // A leader that is told so goes on leading.
        #expect(throws: Violation.self) {
            try group.input(.received(.timeoutNow(TimeoutNow(term: term)), from: other), to: leader)
        }
    }

    @Test("a member that would rather not lead lets a transfer to it be given up, and the leader goes on")
    func reluctantSuccessor() throws {
        var (group, leader) = try Group.elected()
        let successor = try #require(group.names.first { $0 != leader })
        try group.input(.reluctant(true), to: successor)
        let term = group.raft(leader)?.term
        try group.transfer(to: successor, at: leader)
        try group.run(.milliseconds(150))
        #expect(group.leader == leader && group.raft(leader)?.term == term)
        #expect(group.raft(leader)?.isTransferring == false)
    }

    @Test("a member that would rather not lead campaigns after the others, and still leads when nobody else can")
    func reluctant() throws {
        for seed in 1...10 {
            var group = try Group(3, seed: UInt64(seed))
            for name in group.names.dropFirst() { try group.input(.reluctant(true), to: name) }
            try group.run(.milliseconds(400))
            #expect(group.leader == group.names[0])
        }
        var (group, leader) = try Group.elected()
        for name in group.names { try group.input(.reluctant(true), to: name) }
        group.crash(leader)
        try group.run(.seconds(2))
        #expect(group.leader != nil)
    }
}
