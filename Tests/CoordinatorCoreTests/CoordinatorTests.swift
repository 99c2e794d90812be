import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

@Suite struct CoordinatorTests {
    @Test("a command given to a follower is committed by the leader, and the caller has the answer")
    func forwards() throws {
        var group = try CoordinatorGroup()
        let follower = try #require(group.follower)
        let outcome = try group.commit(
            .registerNode(try CoordinatorGroup.registration("n1", zone: "a")), as: "r1", at: follower)
        guard case .done(.accepted(.session(let session)), _) = outcome else {
            Issue.record("\(outcome as Any)")
            return
        }
        for name in group.names { #expect(group.members[name]?.catalog.topology.nodes.values.first?.session == session) }
    }

    @Test("the same request has the same answer, wherever it is asked, and changes nothing twice")
    func repeats() throws {
        var group = try CoordinatorGroup()
        let command = Command.registerNode(try CoordinatorGroup.registration("n1", zone: "a"))
        let answers = try group.names.map { try group.commit(command, as: "same", at: $0) }
        let first = try #require(answers[0])
        guard case .done(let result, _) = first else {
            Issue.record("\(first)")
            return
        }
        for case .done(let other, _)? in answers { #expect(other == result) }
        #expect(group.deltas[group.names[0]]?.count == 1)
    }

    @Test("a command that no member could read back is refused where it is handed in, and is never in the log")
    func unreadable() throws {
        var group = try CoordinatorGroup()
        let (leader, follower) = (try #require(group.leader), try #require(group.follower))
        let last = group.members[leader]?.raft.log.last
        for member in [leader, follower] {
            let outcome = try group.commit(
                .drain(try NodeID("n1")), as: "r-\(member)", reason: Archive.unreadable, at: member)
            guard case .done(.refused(let rejection), _) = outcome else {
                Issue.record("\(outcome as Any)")
                return
            }
            #expect(rejection.code == .invalidValue)
        }
        #expect(group.members[leader]?.raft.log.last == last)
    }

    @Test("without a leader a caller hears of it within a second")
    func noLeader() throws {
        var group = try CoordinatorGroup()
        let left = try #require(group.follower)
        group.down = Set(group.names.filter { $0 != left })
        group.run(.seconds(1))
        _ = try group.commit(.drain(try NodeID("n1")), as: "r", at: left)
        group.run(.seconds(1))
        #expect(group.outcomes[group.lastCaller] == .noLeader)
    }

    @Test("a linearizable read at a follower sees what was committed before it; cut off, it says so")
    func reads() throws {
        var group = try CoordinatorGroup()
        let follower = try #require(group.follower)
        _ = try group.commit(
            .registerNode(try CoordinatorGroup.registration("n1", zone: "a")), as: "r1", at: try #require(group.leader))
        group.step(.read(caller: 77), at: follower)
        group.run(.milliseconds(100))
        #expect(group.reads[77] == true)
        group.down = Set(group.names.filter { $0 != follower })
        group.step(.read(caller: 78), at: follower)
        group.run(.seconds(2))
        #expect(group.reads[78] == false)
    }

    @Test("two witnesses in two zones make one failure; one witness, or two of one zone, make none (F2)")
    func witnesses() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        for (name, zone) in [("n1", "a"), ("n2", "b"), ("n3", "b")] {
            _ = try group.commit(
                .registerNode(try CoordinatorGroup.registration(name, zone: zone)), as: "r-\(name)", at: leader)
        }
        let dead = try NodeID("n1")
        let session = try #require(group.members[leader]?.catalog.topology.nodes[dead]?.session)
        func report(_ witness: String) throws -> Coordinator.Input {
            .deathsReported(
                DeathReport(
                    [FoundDeath(node: dead, session: session, generation: Generation(1))], witness: try NodeID(witness)))
        }
        /// Unheard, it is only expected, by a member that has just started: neither does that answer a witness, nor has it returned.
        func believe(isHeard: Bool) {
            group.step(
                .believed(dead, generation: Generation(1), session: session, isAlive: true, isHeard: isHeard), at: leader)
        }
        group.step(try report("n2"), at: leader)
        group.step(try report("n3"), at: leader)
        believe(isHeard: false)
        group.run(.milliseconds(500))
        #expect(group.members[leader]?.catalog.topology.nodes[dead]?.status == .healthy)
        // A follower's own failure detector is a witness in another zone.
        let follower = try #require(group.follower)
        group.step(try report("\(follower)"), at: follower)
        group.run(.milliseconds(500))
        #expect(group.members[leader]?.catalog.topology.nodes[dead]?.status == .failed)
        believe(isHeard: false)
        group.run(.milliseconds(500))
        #expect(group.members[leader]?.catalog.topology.nodes[dead]?.status == .failed)
        // The node is heard again in the same session.
        believe(isHeard: true)
        group.run(.milliseconds(500))
        #expect(group.members[leader]?.catalog.topology.nodes[dead]?.status == .healthy)
    }

    @Test("a copy of a registered node that ends again and again, wherever it was met first, takes nothing from the living")
    func copy() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let living = try NodeID("n1")
        let registration = try CoordinatorGroup.registration(living.name, zone: "a")
        _ = try group.commit(.registerNode(registration), as: "r1", at: leader)
        for gossip in ["b:1", registration.addresses.gossip] {
            for _ in 0..<5 {
                for witness in group.names.map(\.node) {
                    let process = FoundDeath.Process(store: registration.store, gossip: gossip)
                    let found = FoundDeath(
                        node: living, session: .none, generation: registration.generation, process: process)
                    group.step(.deathsReported(DeathReport([found], witness: witness)), at: leader)
                }
                group.run(.milliseconds(500))
            }
            let isItself = gossip == registration.addresses.gossip
            #expect(group.topology(of: leader).nodes[living]?.status == (isItself ? .failed : .healthy))
        }
    }

    @Test("257 deaths that two have found at once are planned in one pass, and all are committed")
    func manyDeaths() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let count = FoundDeath.mostOfReport + 1
        let nodes = try (0..<count).map { try NodeID("n\($0)") }
        for node in nodes {
            let proposed = ProposedCommand(
                command: .registerNode(try CoordinatorGroup.registration(node.name, zone: "a")),
                actor: try Principal("tester"), reason: "", requestID: try RequestID("r-\(node)"))
            group.lastCaller += 1
            group.step(.propose(proposed, caller: group.lastCaller), at: leader)
        }
        group.run(.seconds(2))
        #expect(group.topology(of: leader).nodes.count == count)
        group.writes = [:]
        let found = nodes.map { node in
            FoundDeath(
                node: node, session: group.topology(of: leader).nodes[node]?.session ?? .none, generation: Generation(1))
        }
        // As a member tells them: as many as a report holds, and the rest.
        for witness in group.names.map(\.node) {
            for part in [found.prefix(FoundDeath.mostOfReport), found.suffix(1)] {
                group.step(.deathsReported(DeathReport(Array(part), witness: witness)), at: leader)
            }
        }
        // One pass of the planner, and what it takes to commit.
        group.run(.milliseconds(300))
        let failed = group.topology(of: leader).nodes.values.count { $0.status == .failed }
        #expect(failed == count)
        #expect(group.writes[leader] == [count], "one write takes them all")
    }

    @Test("an agent's report is known at every member, whichever it was given to")
    func reports() throws {
        var group = try CoordinatorGroup()
        let node = try NodeID("n1")
        let report = NodeReport(
            node: node, session: SessionID(3), revision: .none, machine: MachineLoad(cpuPercent: 12), operationsPerSecond: 3,
            replicationLag: .zero, engine: .healthy, partitions: [], operations: [])
        group.step(.loadReported(report), at: try #require(group.follower))
        group.run(.milliseconds(20))
        for name in group.names { #expect(group.members[name]?.reports[node]?.report == report) }
    }

    @Test("a committed entry stands over a member's own setting at once, and gives way to it when it is removed")
    func configured() throws {
        var (group, leader) = try CoordinatorGroup.uneven()
        func configure(_ value: String?) throws {
            let write = ConfigurationWrite(key: "leadership_delay_seconds", value: value)
            _ = try group.commit(.configure(.global, [write]), as: "set-\(value ?? "nothing")", at: leader)
        }
        try configure("600")
        group.run(.seconds(60))
        #expect(group.topology(of: leader).transfers.count == 0)
        try configure(nil)
        group.run(.seconds(1))
        #expect(group.topology(of: leader).transfers.count == 1)
    }

    @Test("testimony about an earlier session counts for nothing")
    func oldSession() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        _ = try group.commit(.registerNode(try CoordinatorGroup.registration("n1", zone: "a")), as: "r1", at: leader)
        let dead = try NodeID("n1")
        for witness in group.names.map(\.node) {
            group.step(
                .deathsReported(
                    DeathReport([FoundDeath(node: dead, session: SessionID(1), generation: Generation(1))], witness: witness)),
                at: leader)
        }
        group.run(.seconds(1))
        #expect(group.members[leader]?.catalog.topology.nodes[dead]?.status == .healthy)
    }

    @Test("a member that was away long gets a snapshot and ends with an equal catalog")
    func snapshot() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let away = try #require(group.follower)
        group.down = [away]
        for number in 0..<60 {
            _ = try group.commit(
                .configure(.global, [ConfigurationWrite(key: "app.k\(number)", value: "1")]), as: "r\(number)", at: leader)
        }
        group.down = []
        group.run(.seconds(2))
        #expect(group.members[away]?.catalog == group.members[leader]?.catalog)
    }

    @Test("a snapshot is due by the bytes of commands since the last one too, at every member")
    func snapshotByBytes() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 100_000, snapshotBytes: 40))
        let leader = try #require(group.leader)
        // A command has four bytes here.
        for number in 0..<25 {
            let write = ConfigurationWrite(key: "app.k\(number)", value: "1")
            _ = try group.commit(.configure(.global, [write]), as: "r\(number)", at: leader)
        }
        group.run(.milliseconds(100))
        for name in group.names {
            // The group's first entry carries no command.
            #expect(group.members[name]?.raft.snapshot.id.index == LogIndex(21))
        }
    }

    @Test(
        "of a large state a snapshot is taken for few entries only when nothing was applied for a while, and for very few never"
    )
    func snapshotAtRest() throws {
        let settings = CoordinatorSettings(snapshotEntries: 20, snapshotRest: .seconds(2))
        var group = try CoordinatorGroup(settings: settings, snapshotPadding: 4_000)
        let leader = try #require(group.leader)
        var count = 0
        func commit(_ more: Int) throws {
            for _ in 0..<more {
                count += 1
                let write = ConfigurationWrite(key: "app.k\(count)", value: "1")
                _ = try group.commit(.configure(.global, [write]), as: "r\(count)", at: leader)
            }
        }
        func snapshots() -> [LogIndex] { group.names.compactMap { group.members[$0]?.raft.snapshot.id.index } }
        try commit(30)
        group.run(.milliseconds(100))
        let first = snapshots()
        #expect(first.allSatisfy { $0 > .zero })
        try commit(25)
        group.run(.milliseconds(1_800))
        #expect(snapshots() == first)
        group.run(.milliseconds(400))
        let second = snapshots()
        #expect(second == group.names.compactMap { group.members[$0]?.raft.log.applied })
        try commit(10)
        group.run(.seconds(5))
        #expect(snapshots() == second)
    }

    @Test("more commands than may wait are refused, also when they wait for the leader's answer")
    func bounded() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(waitingCommands: 3))
        let follower = try #require(group.follower)
        for number in 1...5 {
            let write = ConfigurationWrite(key: "app.k\(number)", value: "1")
            let command = ProposedCommand(
                command: .configure(.global, [write]), actor: try Principal("tester"), requestID: try RequestID("r\(number)"))
            group.step(.propose(command, caller: UInt64(1_000 + number)), at: follower)
        }
        for caller: UInt64 in [1_004, 1_005] {
            guard case .overloaded = group.outcomes[caller] else {
                Issue.record("\(group.outcomes[caller] as Any)")
                continue
            }
        }
        group.run(.milliseconds(200))
        for caller: UInt64 in 1_001...1_003 {
            guard case .done = group.outcomes[caller] else {
                Issue.record("\(group.outcomes[caller] as Any)")
                continue
            }
        }
    }

    @Test("what may end a fence is taken where others are refused, takes the places of none, and has a bound of its own (M4)")
    func boundedApart() throws {
        for endsFirst in [true, false] {
            var group = try CoordinatorGroup(settings: CoordinatorSettings(waitingCommands: 3))
            let follower = try #require(group.follower)
            var callers: (ends: [UInt64], others: [UInt64]) = ([], [])
            func propose(end: Bool) throws {
                let caller = UInt64(1_000 + callers.ends.count + callers.others.count)
                let agent = try NodeID("n1")
                let abort = PartitionProposal.abort(
                    OperationID(caller), partition: PartitionID(1), reason: "late", expecting: Epoch(1))
                let command =
                    end
                    ? Command.partition(abort, from: agent, session: SessionID(1))
                    : .configure(.global, [ConfigurationWrite(key: "app.k\(caller)", value: "1")])
                if end { callers.ends.append(caller) } else { callers.others.append(caller) }
                let proposed = ProposedCommand(
                    command: command, actor: try Principal("tester"), requestID: try RequestID("r\(caller)"))
                group.step(.propose(proposed, caller: caller), at: follower)
            }
            for _ in 0..<4 { try propose(end: endsFirst) }
            for _ in 0..<4 { try propose(end: !endsFirst) }
            func isOverloaded(_ caller: UInt64) -> Bool {
                if case .overloaded = group.outcomes[caller] { true } else { false }
            }
            #expect(callers.ends.map(isOverloaded) == [false, false, false, true])
            #expect(callers.others.map(isOverloaded) == [false, false, false, true])
            group.run(.milliseconds(200))
            for caller in callers.ends.prefix(3) + callers.others.prefix(3) {
                guard case .done = group.outcomes[caller] else {
                    Issue.record("\(caller): \(group.outcomes[caller] as Any)")
                    continue
                }
            }
        }
    }

    @Test("a leader that dies leaves nothing acknowledged behind")
    func failover() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        _ = try group.commit(.registerNode(try CoordinatorGroup.registration("n1", zone: "a")), as: "r1", at: leader)
        group.down = [leader]
        group.run(.seconds(1))
        let next = try #require(group.leader)
        #expect(next != leader)
        #expect(group.members[next]?.catalog.topology.nodes.count == 1)
    }

    @Test("a command that was passed on to a leader that then died is handed to the next one, and answered in time")
    func recalled() throws {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let follower = try #require(group.follower)
        group.down = [leader]
        let proposed = ProposedCommand(
            command: .registerNode(try CoordinatorGroup.registration("n1", zone: "a")), actor: try Principal("tester"),
            requestID: try RequestID("r1"))
        group.step(.propose(proposed, caller: 9), at: follower)
        group.run(.milliseconds(800))
        guard case .done(.accepted, _) = group.outcomes[9] else {
            Issue.record("\(group.outcomes[9] as Any)")
            return
        }
    }
}
