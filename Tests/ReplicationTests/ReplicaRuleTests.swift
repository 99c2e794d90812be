// One scenario for each rule, in the small world without faults.

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct ReplicaRuleTests {
    private func cluster(seed: UInt64 = 1, nodes: Int = 3, minInSync: Int = 2) throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: seed, nodes: nodes, minInSync: minInSync, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        return cluster
    }

    @Test("a write is acknowledged only when every in-sync member has it on disk (R1)")
    func allOfTheInSyncSet() throws {
        let cluster = try cluster()
        cluster.cut = [[cluster.order[0], cluster.order[2]]]
        cluster.coordinatorsUp = false
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(400))
        #expect(cluster.acknowledged[caller] == nil)
        cluster.cut = []
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }))
    }

    @Test("a member that stays silent is evicted by a committed change, and then the write is acknowledged (R3)")
    func evictsTheSilent() throws {
        let cluster = try cluster()
        cluster.crash(cluster.order[2])
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(300))
        #expect(cluster.acknowledged[caller] == nil)
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }, atMost: .seconds(2)))
        #expect(cluster.descriptor.inSync == [cluster.order[0], cluster.order[1]])
        #expect(cluster.evictionsAsked == [cluster.order[2]: [.owes]])
    }

    @Test("a member whose engine takes in nothing keeps no more of the log than a primary, and is left out (R3, R9)")
    func boundsFollowers() throws {
        var settings = ReplicationSettings()
        (settings.historyBytes, settings.learnerBytes, settings.pendingBytes) = (80, 400, 400)
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        cluster.node(2).engineFreeAt = cluster.now + .seconds(6)
        var most = 0
        for _ in 0..<500 {
            cluster.write(at: cluster.order[0])
            cluster.run(.milliseconds(10))
            most = max(most, cluster.node(2).replica.log.byteCount)
        }
        #expect((700...880).contains(most), "\(most)")
        #expect(cluster.descriptor.inSync == [cluster.order[0], cluster.order[1]])
        cluster.run(.seconds(2))
        #expect(cluster.settle() == [])
    }

    @Test("what the log keeps for those who come back never refuses a write, however little room there is beside it (R9, F5)")
    func historyIsNoBacklog() throws {
        var settings = ReplicationSettings()
        (settings.historyBytes, settings.learnerBytes, settings.pendingBytes) = (4_000, 4_000, 400)
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        var most = 0
        for _ in 0..<200 {
            let caller = cluster.write(at: cluster.order[0])
            try #require(cluster.run(until: { $0.acknowledged[caller] != nil }, atMost: .seconds(1)))
            most = max(most, cluster.node(0).replica.log.byteCount)
        }
        #expect(most > 4_400)
        #expect(cluster.settle() == [])
    }

    @Test("what the engine has on disk can be given up on this disk, and is still in memory for who comes back (R9, F5)")
    func forgetsOnDisk() throws {
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        for _ in 0..<10 { cluster.write(at: cluster.order[0]) }
        cluster.run(.seconds(3))
        var replica = cluster.node(0).replica
        #expect(replica.synced == replica.log.lastSequence)
        replica.forgetOnDisk()
        #expect(replica.checkpoint == .checkpoint(replica.id, replica.log.last, replica.hard))
        #expect(replica.log.count >= 10)
    }

    @Test("an engine is given what is committed in pieces, so that it is seen to go on however much there is (F6)")
    func appliesInPieces() throws {
        var settings = ReplicationSettings()
        settings.applyBytes = 200
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        let callers = (0..<100).map { _ in cluster.write(at: cluster.order[0]) }
        #expect(cluster.run(until: { cluster in callers.allSatisfy { cluster.acknowledged[$0] != nil } }))
        #expect((2...4).contains(cluster.largestBatch), "\(cluster.largestBatch)")
        #expect(cluster.settle() == [])
    }

    @Test("a follower's rows are as old as its last words that a primary with the right to read has repeated (M9, L1)")
    func vouchesForFollowers() throws {
        let cluster = try cluster()
        cluster.run(.seconds(1))
        func age(_ index: Int) -> Span? { cluster.node(index).replica.asOf.map { cluster.now - $0 } }
        for _ in 0..<50 {
            cluster.run(.milliseconds(20))
            #expect(try #require(age(1)) <= .milliseconds(250))
        }
        // Without the third member's grant the first may not read strongly, though its beacons reach the second.
        cluster.coordinatorsUp = false
        cluster.cut = [[cluster.order[0], cluster.order[2]]]
        cluster.run(.seconds(3))
        #expect(try #require(age(1)) > .seconds(2))
        cluster.cut = []
        cluster.run(.seconds(1))
        #expect(try #require(age(1)) <= .milliseconds(250))
        // Nobody vouches for a primary's own rows, nor for what another log held.
        #expect(age(0) == nil)
        cluster.crash(cluster.order[1])
        cluster.restart(cluster.order[1])
        #expect(age(1) == nil)
    }

    @Test("words of an earlier life, counted by a clock that may have begun anew, vouch for nothing (M9)")
    func vouchesForThisLife() throws {
        let cluster = try cluster()
        cluster.run(.seconds(1))
        func replica() -> Replica { cluster.node(1).replica }
        func repeatWords(of incarnation: UInt64) {
            let prepare = ReplicationMessage.Prepare(
                term: replica().heardTerm, previous: replica().log.last, entries: [], commit: replica().commit,
                wantsReply: false, voucher: Voucher(incarnation: incarnation, spokenAt: cluster.now))
            let message = ReplicationMessage(
                partition: cluster.partition, epoch: cluster.descriptor.epoch, body: .prepare(prepare))
            cluster.give(cluster.order[1], [.received(message, from: cluster.order[0])])
        }
        let before = replica().asOf
        repeatWords(of: replica().incarnation &- 1)
        #expect(replica().asOf == before && before != cluster.now)
        repeatWords(of: replica().incarnation)
        #expect(replica().asOf == cluster.now)
    }

    @Test("a comparison that is not answered is given twice as long each time, so that rows of any size are compared (M6)")
    func comparesPatiently() throws {
        let cluster = try cluster()
        let start = cluster.now
        var ordered: [Position: Int64] = [:]
        for _ in 0..<130 {
            cluster.give(cluster.order[0], [.ordered(.verify(OperationID(3)))])
            if let position = cluster.node(0).replica.verification?.position, ordered[position] == nil {
                ordered[position] = (cluster.now - start).milliseconds / 1_000
            }
            cluster.run(.seconds(1))
        }
        #expect(ordered.values.sorted() == [0, 15, 45, 105])
    }

    @Test("below the minimum of in-sync members writes are refused, with both numbers (R3)")
    func refusesBelowMinimum() throws {
        let cluster = try cluster()
        for index in [1, 2] {
            cluster.crash(cluster.order[index])
            cluster.nodeFailed(cluster.order[index])
            cluster.run(.milliseconds(50))
        }
        let caller = CallerID(cluster.write(at: cluster.order[0]))
        #expect(cluster.refusals[caller] == .notEnoughInSync(have: 1, need: 2))
    }

    @Test("an evicted member comes back from its log, without a copy, and is in sync again (R4, F5)")
    func returnsFromItsLog() throws {
        let cluster = try cluster()
        cluster.crash(cluster.order[2])
        cluster.nodeFailed(cluster.order[2])
        for _ in 0..<20 {
            cluster.write(at: cluster.order[0])
            cluster.run(.milliseconds(10))
        }
        cluster.restart(cluster.order[2])
        let end = cluster.now + .seconds(5)
        while cluster.now < end, cluster.descriptor.inSync.count < 3 { cluster.run(.milliseconds(20)) { $0.helpLearners() } }
        #expect(cluster.descriptor.inSync.count == 3)
        #expect(cluster.settle() == [])
    }

    @Test("a pending join counts for acknowledgements before it is committed, and until its outcome is known (R4)")
    func pendingJoinCounts() throws {
        let cluster = try cluster()
        cluster.returnAsLearner(cluster.order[2])
        cluster.coordinatorsUp = false
        cluster.give(cluster.order[0], [.ordered(.join(cluster.order[2], cluster.node(2).store))])
        cluster.run(.milliseconds(50))
        #expect(cluster.node(0).replica.hard.pendingJoin?.node == cluster.order[2])
        cluster.cut = [[cluster.order[0], cluster.order[2]]]
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(1_000))
        #expect(cluster.acknowledged[caller] == nil, "the union must acknowledge, and the join is not settled")
        // A restart of the primary forgets nothing of it.
        cluster.crash(cluster.order[0])
        cluster.restart(cluster.order[0])
        #expect(cluster.node(0).replica.hard.pendingJoin?.node == cluster.order[2])
    }

    @Test("a promoted member waits until the last lease that it gave the old primary has run out (R5)")
    func waitsOutTheLease() throws {
        let cluster = try cluster()
        cluster.run(.milliseconds(500))
        let promoted = cluster.order[1]
        let granted = cluster.node(1).leases.lastGrantEnds(for: cluster.order[0])
        cluster.crash(cluster.order[0])
        cluster.commit { descriptor in
            descriptor.primary = promoted
            descriptor.replicas = descriptor.replicas.map { $0.node == cluster.order[0] ? ReplicaGroup.with($0, .learner) : $0 }
        }
        #expect(cluster.run(until: { $0.nodes[promoted]!.replica.isServing }, atMost: .seconds(3)))
        #expect(cluster.now >= granted)
    }

    @Test("after a planned hand-over the new primary need not wait: the old one says that it serves no more (R5)")
    func yields() throws {
        let cluster = try cluster()
        cluster.run(.milliseconds(500))
        let start = cluster.now
        cluster.commit { $0.primary = cluster.order[1] }
        #expect(cluster.run(until: { $0.node(1).replica.isServing }, atMost: .seconds(3)))
        #expect(cluster.now - start < .milliseconds(150))
    }

    @Test("nor need one that has just started, and cannot know what leases it granted: the old one has waited for them (R5)")
    func yieldsToAStarter() throws {
        let cluster = try cluster()
        cluster.run(.milliseconds(500))
        cluster.crash(cluster.order[1])
        cluster.restart(cluster.order[1])
        cluster.run(.milliseconds(100))
        let start = cluster.now
        cluster.commit { $0.primary = cluster.order[1] }
        #expect(cluster.run(until: { $0.node(1).replica.isServing }, atMost: .seconds(3)))
        #expect(cluster.now - start < .milliseconds(150))
    }

    @Test("one that was to lead and never served says nothing: who led before it is still waited for (R5)")
    func yieldsOnlyWhatItHad() throws {
        let cluster = try cluster()
        cluster.run(.milliseconds(500))
        cluster.crash(cluster.order[0])
        let granted = cluster.node(2).leases.lastGrantEnds(for: cluster.order[0])
        cluster.commit { descriptor in
            descriptor.primary = cluster.order[1]
            descriptor.replicas = descriptor.replicas.map { $0.node == cluster.order[0] ? ReplicaGroup.with($0, .learner) : $0 }
        }
        cluster.run(.milliseconds(50))
        #expect(cluster.node(1).replica.isPrimary && !cluster.node(1).replica.isServing)
        cluster.commit { $0.primary = cluster.order[2] }
        #expect(cluster.run(until: { $0.node(2).replica.isServing }, atMost: .seconds(3)))
        #expect(cluster.now >= granted)
    }

    @Test("a primary says that it serves no more once the epoch is on its disk: a start without it may serve again (R5, R7)")
    func yieldsWhenDurable() throws {
        for isDurable in [true, false] {
            let cluster = try cluster()
            cluster.run(.milliseconds(500))
            cluster.node(0).diskStands = !isDurable
            let granted = cluster.node(1).leases.lastGrantEnds(for: cluster.order[0])
            cluster.commit { descriptor in
                descriptor.primary = cluster.order[1]
                descriptor.replicas = descriptor.replicas.map {
                    $0.node == cluster.order[0] ? ReplicaGroup.with($0, .learner) : $0
                }
            }
            #expect(cluster.run(until: { $0.node(1).replica.isServing }, atMost: .seconds(3)))
            #expect((cluster.now >= granted) == !isDurable)
        }
    }

    @Test("what a deposed primary ordered alone is cut from its log, and its caller is told that the outcome is unknown (R5)")
    func cutsDivergentTails() throws {
        let cluster = try cluster()
        cluster.cut = [[cluster.order[0], cluster.order[1]], [cluster.order[0], cluster.order[2]]]
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(100))
        cluster.nodeFailed(cluster.order[0])
        cluster.run(.milliseconds(1_500))
        #expect(cluster.refusals[CallerID(caller)] == .outcomeUnknown)
        #expect(cluster.settle() == [])
        #expect(!cluster.node(0).rows.contains(caller))
    }

    @Test("a fence stops clients, not replication; past 250 ms its holder asks for its end until that is committed (M4)")
    func fence() throws {
        let cluster = try cluster()
        cluster.commit { $0.operation = OperationID(40) }
        cluster.run(.milliseconds(50))
        let before = cluster.write(at: cluster.order[0])
        cluster.give(cluster.order[0], [.ordered(.fence(OperationID(40)))])
        let during = cluster.write(at: cluster.order[0])
        #expect(cluster.refusals[CallerID(during)] == .fenced)
        cluster.run(.milliseconds(100))
        #expect(cluster.acknowledged[before] != nil)
        #expect(cluster.node(0).replica.isDrained)
        #expect(cluster.run(until: { $0.descriptor.operation == nil }, atMost: .milliseconds(400)))
        let after = cluster.run(until: { !$0.node(0).replica.isDrained })
        #expect(after)
        let caller = cluster.write(at: cluster.order[0])
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }))
    }

    @Test("a fence that outlives its bound, since nobody has a quorum to end it, is told of as such (M4)")
    func fenceWithoutQuorum() throws {
        let cluster = try cluster()
        cluster.coordinatorsUp = false
        cluster.commit { $0.operation = OperationID(40) }
        cluster.push(.topology(cluster.descriptor, to: cluster.order[0]), after: .zero)
        cluster.run(.milliseconds(50))
        cluster.give(cluster.order[0], [.ordered(.fence(OperationID(40)))])
        cluster.run(.milliseconds(390))
        #expect(!cluster.node(0).replica.isFencedWithoutQuorum(at: cluster.now))
        cluster.run(.milliseconds(20))
        #expect(cluster.node(0).replica.isFencedWithoutQuorum(at: cluster.now))
    }

    @Test("a fence survives a restart of its holder (M4)")
    func fenceIsDurable() throws {
        let cluster = try cluster()
        cluster.commit { $0.operation = OperationID(40) }
        cluster.run(.milliseconds(50))
        cluster.coordinatorsUp = false
        cluster.give(cluster.order[0], [.ordered(.fence(OperationID(40)))])
        cluster.run(.milliseconds(50))
        cluster.crash(cluster.order[0])
        cluster.restart(cluster.order[0])
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(3)))
        let caller = cluster.write(at: cluster.order[0])
        #expect(cluster.refusals[CallerID(caller)] == .fenced)
    }

    @Test("a fence stands after a start from a topology in which its operation has not begun, until the epoch rises (M4)")
    func fenceOutlivesOldTopology() throws {
        let cluster = try cluster()
        var descriptor = cluster.descriptor
        let fence = Fence(operation: OperationID(40), epoch: descriptor.epoch)
        let leases = LeaseBook(startedAt: LogicalInstant(microseconds: -10_000_000), generation: Generation(1))
        var replica = Replica(
            id: cluster.partition, node: cluster.order[0], incarnation: 1,
            hard: HardState(epoch: descriptor.epoch, run: 1, fence: fence))
        _ = replica.step([.learned(descriptor, minInSync: 1, grants: [:])], at: cluster.now, leases: leases)
        #expect(replica.hard.fence == fence)
        descriptor.epoch = descriptor.epoch.next
        _ = replica.step([.learned(descriptor, minInSync: 1, grants: [:])], at: cluster.now, leases: leases)
        #expect(replica.hard.fence == nil)
    }

    @Test("a strong read is refused by a primary that has lost its peers' grants (L1)")
    func readsNeedLeases() throws {
        let cluster = try cluster()
        cluster.run(.milliseconds(300))
        let good = cluster.read(at: cluster.order[0])
        cluster.run(.milliseconds(50))
        #expect(cluster.refusals[CallerID(good)] == nil)
        cluster.cut = [[cluster.order[0], cluster.order[1]]]
        cluster.run(.milliseconds(1_000))
        let late = cluster.read(at: cluster.order[0])
        cluster.run(.milliseconds(50))
        #expect(cluster.refusals[CallerID(late)] == .noLease)
    }

    @Test("a restarted primary orders nothing before its raised run is on disk (R1)")
    func raisesItsRun() throws {
        let cluster = try cluster()
        let before = cluster.node(0).replica.hard.run
        cluster.crash(cluster.order[0])
        cluster.restart(cluster.order[0])
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(3)))
        #expect(cluster.node(0).replica.hard.run == before + 1)
        #expect(cluster.node(0).replica.log.last.position.run == before + 1)
    }
}
