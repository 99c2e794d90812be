import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

/// A replica that came by snapshot says so itself until it is in the in-sync set, to whoever leads (rule M6).
@Suite struct CopiedLearnerTests {
    /// Two members, and a learner that has just been filled by a snapshot.
    private func cluster() throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, inSync: 2, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        for _ in 0..<10 { cluster.write(at: cluster.order[0]) }
        cluster.run(.milliseconds(100))
        let learner = ReplicaDescriptor(
            node: cluster.order[2], store: cluster.node(2).store, storage: StorageID(8), role: .learner)
        cluster.commit { $0.replicas.append(learner) }
        #expect(cluster.run(until: { $0.node(0).replica.progress(of: $0.order[2], at: $0.now) != nil }))
        fill(in: cluster)
        #expect(cluster.run(until: { follows($0.node(0), in: $0) }))
        return cluster
    }

    private func fill(in cluster: ReplicaGroup) {
        let (primary, learner) = (cluster.node(0), cluster.node(2))
        guard let point = primary.replica.log.point(at: primary.applied.sequence) else { return }
        cluster.give(learner.id, [.snapshotBegun(copy: 1)])
        (learner.rows, learner.syncedRows) = (primary.rows, primary.rows)
        (learner.applied, learner.synced) = (point.position, point.position)
        cluster.give(learner.id, [.snapshotInstalled(point, copy: 1)])
        cluster.give(primary.id, [.snapshotSending(to: learner.id, at: nil)])
    }

    private func progress(_ node: ReplicaGroup.Node, in cluster: ReplicaGroup) -> Replica.PeerView? {
        node.replica.progress(of: cluster.order[2], at: cluster.now)
    }

    private func follows(_ node: ReplicaGroup.Node, in cluster: ReplicaGroup) -> Bool {
        node.replica.isServing && (progress(node, in: cluster)?.isFollowing ?? false)
    }

    private func promoteTheSecond(in cluster: ReplicaGroup) {
        cluster.crash(cluster.order[0])
        cluster.nodeFailed(cluster.order[0])
        #expect(cluster.run(until: { follows($0.node(1), in: $0) }), "\(cluster.describe())")
    }

    @Test("who leads after a failover knows that a learner came by snapshot, even if the learner has started anew since")
    func failover() throws {
        for startsAnew in [false, true] {
            let cluster = try cluster()
            if startsAnew {
                cluster.run(.milliseconds(100))
                cluster.crash(cluster.order[2])
                cluster.restart(cluster.order[2])
            }
            promoteTheSecond(in: cluster)
            #expect(progress(cluster.node(1), in: cluster)?.cameBySnapshot == true)
        }
    }

    @Test("a primary that starts anew knows it too, though it stays primary")
    func restart() throws {
        let cluster = try cluster()
        cluster.crash(cluster.order[0])
        cluster.restart(cluster.order[0])
        #expect(cluster.run(until: { follows($0.node(0), in: $0) }), "\(cluster.describe())")
        #expect(progress(cluster.node(0), in: cluster)?.cameBySnapshot == true)
    }

    @Test("a copy is known for one from before its first row, whenever its process ends")
    func saidBeforeTheCopy() throws {
        let cluster = try cluster()
        #expect(cluster.node(2).replica.hard.isCopied)
        let records = cluster.node(2).disk.map(\.record)
        let given = records.firstIndex { $0 == .dropped(cluster.partition) }
        let reset = records.firstIndex { if case .reset = $0 { true } else { false } }
        let said = records.firstIndex { if case .hardState(_, let state) = $0 { state.isCopied } else { false } }
        #expect(try #require(given) < #require(said) && #require(said) < #require(reset))
    }

    @Test("once it has joined it says so no more: a member that only falls behind later needs no comparison")
    func joined() throws {
        let cluster = try cluster()
        promoteTheSecond(in: cluster)
        cluster.give(cluster.order[1], [.ordered(.join(cluster.order[2], cluster.node(2).store))])
        let knowsOfJoin: (ReplicaGroup) -> Bool = { cluster in
            cluster.descriptor.inSync.contains(cluster.order[2]) && cluster.node(2).knownEpoch == cluster.descriptor.epoch
        }
        #expect(cluster.run(until: knowsOfJoin))
        #expect(!cluster.node(2).replica.hard.isCopied)
        cluster.run(.milliseconds(100))
        cluster.crash(cluster.order[2])
        cluster.nodeFailed(cluster.order[2])
        cluster.restart(cluster.order[2])
        // Not what was known of it as of a member.
        #expect(cluster.run(until: { $0.node(1).knownEpoch == $0.descriptor.epoch }))
        #expect(cluster.run(until: { follows($0.node(1), in: $0) }), "\(cluster.describe())")
        #expect(progress(cluster.node(1), in: cluster)?.cameBySnapshot == false, "\(cluster.describe())")
    }

    @Test("a learner that has all of the log from its first entry on never came by snapshot")
    func replayed() throws {
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, inSync: 2, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        let learner = ReplicaDescriptor(
            node: cluster.order[2], store: cluster.node(2).store, storage: StorageID(8), role: .learner)
        cluster.commit { $0.replicas.append(learner) }
        #expect(cluster.run(until: { follows($0.node(0), in: $0) }), "\(cluster.describe())")
        promoteTheSecond(in: cluster)
        #expect(progress(cluster.node(1), in: cluster)?.cameBySnapshot == false)
    }
}
