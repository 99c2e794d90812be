import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

/// Nodes n1 and n2, and a table of three partitions that n1 leads; c2 and c3 are witnesses.
private struct Failover {
    var group: CoordinatorGroup
    let leader: MemberID
    let victim: NodeID
    let heir: NodeID

    init() throws {
        (group, leader) = try CoordinatorGroup.uneven()
        (victim, heir) = (try NodeID("n1"), try NodeID("n2"))
    }

    var session: SessionID { group.topology(of: leader).nodes[victim]?.session ?? .none }
    func incidents(at member: MemberID? = nil) -> [Incident] { group.members[member ?? leader]?.incidents ?? [] }

    mutating func suspect() { believe(isAlive: false) }
    mutating func believeAlive() { believe(isAlive: true) }

    private mutating func believe(isAlive: Bool) {
        for name in group.names {
            group.step(
                .believed(victim, generation: Generation(1), session: session, isAlive: isAlive, isHeard: true), at: name)
        }
    }

    mutating func accuse(by witness: String) throws {
        let found = FoundDeath(node: victim, session: session, generation: Generation(1))
        group.step(.deathsReported(DeathReport([found], witness: try NodeID(witness))), at: leader)
        group.deliver()
    }

    /// Suspected, and 400 ms later found dead by one; after 200 ms more by another, which decides it within the next 150.
    mutating func fail() throws {
        suspect()
        group.run(.milliseconds(400))
        try accuse(by: "n2")
        group.run(.milliseconds(200))
        try accuse(by: "c2")
        group.run(.milliseconds(150))
    }

    /// The node tells the leader that it serves these, which has been so for a while.
    mutating func serve(_ partitions: [PartitionDescriptor], on node: NodeID, for span: Span, at member: MemberID? = nil) {
        let told = partitions.map { partition in
            PartitionReport(
                partition: partition.id, epoch: partition.epoch, isPrimary: true, role: .inSync, rows: 0, bytes: 0,
                readsPerSecond: 0, writesPerSecond: 0, lag: .zero, last: .zero, applied: .zero, servingFor: span)
        }
        let report = NodeReport(
            node: node, session: SessionID(1), revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
            replicationLag: .zero, engine: .healthy, partitions: told, operations: [])
        group.step(.loadReported(report), at: member ?? leader)
        group.deliver()
    }

    var partitions: [PartitionDescriptor] {
        group.topology(of: group.leader ?? leader).partitions.values.sorted { $0.id < $1.id }
    }
}

@Suite struct IncidentTests {
    @Test("an incident says who failed and why, who found it dead, and what its partitions have come to")
    func decision() throws {
        var failover = try Failover()
        let session = failover.session
        try failover.fail()
        let incident = try #require(failover.incidents().first)
        #expect(failover.incidents().count == 1 && incident.node == failover.victim && incident.session == session)
        #expect(incident.cause == .witnesses && incident.witnesses.map(\.id.name) == ["c2", "n2"])
        #expect(incident.account.hasPrefix("2 witnesses found it dead: c2, n2"))
        #expect(incident.changedHands == 3 && incident.withoutPrimary == 0 && incident.awaited.count == 3)
        #expect(incident.state == .recovering && incident.decidedAt.milliseconds > 0)
    }

    @Test("detection lasts from the first suspicion to the first report, the decision from there to the entry")
    func detectAndDecide() throws {
        var failover = try Failover()
        try failover.fail()
        let clocks = try #require(failover.incidents().first?.clocks)
        #expect(clocks.detect == .milliseconds(400) && clocks.recover == nil)
        let decide = try #require(clocks.decide)
        #expect((Span.milliseconds(200)...Span.milliseconds(350)).contains(decide))
        #expect(failover.incidents().first?.measuredBy == failover.leader.node)
        let news = try #require(failover.group.failovers[failover.leader])
        #expect(news == [.detected(failover.victim, .milliseconds(400)), .decided(try #require(failover.incidents().first))])
    }

