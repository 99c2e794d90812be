import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

/// What a primary's log keeps for a copy that broke, and gives to one that goes on.
@Suite struct BrokenCopyTests {
    /// A primary that keeps ten entries, or two hundred for a learner; a learner that waits for a snapshot.
    private func cluster() throws -> ReplicaGroup {
        var settings = ReplicationSettings()
        (settings.historyBytes, settings.learnerBytes) = (10 * 56, 200 * 56)
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, inSync: 2, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        write(100, in: cluster)
        let learner = ReplicaDescriptor(node: cluster.order[2], store: StoreID(3), storage: StorageID(8), role: .learner)
        cluster.commit { $0.replicas.append(learner) }
        #expect(cluster.run(until: { needsSnapshot($0) }))
        return cluster
    }

    private func needsSnapshot(_ cluster: ReplicaGroup) -> Bool {
        cluster.node(0).replica.progress(of: cluster.order[2], at: cluster.now)?.needsSnapshot ?? false
    }

    private func write(_ count: Int, in cluster: ReplicaGroup) {
        for _ in 0..<count {
            cluster.write(at: cluster.order[0])
            cluster.run(.milliseconds(10))
        }
        cluster.run(.seconds(2))
    }

    private func sending(_ sequence: UInt64?, in cluster: ReplicaGroup) {
        cluster.give(cluster.order[0], [.snapshotSending(to: cluster.order[2], at: sequence)])
    }

    private func base(_ cluster: ReplicaGroup) -> UInt64 { cluster.node(0).replica.log.base.sequence }

    @Test("the log is kept for a snapshot that broke, through the next try, until the learner stands there (R9)")
    func kept() throws {
        let cluster = try cluster()
        let start = cluster.node(0).replica.applied
        sending(start, in: cluster)
        write(30, in: cluster)
        sending(nil, in: cluster)
        write(30, in: cluster)
        #expect(needsSnapshot(cluster))
        #expect(base(cluster) <= start)
        let next = cluster.node(0).replica.applied
        sending(next, in: cluster)
        write(30, in: cluster)
        #expect(base(cluster) <= start)
        // It was brought on: what lies before is needed no more.
        cluster.give(cluster.order[0], [.snapshotStanding(cluster.order[2], at: next)])
        write(30, in: cluster)
        #expect(start < base(cluster) && base(cluster) <= next)
        // The learner has its snapshot, and follows.
        let point = try #require(cluster.node(0).replica.log.point(at: next))
        cluster.give(cluster.order[2], [.snapshotBegun(copy: 1), .snapshotInstalled(point, copy: 1)])
        sending(nil, in: cluster)
        write(30, in: cluster)
        #expect(cluster.node(0).replica.log.count < 14)
    }

    @Test("more than the budget is kept for nobody (R9)")
    func budget() throws {
        let cluster = try cluster()
        let start = cluster.node(0).replica.applied
        sending(start, in: cluster)
        sending(nil, in: cluster)
        write(150, in: cluster)
        #expect(base(cluster) <= start)
        write(100, in: cluster)
        #expect(base(cluster) > start)
    }

    @Test("what happened between two points is given by who leads in that term, as far as its log reaches, in one history")
    func changes() throws {
        let cluster = try cluster()
        sending(cluster.node(0).replica.applied, in: cluster)
        write(10, in: cluster)
        let replica = cluster.node(0).replica
        let term = try #require(replica.term)
        let first = try #require(replica.log.point(at: replica.applied - 3))
        let last = try #require(replica.log.point(at: replica.applied))
        #expect(
            replica.changes(after: first, through: last, in: term)?.map(\.sequence) == Array(first.sequence + 1...last.sequence)
        )
        #expect(replica.changes(after: last, through: last, in: term) == [])
        #expect(replica.changes(after: last, through: first, in: term) == nil)
        #expect(replica.changes(after: first, through: last, in: Term(epoch: term.epoch, run: term.run + 1)) == nil)
        #expect(cluster.node(1).replica.changes(after: first, through: last, in: term) == nil)
        for other in [first, last] {
            let forged = LogPoint(position: other.position, checksum: other.checksum ^ 1)
            let (after, through) = other == first ? (forged, last) : (first, forged)
            #expect(replica.changes(after: after, through: through, in: term) == nil)
        }
        let forgotten = LogPoint(position: Position(term, 2), checksum: 0)
        #expect(replica.changes(after: forgotten, through: last, in: term) == nil)
    }
}
