// What a primary to be learns from the logs of the others before it opens its term (rules R5, E4).

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct ComparisonTests {
    private func cluster(seed: UInt64 = 1, nodes: Int = 3, minInSync: Int = 2) throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: seed, nodes: nodes, minInSync: minInSync, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        return cluster
    }

    private func write(_ count: Int, _ cluster: ReplicaGroup) {
        for _ in 0..<count {
            cluster.write(at: cluster.order[0])
            cluster.run(.milliseconds(10))
        }
    }

    @Test(
        "a primary whose disk went back takes what it lacks from the others, and names no term again (R5, E4)", arguments: 1...4
    )
    func takesTheLongestLog(seed: UInt64) throws {
        let cluster = try cluster(seed: seed)
        write(10, cluster)
        let node = cluster.node(0)
        let image = (disk: Array(node.disk.prefix(node.persistedRecords)), rows: node.syncedRows, synced: node.synced)
        write(10, cluster)
        // Once it has started anew: the disk forgets a run too.
        cluster.crash(node.id)
        cluster.restart(node.id)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        let run = try #require(node.replica.term?.run)
        write(10, cluster)
        #expect(cluster.acknowledged.count == 30)
        cluster.coordinatorsUp = false
        cluster.crash(node.id)
        node.disk = image.disk
        node.persistedRecords = image.disk.count
        (node.rows, node.syncedRows, node.applied, node.synced) = (image.rows, image.rows, image.synced, image.synced)
        cluster.restart(node.id)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(3)), "\(cluster.describe())")
        #expect(try #require(node.replica.term?.run) > run)
        #expect(Set(cluster.acknowledged.keys).isSubset(of: node.rows))
        #expect(cluster.settle() == [])
    }

    @Test("a primary that starts serves nothing before it has compared with one of the others at least (E4)")
    func aloneItServesNothing() throws {
        let cluster = try cluster(nodes: 2, minInSync: 1)
        write(5, cluster)
        for id in cluster.order { cluster.crash(id) }
        cluster.restart(cluster.order[0])
        cluster.run(.seconds(6))
        #expect(!cluster.node(0).replica.isServing && cluster.descriptor.inSync.count == 2)
        cluster.restart(cluster.order[1])
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(3)))
    }

    @Test("a member that does not show its log is left out once another has shown its own (R3, R5)")
    func leavesOutTheHidden() throws {
        let cluster = try cluster()
        write(5, cluster)
        cluster.crash(cluster.order[2])
        cluster.crash(cluster.order[0])
        cluster.restart(cluster.order[0])
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(6)), "\(cluster.describe())")
        #expect(cluster.descriptor.inSync == Array(cluster.order.prefix(2)))
    }

    @Test("a primary that is told of a later term than its own takes its role up anew, above it (E4)")
    func reopensAbove() throws {
        let cluster = try cluster()
        write(5, cluster)
        let replica = cluster.node(0).replica
        let term = try #require(replica.term)
        let heard = Term(epoch: term.epoch, run: term.run + 7)
        let last = replica.log.last.position
        let nack = ReplicationMessage.Nack(
            term: term, refused: last.sequence, hint: last, committed: last, wantsSnapshot: false,
            incarnation: cluster.node(2).replica.incarnation, heard: heard)
        let message = ReplicationMessage(partition: cluster.partition, epoch: cluster.descriptor.epoch, body: .nack(nack))
        cluster.give(cluster.order[0], [.received(message, from: cluster.order[2])])
        #expect(!cluster.node(0).replica.isServing)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(2)))
        #expect(try #require(cluster.node(0).replica.term) > heard)
        let caller = cluster.write(at: cluster.order[0])
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }, atMost: .seconds(1)))
        #expect(cluster.settle() == [])
    }

    @Test("two logs that differ at one position find the place before it (R5)")
    func searchesBeforeTheDifference() throws {
        let cluster = try cluster()
        let id = cluster.order[2]
        let leases = cluster.node(2).leases
        var replica = Replica(id: cluster.partition, node: id, incarnation: 1)
        let term = Term(epoch: Epoch(1), run: 1)
        let opening = Entry(position: Position(term, 1), body: .opening, after: 0)
        let entries = (1...2).map { Entry(position: Position(term, 2), body: .write([UInt8($0)]), after: opening.checksum) }
        func prepare(_ entries: [Entry], after point: LogPoint) -> Replica.Input {
            let prepare = ReplicationMessage.Prepare(term: term, previous: point, entries: entries, commit: 0, wantsReply: true)
            return .received(
                ReplicationMessage(partition: cluster.partition, epoch: Epoch(1), body: .prepare(prepare)),
                from: cluster.order[0])
        }
        _ = replica.step(.learned(cluster.descriptor, minInSync: 1, grants: [:]), at: cluster.now, leases: leases)
        _ = replica.step(prepare([opening, entries[0]], after: .start), at: cluster.now, leases: leases)
        let answers = replica.step(prepare([], after: entries[1].point), at: cluster.now, leases: leases)
        let hints = answers.compactMap { action -> UInt64? in
            guard case .send(let message, _) = action, case .nack(let nack) = message.body else { return nil }
            return nack.hint.sequence
        }
        #expect(hints == [1])
    }

    /// A member of the first epoch, and what it sends when given something.
    private struct Member {
        let cluster: ReplicaGroup
        var replica: Replica

        init(_ cluster: ReplicaGroup) {
            self.cluster = cluster
            replica = Replica(id: cluster.partition, node: cluster.order[2], incarnation: 1)
        }

        func descriptor(_ epoch: UInt64, primary: NodeID) -> PartitionDescriptor {
            var descriptor = cluster.descriptor
            descriptor.epoch = Epoch(epoch)
            descriptor.primary = primary
            return descriptor
        }

        func survey(_ number: UInt64, in epoch: UInt64) -> Replica.Input {
            let survey = ReplicationMessage.Survey(number: number, point: .start)
            return .received(
                ReplicationMessage(partition: cluster.partition, epoch: Epoch(epoch), body: .survey(survey)),
                from: cluster.order[1])
        }

        /// - Returns: the numbers of the surveys that it answers, and the ticket of what is to be on its disk.
        mutating func take(_ input: Replica.Input) -> (answered: [UInt64], ticket: UInt64?) {
            var (answered, last) = ([UInt64](), UInt64?.none)
            for action in replica.step(input, at: cluster.now, leases: cluster.node(2).leases) {
                switch action {
                case .send(let message, _): if case .standing(let standing) = message.body { answered.append(standing.number) }
                case .append(_, let ticket): last = ticket
                default: break
                }
            }
            return (answered, last)
        }
    }

    @Test("who is asked before the epoch is on its disk answers once it is, unasked (R5)")
    func answersOnceOnDisk() throws {
        let cluster = try cluster()
        var member = Member(cluster)
        let learned = member.take(
            .learned(member.descriptor(2, primary: cluster.order[1]), minInSync: 1, grants: [:]))
        #expect(member.take(member.survey(1, in: 2)).answered == [])
        #expect(member.take(.persisted(ticket: try #require(learned.ticket))).answered == [1])
        #expect(member.take(.tick).answered == [])
    }

    @Test("who is asked in an epoch that it has not learned answers once that is on its disk, and nothing older (R5, E2)")
    func answersOnceLearned() throws {
        let cluster = try cluster()
        var member = Member(cluster)
        let first = member.take(
            .learned(member.descriptor(2, primary: cluster.order[0]), minInSync: 1, grants: [:]))
        _ = member.take(.persisted(ticket: try #require(first.ticket)))
        #expect(member.take(member.survey(1, in: 3)).answered == [])
        #expect(member.take(member.survey(2, in: 4)).answered == [])
        #expect(member.take(member.survey(3, in: 3)).answered == [])
        let passed = member.take(
            .learned(member.descriptor(3, primary: cluster.order[1]), minInSync: 1, grants: [:]))
        #expect(member.take(.persisted(ticket: try #require(passed.ticket))).answered == [])
        let learned = member.take(
            .learned(member.descriptor(4, primary: cluster.order[1]), minInSync: 1, grants: [:]))
        #expect(learned.answered == [])
        #expect(member.take(.persisted(ticket: try #require(learned.ticket))).answered == [2])
    }
}
