import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

/// Members that come and go, leadership that is handed over, disks that fill up.
@Suite struct GroupAffairsTests {
    private func configure(_ key: String, in group: inout CoordinatorGroup, at name: MemberID) throws -> CommandOutcome? {
        try group.commit(.configure(.global, [ConfigurationWrite(key: "app.\(key)", value: "1")]), as: key, at: name)
    }

    private func isDone(_ outcome: CommandOutcome?) -> Bool { if case .done(.accepted, _) = outcome { true } else { false } }

    @Test("a change of members is answered when it is done, and a refusal at once with its reason")
    func changes() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        group.step(.changeMembers([.demote(follower)], caller: 1), at: leader)
        #expect(group.groupOutcomes[1] == nil)
        group.deliver()
        group.run(.milliseconds(50))
        #expect(group.groupOutcomes[1] == .done)
        #expect(group.members[leader]?.raft.configuration.learners == [follower])
        group.step(.changeMembers([.demote(follower)], caller: 2), at: leader)
        #expect(group.groupOutcomes[2] == .refused(.notVoter(follower)))
        group.step(.changeMembers([.promote(follower)], caller: 3), at: follower)
        #expect(group.groupOutcomes[3] == .refused(.notLeader(leader)))
    }

    @Test("a change that is not heard of is unknown, in time")
    func unknownChange() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.down = Set(group.names.filter { $0 != leader })
        group.step(.changeMembers([.demote(leader)], caller: 1), at: leader)
        group.run(.seconds(1))
        #expect(group.groupOutcomes[1] == .unknown)
    }

    @Test("a change whose place another leader's entry took is said to be unknown as soon as that is known")
    func changeLost() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.step(.changeMembers([.demote(leader)], caller: 1), at: leader)
        group.wire = []
        group.down = [leader]
        group.run(.milliseconds(400))
        #expect(group.leader != nil)
        group.down = []
        group.run(.milliseconds(100))
        #expect(group.groupOutcomes[1] == .unknown)
    }

    @Test("a command whose place another leader's entry took is handed to that leader, and not answered with what stands there")
    func placeTaken() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        for number: UInt64 in 1...2 {
            let command = ProposedCommand(
                command: .configure(.global, [ConfigurationWrite(key: "app.lost\(number)", value: "1")]),
                actor: try Principal("tester"), requestID: try RequestID("lost\(number)"))
            group.step(.propose(command, caller: 1_000 + number), at: leader)
        }
        // Nobody gets them; the leader stands still while the others go on.
        group.wire = []
        let place = group.members[leader]?.raft.log.last.index
        group.down = [leader]
        group.run(.milliseconds(400))
        let next = try #require(group.leader)
        #expect(isDone(try configure("kept", in: &group, at: next)))
        #expect(group.members[next]?.raft.log.last.index == place)
        group.down = []
        group.run(.milliseconds(100))
        for number: UInt64 in 1...2 {
            #expect(isDone(group.outcomes[1_000 + number]))
            let key = ConfigurationKey(scope: .global, key: "app.lost\(number)")
            #expect(group.topology(of: next).configuration[key]?.value == "1")
        }
    }

    @Test("a leader that removes itself answers for it, and a command meanwhile is committed by the next leader")
    func removesItself() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.step(.changeMembers([.remove(leader)], caller: 1), at: leader)
        let outcome = try configure("k", in: &group, at: try #require(group.follower))
        #expect(isDone(outcome))
        #expect(group.groupOutcomes[1] == .done)
        #expect(group.members[leader]?.raft.isLeader == false)
    }

    @Test(
        "a transfer goes to the member that is asked for, or to the best, and commands meanwhile all succeed",
        arguments: [true, false])
    func transfers(_ isChosen: Bool) throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let chosen = try #require(group.names.last { $0 != leader })
        group.step(.transferLeadership(to: isChosen ? chosen : nil, caller: 1), at: leader)
        let answers = try group.names.map { try configure("k-\($0)", in: &group, at: $0) }
        #expect(answers.allSatisfy { isDone($0) })
        #expect(group.groupOutcomes[1] == .done)
        let next = try #require(group.leader)
        #expect(next != leader && (next == chosen || !isChosen))
    }

    @Test("a command that is passed on to a member that leads no more waits for the next leader, and is not refused")
    func passedOnTooLate() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let others = group.names.filter { $0 != leader }
        let (successor, late) = (others[0], others[1])
        group.step(.transferLeadership(to: successor, caller: 1), at: leader)
        // One member hears of the transfer later than the others.
        var held: [(from: MemberID, to: MemberID, message: CoordinatorMessage)] = []
        while !group.wire.isEmpty {
            let next = group.wire.removeFirst()
            if next.to == late { held.append(next) } else { group.step(.received(next.message, from: next.from), at: next.to) }
        }
        #expect(group.leader == successor)
        let command = ProposedCommand(
            command: .configure(.global, [ConfigurationWrite(key: "app.late", value: "1")]), actor: try Principal("tester"),
            requestID: try RequestID("late"))
        group.step(.propose(command, caller: 9), at: late)
        group.deliver()
        #expect(group.outcomes[9] == nil)
        group.wire = held
        group.run(.milliseconds(50))
        #expect(isDone(group.outcomes[9]))
    }

    private func setting(_ key: String, as request: String? = nil) throws -> ProposedCommand {
        ProposedCommand(
            command: .configure(.global, [ConfigurationWrite(key: key, value: "1")]), actor: try Principal("tester"),
            requestID: try RequestID(request ?? key))
    }

    /// Of the command that is on its way to the leader.
    private func numberOfCommand(in group: CoordinatorGroup) -> UInt64? {
        group.wire.lazy.compactMap { if case .command(_, let number, _) = $0.message { number } else { nil } }.first
    }

    @Test("a command that a link held back until its first answer was forgotten is not carried out once more")
    func heldBackForLong() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        let command = try setting("app.held")
        group.step(.propose(command, caller: 1), at: follower)
        let held = try #require(group.wire.first { if case .command = $0.message { true } else { false } })
        group.wire = []
        group.step(.propose(command, caller: 2), at: leader)
        group.run(.milliseconds(50))
        #expect(isDone(group.outcomes[2]))
        for number in 0...CatalogLimits.requests {
            group.step(.propose(try setting("app.other\(number % 2)", as: "other-\(number)"), caller: 3), at: leader)
            if number % 1_000 == 0 { group.run(.milliseconds(20)) }
        }
        group.run(.milliseconds(50))
        #expect(group.members[leader]?.catalog.answer(to: command.requestID) == nil)
        group.step(.received(held.message, from: held.from), at: leader)
        #expect(group.members[leader]?.raft.log.last.index == group.members[leader]?.raft.log.applied)
        guard case .outcome(.unknown, _)? = group.wire.last?.message else {
            Issue.record("\(String(describing: group.wire.last)) is no answer that it is unknown")
            return
        }
    }

    @Test("an answer to a member's former life is not taken for one to what it asks in this one")
    func formerLife() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        group.step(.propose(try setting("app.first"), caller: 1), at: leader)
        group.run(.milliseconds(100))
        let done = try #require(group.outcomes[1])
        group.step(.propose(try setting("app.former"), caller: 2), at: follower)
        let former = try #require(numberOfCommand(in: group))
        group.wire = []
        try group.restart(follower)
        group.run(.milliseconds(50))
        group.step(.propose(try setting("app.now"), caller: 3), at: follower)
        _ = try #require(numberOfCommand(in: group))
        group.step(.received(.outcome(done, number: former), from: leader), at: follower)
        #expect(group.outcomes[3] == nil && group.outcomes[2] == nil)
        group.run(.milliseconds(100))
        #expect(isDone(group.outcomes[3]))
    }

    @Test("of what an earlier leader had, and may have committed, nobody says that it was not handed in")
    func mayBeApplied() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        group.step(.propose(try setting("app.lost"), caller: 7), at: follower)
        group.wire = []
        group.down = [leader]
        for name in group.names where name != leader { group.step(.diskSpace(isLow: true), at: name) }
        group.run(.milliseconds(800))
        #expect(group.leader != nil && group.outcomes[7] == .unknown)
    }

    @Test("a transfer to a member that is down is given up, and the leader goes on")
    func givenUp() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let away = try #require(group.follower)
        group.down = [away]
        _ = try configure("a", in: &group, at: leader)
        group.step(.transferLeadership(to: away, caller: 1), at: leader)
        group.run(.milliseconds(150))
        #expect(group.groupOutcomes[1] == .givenUp)
        #expect(isDone(try configure("b", in: &group, at: leader)))
    }

    @Test("a leader that is to stop hands over first, and then may stop; a follower may at once")
    func stops() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        group.step(.stopRequested, at: follower)
        #expect(group.mayStop == [follower])
        group.step(.stopRequested, at: leader)
        #expect(group.mayStop == [follower])
        group.run(.milliseconds(150))
        #expect(group.mayStop == [follower, leader])
        let next = try #require(group.leader)
        // The follower that is about to stop too was not burdened with it.
        #expect(next != leader && next != follower)
    }

    @Test("a leader that is to stop and finds no successor may stop nevertheless, in time")
    func stopsAlone() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.down = Set(group.names.filter { $0 != leader })
        group.step(.stopRequested, at: leader)
        group.run(.milliseconds(500))
        #expect(group.mayStop == [leader])
    }

    @Test("a member that is to stop and hears of no leader may stop in time, and no earlier")
    func stopsLeaderless() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.down = Set(group.names.filter { $0 != leader })
        group.run(.milliseconds(500))
        #expect(group.leader == nil)
        group.step(.stopRequested, at: leader)
        group.run(.milliseconds(250))
        #expect(group.mayStop.isEmpty)
        group.run(.milliseconds(100))
        #expect(group.mayStop == [leader])
    }

    @Test(
        "a leader whose disk fills up hands over; with every disk full the last one refuses writes, and takes them again with space"
    )
    func diskFull() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        group.step(.diskSpace(isLow: true), at: leader)
        group.run(.milliseconds(100))
        let next = try #require(group.leader)
        #expect(next != leader)
        #expect(isDone(try configure("a", in: &group, at: leader)))
        for name in group.names { group.step(.diskSpace(isLow: true), at: name) }
        group.run(.seconds(1))
        let last = try #require(group.leader)
        guard case .diskFull = try configure("b", in: &group, at: last) else {
            Issue.record("\(group.outcomes[group.lastCaller] as Any)")
            return
        }
        group.step(.read(caller: 99), at: last)
        group.run(.milliseconds(100))
        #expect(group.reads[99] == true)
        // What keeps the cluster serving is committed all the while.
        let registration = try CoordinatorGroup.registration("n1", zone: "a")
        #expect(isDone(try group.commit(.registerNode(registration), as: "n1", at: last)))
        // And an operator may say who is to lead.
        #expect(isDone(try group.commit(.steerGroup("transfer", last.node), as: "transfer", at: last)))
        for name in group.names { group.step(.diskSpace(isLow: false), at: name) }
        #expect(isDone(try configure("c", in: &group, at: try #require(group.leader))))
    }

    @Test("with every disk full, whoever has room again leads soon, without being told to")
    func roomElsewhere() throws {
        var group = try CoordinatorGroup()
        for name in group.names { group.step(.diskSpace(isLow: true), at: name) }
        group.run(.seconds(5))
        let full = try #require(group.leader)
        let other = try #require(group.names.first { $0 != full })
        group.step(.diskSpace(isLow: false), at: other)
        group.run(.seconds(40))
        #expect(group.leader == other)
        #expect(isDone(try configure("a", in: &group, at: full)))
    }

    @Test("a member without room that has to lead, for only it holds all that was committed, does so until another may")
    func fullAndNewest() throws {
        var group = try CoordinatorGroup()
        let first = try #require(group.leader)
        let full = try #require(group.names.first { $0 != first })
        let behind = try #require(group.names.first { $0 != first && $0 != full })
        group.step(.diskSpace(isLow: true), at: full)
        group.down = [behind]
        #expect(isDone(try configure("a", in: &group, at: first)))
        group.down = [first]
        group.run(.seconds(10))
        // It led, brought the other up to date, and let it lead.
        #expect(group.leader == behind)
        #expect(isDone(try configure("b", in: &group, at: behind)))
    }

    @Test("a member that comes back with a new store learns, and takes the place of the old store by itself")
    func newStore() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let old = try #require(group.follower)
        for number in 0..<40 { _ = try configure("k\(number)", in: &group, at: leader) }
        group.down = [old]
        let fresh = MemberID(old.node, store: StoreID(0x4F2A))
        try group.start(fresh)
        group.step(.appeared(fresh), at: leader)
        group.run(.seconds(1))
        let expected = group.names.filter { $0 != old }.sorted()
        for name in expected {
            let configuration = group.members[name]?.raft.configuration
            #expect(configuration?.voters == expected && configuration?.learners == [] && configuration?.isJoint == false)
        }
        #expect(group.members[fresh]?.catalog == group.members[leader]?.catalog)
    }

    @Test("a new store that is lost in its turn leaves no learner behind")
    func newStoreTwice() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let old = try #require(group.follower)
        let stores = (1...2).map { MemberID(old.node, store: StoreID($0)) }
        group.down = [old]
        group.step(.appeared(stores[0]), at: leader)
        group.run(.milliseconds(300))
        #expect(group.members[leader]?.raft.configuration.learners == [stores[0]])
        group.step(.connectionLost(stores[0]), at: leader)
        try group.start(stores[1])
        group.step(.appeared(stores[1]), at: leader)
        group.run(.seconds(1))
        let configuration = group.members[leader]?.raft.configuration
        #expect(configuration?.voters.contains(stores[1]) == true)
        #expect(configuration?.members.count == 3)
    }

    @Test("neither a store beside one that still answers nor a node that never belonged is taken in by itself")
    func notTakenIn() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let other = try #require(group.follower)
        let before = group.members[leader]?.raft.configuration
        group.step(.appeared(MemberID(other.node, store: StoreID(1))), at: leader)
        group.step(.appeared(MemberID(try NodeID("c9"), store: StoreID(1))), at: leader)
        group.run(.seconds(1))
        #expect(group.members[leader]?.raft.configuration == before)
    }

    @Test("a command whose answer was lost has the first answer after a change of leader, and from a snapshot")
    func retried() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let away = try #require(group.follower)
        group.down = [away]
        let command = Command.registerNode(try CoordinatorGroup.registration("n1", zone: "a"))
        let first = try group.commit(command, as: "once", at: leader)
        for number in 0..<40 { _ = try configure("k\(number)", in: &group, at: leader) }
        group.down = []
        group.run(.milliseconds(500))
        group.step(.transferLeadership(to: away, caller: 1), at: leader)
        group.run(.milliseconds(100))
        #expect(group.leader == away)
        group.down = [leader]
        guard case .done(let result, _) = first, case .done(let again, _) = try group.commit(command, as: "once", at: away)
        else {
            Issue.record("\(first as Any)")
            return
        }
        #expect(again == result)
    }

    @Test("a follower for whom nobody waits is woken once a second")
    func rest() throws {
        var group = try CoordinatorGroup()
        let follower = try #require(group.follower)
        var ticks = 0
        let end = group.now + .seconds(5)
        while group.now < end {
            if let due = group.members[follower]?.nextDeadline, due <= group.now + .milliseconds(5) { ticks += 1 }
            group.run(.milliseconds(5))
        }
        #expect(ticks <= 5)
    }
}
