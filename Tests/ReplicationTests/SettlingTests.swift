// What settles a join, whose word counts, and which leases are waited out: the rules whose breach loses writes late and silently.

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct SettlingTests {
    private func cluster() throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, minInSync: 2, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        return cluster
    }

    /// The third node has been evicted and is back as a learner whose join is pending, and no coordinator is in reach.
    private func withPendingJoin() throws -> ReplicaGroup {
        let cluster = try cluster()
        cluster.crash(cluster.order[2])
        cluster.nodeFailed(cluster.order[2])
        cluster.restart(cluster.order[2])
        cluster.run(.milliseconds(500))
        cluster.coordinatorsUp = false
        cluster.give(cluster.order[0], [.ordered(.join(cluster.order[2], cluster.node(2).store))])
        cluster.run(.milliseconds(50))
        #expect(cluster.node(0).replica.hard.pendingJoin?.node == cluster.order[2])
        return cluster
    }

    @Test("a refused join settles nothing: an earlier request for it may still be accepted (R4)")
    func refusalSettlesNothing() throws {
        let cluster = try withPendingJoin()
        let learner = cluster.order[2]
        let join = PartitionProposal.joinInSync(
            cluster.partition, node: learner, store: cluster.node(2).store, expecting: cluster.descriptor.epoch)
        cluster.give(cluster.order[0], [.answered(join, .refused(code: "stale_session", detail: ""))])
        #expect(cluster.node(0).replica.hard.pendingJoin?.node == learner)
        cluster.cut = [[cluster.order[0], learner].sorted()]
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(400))
        #expect(cluster.acknowledged[caller] == nil)
    }

    @Test("a learner that falls silent while its join is pending is left out by a committed change, and writes go on (R4)")
    func pendingLearnerIsLeftOut() throws {
        let cluster = try withPendingJoin()
        cluster.crash(cluster.order[2])
        let caller = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(1_000))
        #expect(cluster.acknowledged[caller] == nil)
        cluster.coordinatorsUp = true
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }, atMost: .seconds(3)), "\(cluster.describe())")
        #expect(cluster.node(0).replica.hard.pendingJoin == nil)
    }

    @Test("a learner is proposed for what it has said in the epoch in which it is to join, and for nothing older (R4, E4)")
    func joinsByWordOfTheEpoch() throws {
        let cluster = try cluster()
        let (primary, learner) = (cluster.order[0], cluster.order[2])
        cluster.crash(learner)
        cluster.nodeFailed(learner)
        cluster.restart(learner)
        cluster.run(.milliseconds(500))
        cluster.cut = [[primary, learner].sorted()]
        // As when the learner starts again without its copy.
        cluster.commit { _ in }
        #expect(cluster.run(until: { $0.node(0).knownEpoch == $0.descriptor.epoch }, atMost: .milliseconds(200)))
        cluster.give(primary, [.ordered(.join(learner, cluster.node(2).store))])
        #expect(cluster.node(0).replica.progress(of: learner, at: cluster.now)?.isFollowing == true)
        #expect(cluster.node(0).replica.hard.pendingJoin == nil)
        cluster.cut = []
        cluster.run(.milliseconds(200))
        cluster.give(primary, [.ordered(.join(learner, cluster.node(2).store))])
        #expect(cluster.run(until: { $0.descriptor.inSync.contains(learner) }, atMost: .seconds(1)), "\(cluster.describe())")
    }

    @Test("a primary that restarts while the join of a dead learner is pending serves again (R4, R5)")
    func restartWithPendingJoin() throws {
        let cluster = try withPendingJoin()
        cluster.crash(cluster.order[2])
        cluster.crash(cluster.order[0])
        cluster.coordinatorsUp = true
        cluster.restart(cluster.order[0])
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(8)), "\(cluster.describe())")
    }

    @Test("every node that may still hold a lease is waited out, not only the last to lead (R5, L2)")
    func formerLeaders() throws {
        let cluster = try cluster()
        let (first, second, third) = (cluster.order[0], cluster.order[1], cluster.order[2])
        let leases = LeaseBook(startedAt: LogicalInstant(microseconds: -10_000_000), generation: Generation(1))
        var replica = Replica(id: cluster.partition, node: third, incarnation: 1)
        let now = cluster.now
        var descriptor = cluster.descriptor
        // The first leads, and has just been granted a lease; then the second is promoted, then the third at once.
        _ = replica.step(.learned(descriptor, minInSync: 1, grants: [:]), at: now, leases: leases)
        let granted = now + .milliseconds(800)
        for primary in [second, third] {
            descriptor.epoch = descriptor.epoch.next
            let deposed = descriptor.primary
            descriptor.replicas.removeAll { $0.node == deposed }
            descriptor.primary = primary
            let grants = [first: granted, second: now]
            _ = replica.step(.learned(descriptor, minInSync: 1, grants: grants), at: now, leases: leases)
        }
        _ = replica.step(.persisted(ticket: 100), at: now, leases: leases)
        _ = replica.step(.tick, at: granted + .milliseconds(-1), leases: leases)
        #expect(replica.log.lastSequence == 0, "the first may still serve reads")
        _ = replica.step(.tick, at: granted, leases: leases)
        #expect(replica.log.lastSequence == 1)
    }

    @Test("what a learner held before it began a snapshot acknowledges nothing, though its word for it comes late (E4, R4)")
    func snapshotOfPendingLearner() throws {
        let cluster = try withPendingJoin()
        let (primary, learner) = (cluster.order[0], cluster.node(2))
        cluster.run(.milliseconds(200))
        let held = cluster.node(0).replica.log.lastSequence
        #expect(cluster.node(0).replica.progress(of: learner.id, at: cluster.now)?.durable == held)
        let (incarnation, term) = (learner.replica.incarnation, learner.replica.heardTerm)
        cluster.give(learner.id, [.snapshotBegun(copy: 1)])
        cluster.run(.milliseconds(200))
        #expect(cluster.node(0).replica.progress(of: learner.id, at: cluster.now)?.durable == 0)
        let caller = cluster.write(at: primary)
        let late = ReplicationMessage.Ack(
            term: term, received: held + 1, durable: held + 1, verified: nil, incarnation: incarnation, applied: held,
            spokenAt: cluster.now)
        cluster.give(
            primary,
            [
                .received(
                    ReplicationMessage(partition: cluster.partition, epoch: cluster.descriptor.epoch, body: .ack(late)),
                    from: learner.id)
            ])
        cluster.run(.milliseconds(300))
        #expect(cluster.acknowledged[caller] == nil)
    }

    @Test("a pending learner that needs a snapshot is left out at once, before anything that it holds is given up (R4)")
    func pendingLearnerNeedsSnapshot() throws {
        let cluster = try withPendingJoin()
        let learner = cluster.node(2)
        let held = cluster.node(0).replica.log.lastSequence
        let nack = ReplicationMessage.Nack(
            term: learner.replica.heardTerm, refused: held, hint: .zero, committed: .zero, wantsSnapshot: true,
            incarnation: learner.replica.incarnation + 1, heard: learner.replica.heardTerm)
        cluster.cut = [[cluster.order[0], learner.id].sorted()]
        cluster.give(cluster.order[0], [.received(message(.nack(nack), in: cluster), from: learner.id)])
        cluster.run(.milliseconds(20))
        #expect(cluster.evictionsAsked[learner.id]?.last == .hasLost)
        cluster.coordinatorsUp = true
        #expect(cluster.run(until: { $0.node(0).replica.hard.pendingJoin == nil }, atMost: .seconds(1)))
    }

    @Test(
        "a learner whose first word after a start is older than the log of its primary is asked for more, not filled anew (F5)")
    func firstWordAfterStart() throws {
        var settings = ReplicationSettings()
        (settings.historyBytes, settings.learnerBytes) = (10 * 56, 10 * 56)
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, inSync: 2, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        for _ in 0..<100 { cluster.write(at: cluster.order[0]) }
        cluster.run(.milliseconds(500))
        let (primary, learner) = (cluster.node(0), cluster.order[2])
        let (last, base) = (primary.replica.log.last, primary.replica.log.base)
        #expect(base.sequence > 2)
        let term = try #require(primary.replica.term)
        let store = ReplicaDescriptor(node: learner, store: cluster.node(2).store, storage: StorageID(8), role: .learner)
        cluster.cut = [[cluster.order[0], learner].sorted()]
        cluster.commit { $0.replicas.append(store) }
        #expect(cluster.run(until: { $0.node(0).replica.progress(of: learner, at: $0.now) != nil }))
        let refused = ReplicationMessage.Nack(
            term: term, refused: last.sequence, hint: last.position, committed: .zero, wantsSnapshot: false,
            incarnation: 1 << 50,
            heard: term)
        let first = ReplicationMessage.Ack(
            term: term, received: 2, durable: 2, verified: nil, incarnation: 1 << 50, applied: 2, spokenAt: cluster.now)
        for body in [ReplicationMessage.Body.nack(refused), .ack(first)] {
            cluster.give(cluster.order[0], [.received(message(body, in: cluster), from: learner)])
        }
        #expect(primary.replica.progress(of: learner, at: cluster.now)?.needsSnapshot == false)
    }

    private func message(_ body: ReplicationMessage.Body, in cluster: ReplicaGroup) -> ReplicationMessage {
        ReplicationMessage(partition: cluster.partition, epoch: cluster.descriptor.epoch, body: body)
    }

    @Test("what a peer acknowledged from a log that it has given up since counts no more (E4, R4)")
    func incarnations() {
        var peer = PeerProgress(next: 1)
        let known = peer.hears(7, last: 20)
        (peer.durable, peer.received, peer.mode) = (20, 20, .streaming)
        let again = peer.hears(7, last: 20)
        #expect(known && again && peer.durable == 20)
        let anew = peer.hears(8, last: 25)
        #expect(anew && peer.durable == 0 && peer.received == 0 && peer.mode == .probing)
        let late = peer.hears(7, last: 25)
        #expect(!late)
    }
}
