import Consensus
import Model
import Testing

/// Changes of members, and the mistakes that others have made in them.
@Suite struct MembershipTests {
    /// Adds a learner and waits until it has caught up.
    private func add(_ member: MemberID, to group: inout Group, at leader: MemberID) throws {
        try group.change([.addLearner(member)], at: leader)
        try group.run(.milliseconds(100))
    }

    private func configuration(_ group: Group, _ name: MemberID) -> MemberConfiguration? { group.raft(name)?.configuration }

    @Test("the first entry of a group says who founded it")
    func founding() throws {
        let (group, leader) = try Group.elected()
        #expect(group.chosen[LogIndex(1)]?.content == .configuration(try MemberConfiguration(voters: group.names)))
        #expect(group.raft(leader)?.log.configurationIndex == LogIndex(1))
    }

    @Test("a learner receives everything, counts for nothing and never campaigns")
    func learner() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        try add(learner, to: &group, at: leader)
        #expect(group.members[learner]?.applied == group.members[leader]?.applied)
        let others = group.names.filter { $0 != leader && $0 != learner }
        for other in others { group.isolate(other) }
        let id = try #require(try group.propose("not committed by a learner's help", at: leader))
        try group.run(.milliseconds(60))
        #expect(group.chosen[id.index] == nil)
        group.crash(leader)
        try group.run(.seconds(2))
        #expect(group.raft(learner)?.role == .follower(leader: nil) || group.raft(learner)?.role == .follower(leader: leader))
        #expect(group.leader == nil)
    }

    @Test("a learner that has caught up becomes a voter through a joint configuration, which the leader leaves by itself")
    func promote() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        try add(learner, to: &group, at: leader)
        try group.change([.promote(learner)], at: leader)
        let joint = try #require(configuration(group, leader))
        #expect(joint.outgoing == Array(group.names.prefix(3)) && joint.voters == group.names)
        try group.run(.milliseconds(100))
        for name in group.names {
            #expect(configuration(group, name) == (try MemberConfiguration(voters: group.names)))
        }
    }

    @Test("a learner that is behind, that was never started or that does not answer is not promoted")
    func notCaughtUp() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        group.crash(learner)
        try group.change([.addLearner(learner)], at: leader)
        try group.run(.milliseconds(100))
        let last = try #require(group.raft(leader)?.log.last.index.number)
        #expect(throws: Raft.Refusal.notCaughtUp(learner, behind: last)) { try group.change([.promote(learner)], at: leader) }
        group.start(learner)
        try group.run(.milliseconds(100))
        group.isolate(learner)
        try group.run(.milliseconds(150))
        #expect(throws: Raft.Refusal.notCaughtUp(learner, behind: 0)) { try group.change([.promote(learner)], at: leader) }
        group.heal()
        try group.run(.milliseconds(50))
        try group.change([.promote(learner)], at: leader)
    }

    @Test("a learner that has caught up is promoted though nothing is proposed and the probe after its snapshot was lost")
    func promotedInQuiet() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let learner = group.names[3]
        try add(learner, to: &group, at: leader)
        // The leader no longer knows where the logs agree, and has no entry left to find out with.
        try group.input(.connectionLost(learner), to: leader)
        group.wire.removeAll()
        #expect(throws: Raft.Refusal.notCaughtUp(learner, behind: 0)) { try group.change([.promote(learner)], at: leader) }
        try group.run(.milliseconds(50))
        try group.change([.promote(learner)], at: leader)
    }

    @Test("one change at a time: the next is refused until the joint configuration is left")
    func oneAtATime() throws {
        var (group, leader) = try Group.elected(3, joining: 2)
        for joiner in group.names.suffix(2) { try add(joiner, to: &group, at: leader) }
        try group.change([.promote(group.names[3])], at: leader)
        // Promoting two learners in a row gave disjoint quorums elsewhere.
        #expect(throws: Raft.Refusal.changeUnderWay) { try group.change([.promote(group.names[4])], at: leader) }
        try group.run(.milliseconds(100))
        try group.change([.promote(group.names[4])], at: leader)
        try group.run(.milliseconds(100))
        #expect(configuration(group, leader)?.voters == group.names)
    }

    @Test("a change that makes no joint configuration holds the next one back too, until it is committed")
    func uncommittedLearner() throws {
        var (group, leader) = try Group.elected(3, joining: 2)
        group.isolate(leader)
        try group.change([.addLearner(group.names[3])], at: leader)
        #expect(throws: Raft.Refusal.changeUnderWay) { try group.change([.addLearner(group.names[4])], at: leader) }
        group.heal()
        try group.run(.milliseconds(80))
        #expect(group.leader == leader)
        try group.change([.addLearner(group.names[4])], at: leader)
    }

    @Test("a new leader changes no members before it has committed an entry of its own term")
    func committedInTermFirst() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let next = try #require(group.names.first { $0 != leader })
        try group.transfer(to: next, at: leader)
        // Nobody gets the new leader's first entry.
        while !group.wire.isEmpty {
            if case .append = group.wire[0].message { group.wire.removeFirst() } else { try group.deliverOne() }
        }
        #expect(group.leader == next)
        #expect(throws: Raft.Refusal.notCommittedInTerm) { try group.change([.addLearner(group.names[3])], at: next) }
    }

    @Test("a configuration is in force when appended, and goes when its entry is cut")
    func rollsBack() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let before = try #require(configuration(group, leader))
        group.isolate(leader)
        try group.change([.addLearner(group.names[3])], at: leader)
        #expect(configuration(group, leader)?.learners == [group.names[3]])
        try group.run(.seconds(1))
        #expect(group.raft(leader)?.isLeader == false)
        group.heal()
        try group.run(.milliseconds(500))
        #expect(configuration(group, leader) == before)
    }

    @Test("while voters change, the old ones and the new ones must both agree")
    func bothHalves() throws {
        var (group, leader) = try Group.elected(3, joining: 2)
        let joiners = Array(group.names.suffix(2))
        for joiner in joiners { try add(joiner, to: &group, at: leader) }
        let leaving = group.names.prefix(3).filter { $0 != leader }
        // The old half cannot agree: two of its three are cut off. The new half (the leader and both joiners) could.
        for name in leaving { group.isolate(name) }
        let id = try #require(
            try group.change(joiners.map { .promote($0) } + leaving.map { .remove($0) }, at: leader))
        try group.run(.milliseconds(60))
        #expect(group.chosen[id.index] == nil)
        group.heal()
        try group.run(.milliseconds(500))
        #expect(group.chosen[id.index]?.id == id)
        let now = try #require(group.leader)
        #expect(configuration(group, now) == (try MemberConfiguration(voters: [leader] + joiners)))
    }

    @Test("a voter that becomes a learner still counts in the old half")
    func demotedCounts() throws {
        var (group, leader) = try Group.elected()
        let others = group.names.filter { $0 != leader }
        group.isolate(others[0])
        // Of the old three only the leader and the one to be demoted are there; of the new two only the leader.
        let id = try #require(try group.change([.demote(others[1])], at: leader))
        try group.run(.milliseconds(60))
        #expect(group.chosen[id.index] == nil)
        group.heal()
        group.isolate(others[1])
        try group.run(.milliseconds(200))
        // The other one is back: two of the old three, and both of the new two.
        #expect(group.chosen[id.index]?.id == id)
        group.heal()
        try group.run(.milliseconds(200))
        #expect(configuration(group, others[1])?.learners == [others[1]])
    }

    @Test("a learner that does not know yet that it is a voter votes when it is asked")
    func unawareVoter() throws {
        var (group, leader) = try Group.elected(1, joining: 1)
        let learner = group.names[1]
        try add(learner, to: &group, at: leader)
        group.isolate(learner)
        try group.change([.promote(learner)], at: leader)
        try group.run(.seconds(1))
        #expect(configuration(group, learner)?.learners == [learner])
        // The leader starts again: it needs the vote of a member that thinks itself a learner.
        group.crash(leader)
        group.start(leader)
        group.heal()
        try group.run(.seconds(1))
        #expect(group.leader == leader)
        #expect(configuration(group, learner)?.voters == group.names)
    }

    @Test("a leader that removes or demotes itself commits first, then hands over without an outage", arguments: [true, false])
    func removesItself(_ removes: Bool) throws {
        var (group, leader) = try Group.elected()
        let id = try #require(try group.change([removes ? .remove(leader) : .demote(leader)], at: leader))
        // Much less than an election time-out.
        try group.run(.milliseconds(30))
        #expect(group.chosen[id.index.next] != nil)
        let next = try #require(group.leader)
        #expect(next != leader)
        #expect(group.raft(leader)?.isLeader == false)
        #expect(configuration(group, leader)?.voters == group.names.filter { $0 != leader })
        let term = group.raft(next)?.term
        try group.run(.seconds(2))
        #expect(group.leader == next && group.raft(next)?.term == term)
    }

    @Test("in the joint phase a leader that is on its way out may lead again, voting for itself")
    func outgoingLeads() throws {
        var (group, leader) = try Group.elected(2)
        let other = try #require(group.names.first { $0 != leader })
        group.block(other, leader)
        try group.change([.remove(leader)], at: leader)
        try group.run(.milliseconds(10))
        // Both have the joint configuration; the other one loses it with its disk's cache, so that only the outgoing one can win.
        group.crash(other)
        group.crash(leader)
        group.heal()
        group.start(leader)
        group.start(other)
        try group.run(.seconds(2))
        let next = try #require(group.leader)
        #expect(next == other)
        #expect(configuration(group, other) == (try MemberConfiguration(voters: [other])))
        #expect(configuration(group, leader) == (try MemberConfiguration(voters: [other])))
    }

    @Test("those on their way out lead once more when only they have the entry that says so")
    func neededOnceMore() throws {
        var (group, leader) = try Group.elected()
        let others = group.names.filter { $0 != leader }
        let (leaving, staying) = (others[0], others[1])
        try group.change([.remove(leader), .remove(leaving)], at: leader)
        while configuration(group, leader)?.isJoint == true { try group.deliverOne() }
        // The one who stays has the joint configuration, whose old half now has longer logs than its own.
        group.block(leader, staying)
        try group.deliverAll()
        #expect(configuration(group, leaving)?.voters == [staying] && configuration(group, leaving)?.isJoint == false)
        #expect(configuration(group, staying)?.isJoint == true)
        group.crash(leader)
        group.heal()
        try group.run(.seconds(2))
        #expect(group.leader == staying)
        #expect(configuration(group, staying)?.isJoint == false)
    }

    @Test("a removed member knows it, and disturbs nobody when it starts again", arguments: [true, false])
    func removedMember(_ isToldInTime: Bool) throws {
        var (group, leader) = try Group.elected(4)
        let removed = try #require(group.names.first { $0 != leader })
        if !isToldInTime { group.isolate(removed) }
        try group.change([.remove(removed)], at: leader)
        try group.run(.milliseconds(200))
        #expect(group.raft(removed)?.isMember == !isToldInTime)
        let term = group.raft(leader)?.term
        group.heal()
        group.crash(removed)
        group.start(removed)
        try group.run(.seconds(3))
        #expect(group.leader == leader)
        #expect(group.raft(leader)?.term == term)
        #expect(group.raft(removed)?.isLeader == false)
    }

    @Test("a member with a new store is another one: it votes for nobody's quorum until it has caught up and taken its place")
    func newStore() throws {
        var (group, leader) = try Group.elected()
        let old = try #require(group.names.first { $0 != leader })
        let third = try #require(group.names.first { $0 != leader && $0 != old })
        let fresh = group.replaceStore(of: old, by: 0x4F2A)
        group.isolate(third)
        let id = try #require(try group.propose("one of three", at: leader))
        try group.run(.milliseconds(60))
        #expect(group.chosen[id.index] == nil)
        group.heal()
        try group.run(.milliseconds(200))
        let now = try #require(group.leader)
        try add(fresh, to: &group, at: now)
        try group.change([.promote(fresh), .remove(old)], at: now)
        try group.run(.milliseconds(100))
        #expect(configuration(group, fresh)?.voters == [leader, third, fresh].sorted())
        #expect(configuration(group, fresh)?.isJoint == false)
    }

    @Test("two stores of one node never vote at once")
    func twoVotes() throws {
        var (group, leader) = try Group.elected()
        let old = try #require(group.names.first { $0 != leader })
        let fresh = group.replaceStore(of: old, by: 1)
        try add(fresh, to: &group, at: leader)
        #expect(throws: Raft.Refusal.twoVotes(old.node)) { try group.change([.promote(fresh)], at: leader) }
    }

    @Test("what makes no sense is refused, and changes nothing")
    func refusals() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let (other, stranger) = (try #require(group.names.first { $0 != leader }), group.names[3])
        let last = group.raft(leader)?.log.last
        func refused(_ change: MemberChange..., as refusal: Raft.Refusal) {
            #expect(throws: refusal) { try group.change(change, at: leader) }
        }
        refused(.addLearner(other), as: .alreadyMember(other))
        refused(.promote(other), as: .alreadyMember(other))
        refused(.promote(stranger), as: .unknownMember(stranger))
        refused(.remove(stranger), as: .unknownMember(stranger))
        refused(.demote(stranger), as: .unknownMember(stranger))
        refused(.addLearner(stranger), .demote(stranger), as: .notVoter(stranger))
        refused(.remove(group.names[0]), .remove(group.names[1]), .demote(group.names[2]), as: .noVoterLeft)
        #expect(throws: Raft.Refusal.notLeader(leader)) { try group.change([.remove(leader)], at: other) }
        #expect(group.raft(leader)?.log.last == last)
    }
}