    @Test("recovery lasts from the entry until the slowest partition serves, by its agent's word on how long it has")
    func recover() throws {
        var failover = try Failover()
        try failover.fail()
        let decided = failover.group.now
        failover.group.run(.seconds(2))
        let partitions = failover.partitions
        failover.serve(Array(partitions.dropLast()), on: failover.heir, for: .milliseconds(1_900))
        #expect(failover.incidents().first?.state == .recovering && failover.incidents().first?.awaited.count == 1)
        failover.serve(partitions, on: failover.heir, for: .milliseconds(1_500))
        let incident = try #require(failover.incidents().first)
        #expect(incident.state == .recovered && incident.awaited.isEmpty)
        // Decided within the last 150 ms before `decided`, the slowest served 500 ms after that.
        #expect((Span.milliseconds(500)...Span.milliseconds(650)).contains(try #require(incident.clocks.recover)))
        #expect(failover.group.now - decided == .seconds(2))
        #expect(failover.group.failovers[failover.leader]?.last == .recovered(incident))
        // Said once.
        failover.serve(partitions, on: failover.heir, for: .seconds(9))
        #expect(failover.incidents().first == incident && failover.group.failovers[failover.leader]?.count == 3)
    }

    @Test("a report of an epoch before the incident's, of a primary that does not serve yet or of a follower ends nothing")
    func earlierReports() throws {
        var failover = try Failover()
        let before = failover.partitions
        try failover.fail()
        failover.serve(before, on: failover.victim, for: .seconds(30))
        var told = failover.partitions.map { partition in
            PartitionReport(
                partition: partition.id, epoch: partition.epoch, isPrimary: true, role: .inSync, rows: 0, bytes: 0,
                readsPerSecond: 0, writesPerSecond: 0, lag: .zero, last: .zero, applied: .zero)
        }
        told += told.map { report in
            PartitionReport(
                partition: report.partition, epoch: report.epoch, isPrimary: false, role: .inSync, rows: 0, bytes: 0,
                readsPerSecond: 0, writesPerSecond: 0, lag: .zero, last: .zero, applied: .zero, servingFor: .seconds(1))
        }
        let report = NodeReport(
            node: failover.heir, session: SessionID(1), revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
            replicationLag: .zero, engine: .healthy, partitions: told, operations: [])
        failover.group.step(.loadReported(report), at: failover.leader)
        #expect(failover.incidents().first?.awaited.count == 3)
    }

    @Test("a node that answers again before it was decided makes no incident; the next failure is measured from its own start")
    func returnsBefore() throws {
        var failover = try Failover()
        failover.suspect()
        try failover.accuse(by: "n2")
        failover.group.run(.seconds(1))
        failover.believeAlive()
        failover.group.run(.seconds(5))
        #expect(failover.incidents().isEmpty)
        try failover.fail()
        let clocks = try #require(failover.incidents().first?.clocks)
        #expect(clocks.detect == .milliseconds(400) && clocks.decide ?? .seconds(9) <= .milliseconds(350))
    }

    @Test("an accusation that nobody repeats is forgotten: the next one is another, and its decision is measured from there")
    func forgotten() throws {
        var failover = try Failover()
        try failover.accuse(by: "n2")
        failover.group.run(.seconds(20))
        try failover.fail()
        #expect(failover.incidents().first?.clocks.decide ?? .seconds(99) <= .milliseconds(350))
    }

    @Test("an accusation of a life that is not the registered one begins nothing")
    func otherLife() throws {
        var failover = try Failover()
        failover.suspect()
        let old = FoundDeath(node: failover.victim, session: SessionID(999), generation: Generation(1))
        failover.group.step(.deathsReported(DeathReport([old], witness: failover.heir)), at: failover.leader)
        failover.group.run(.milliseconds(600))
        #expect(failover.group.failovers.isEmpty)
        try failover.fail()
        #expect(failover.incidents().first?.clocks.detect == .milliseconds(1_000))
    }

    @Test("a node that is there again is shown as returned, once all that it led is served")
    func returned() throws {
        var failover = try Failover()
        try failover.fail()
        failover.believeAlive()
        failover.group.run(.milliseconds(500))
        #expect(failover.incidents().first?.state == .recovering && failover.incidents().first?.hasReturned == true)
        failover.serve(failover.partitions, on: failover.heir, for: .milliseconds(10))
        #expect(failover.incidents().first?.state == .returned)
    }

    @Test("what has no other copy in sync is counted as without a primary, and awaited until its node serves it again")
    func withoutPrimary() throws {
        var failover = try Failover()
        // The heir goes first: it leads nothing, and leaves what it follows with one copy.
        let heir = FoundDeath(
            node: failover.heir, session: failover.group.topology(of: failover.leader).nodes[failover.heir]?.session ?? .none,
            generation: Generation(1))
        for witness in ["n1", "c2"] {
            failover.group.step(.deathsReported(DeathReport([heir], witness: try NodeID(witness))), at: failover.leader)
        }
        failover.group.run(.milliseconds(200))
        let first = try #require(failover.incidents().first)
        #expect(first.changedHands == 0 && first.withoutPrimary == 0 && first.state == .recovered)
        failover.suspect()
        try failover.accuse(by: "c3")
        try failover.accuse(by: "c2")
        failover.group.run(.milliseconds(200))
        let second = try #require(failover.incidents().last)
        #expect(second.node == failover.victim && second.changedHands == 0 && second.withoutPrimary == 3)
        failover.believeAlive()
        failover.group.run(.milliseconds(500))
        #expect(failover.incidents().last?.state == .recovering)
        failover.serve(failover.partitions, on: failover.victim, for: .milliseconds(20))
        #expect(failover.incidents().last?.state == .returned && failover.incidents().last?.clocks.recover != nil)
    }

    @Test("a node that comes back without its data makes an incident of what it led, which nobody has detected")
    func dataLost() throws {
        var failover = try Failover()
        let former = failover.session
        let start = try CoordinatorGroup.registration("n1", zone: "a", generation: 2)
        let blank = NodeRegistration(
            node: start.node, store: StoreID(77), generation: start.generation, zone: start.zone, addresses: start.addresses)
        _ = try failover.group.commit(.registerNode(blank), as: "blank", at: failover.leader)
        let incident = try #require(failover.incidents().first)
        #expect(incident.cause == .dataLost && incident.session == former && incident.changedHands == 3)
        #expect(incident.clocks.detect == nil && incident.clocks.decide == nil && incident.state == .recovering)
        failover.serve(failover.partitions, on: failover.heir, for: .milliseconds(10))
        #expect(failover.incidents().first?.state == .returned && failover.incidents().first?.clocks.recover != nil)
    }

    @Test("a node that starts again with its data, or without data that led anything, makes none")
    func plainStarts() throws {
        var failover = try Failover()
        let again = try CoordinatorGroup.registration("n1", zone: "a", generation: 2)
        _ = try failover.group.commit(.registerNode(again), as: "again", at: failover.leader)
        let start = try CoordinatorGroup.registration("n2", zone: "b", generation: 2)
        let blank = NodeRegistration(
            node: start.node, store: StoreID(77), generation: start.generation, zone: start.zone, addresses: start.addresses)
        _ = try failover.group.commit(.registerNode(blank), as: "blank", at: failover.leader)
        #expect(failover.incidents().isEmpty)
    }

    @Test("every member knows the incident under one name, and the clocks that its leader told it")
    func everywhere() throws {
        var failover = try Failover()
        try failover.fail()
        failover.group.run(.milliseconds(100))
        let decided = try #require(failover.incidents().first)
        for name in failover.group.names { #expect(failover.incidents(at: name) == [decided], "\(name)") }
        failover.serve(failover.partitions, on: failover.heir, for: .milliseconds(10), at: failover.group.follower)
        let recovered = try #require(failover.incidents().first)
        #expect(recovered.state == .recovered && recovered.clocks.recover != nil)
        for name in failover.group.names { #expect(failover.incidents(at: name) == [recovered], "\(name)") }
    }

    @Test("a new leader knows the incident and sees it end, but no clock that it has not measured")
    func newLeader() throws {
        var failover = try Failover()
        try failover.fail()
        failover.group.run(.milliseconds(100))
        let told = try #require(failover.incidents().first?.clocks)
        failover.group.down = [failover.leader]
        failover.group.run(.seconds(1))
        let next = try #require(failover.group.leader)
        failover.serve(failover.partitions, on: failover.heir, for: .milliseconds(10), at: next)
        let incident = try #require(failover.incidents(at: next).first)
        #expect(incident.state == .recovered && incident.clocks == told && incident.clocks.recover == nil)
        #expect(incident.measuredBy == failover.leader.node)
        #expect(failover.group.failovers[next] == [.recovered(incident)])
    }

    @Test("a member that has started again reads what its log still says of incidents, without clocks")
    func startsAgain() throws {
        var failover = try Failover()
        try failover.fail()
        failover.group.run(.milliseconds(100))
        let before = try #require(failover.incidents().first)
        for name in failover.group.names { try failover.group.restart(name) }
        failover.group.run(.seconds(2))
        let next = try #require(failover.group.leader)
        let incident = try #require(failover.incidents(at: next).first)
        #expect(incident.id == before.id && incident.awaited == before.awaited && incident.account == before.account)
        #expect(incident.clocks == FailoverClocks() && incident.measuredBy == nil)
    }
}
