// What comes of members that say nothing, and of a primary that can do nothing: the partition is not out for longer than it takes to
// find that out.

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct SilentMemberTests {
    private func cluster(
        nodes: Int = 3, minInSync: Int = 2, settings: ReplicationSettings = ReplicationSettings()
    ) throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: 1, nodes: nodes, minInSync: minInSync, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        return cluster
    }

    @Test("a member without whose grant nothing can be read leaves the in-sync set though nothing is written (R3, L1)")
    func muteWithoutWrites() throws {
        let cluster = try cluster()
        cluster.run(.seconds(1))
        cluster.cut = [[cluster.order[0], cluster.order[1]]]
        cluster.run(.seconds(1))
        #expect(cluster.descriptor.inSync == cluster.order)
        cluster.run(.seconds(3))
        #expect(cluster.descriptor.inSync == [cluster.order[0], cluster.order[2]])
        #expect(cluster.evictionsAsked == [cluster.order[1]: [.isMute]])
        let read = cluster.read(at: cluster.order[0])
        cluster.run(.milliseconds(100))
        #expect(cluster.refusals[CallerID(read)] == nil)
        cluster.cut = []
        #expect(cluster.settle() == [])
    }

    @Test("members that answer stay, however long nothing is written")
    func idleForLong() throws {
        let cluster = try cluster()
        cluster.run(.seconds(30))
        #expect(cluster.descriptor.epoch == Epoch(1) && cluster.descriptor.inSync == cluster.order)
    }

    @Test("a write is refused at once, as one too few would keep it, while a member is silent that cannot be spared (R3)")
    func silentAndNotSpare() throws {
        let cluster = try cluster(minInSync: 3)
        cluster.cut = [[cluster.order[0], cluster.order[2]]]
        let first = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(800))
        let second = cluster.write(at: cluster.order[0])
        cluster.run(.milliseconds(50))
        #expect(cluster.refusals[CallerID(second)] == .notEnoughInSync(have: 2, need: 3))
        #expect(cluster.refusals[CallerID(first)] == nil && cluster.acknowledged[first] == nil)
        cluster.cut = []
        #expect(cluster.run(until: { $0.acknowledged[first] != nil }, atMost: .seconds(2)))
        let third = cluster.write(at: cluster.order[0])
        #expect(cluster.run(until: { $0.acknowledged[third] != nil }, atMost: .seconds(1)))
        #expect(cluster.descriptor.inSync == cluster.order)
    }

    @Test(
        "a primary whose log has not reached its disk for long gives the role to a member that does better (F6, L3)",
        arguments: [true, false])
    func stalledDisk(writes: Bool) throws {
        let cluster = try cluster()
        cluster.run(.seconds(1))
        cluster.node(0).diskStands = true
        if writes { cluster.write(at: cluster.order[0]) }
        cluster.run(.seconds(4))
        #expect(cluster.descriptor.primary == cluster.order[0])
        cluster.run(.seconds(3))
        #expect(cluster.descriptor.primary == cluster.order[1] && cluster.descriptor.inSync == Array(cluster.order[1...]))
        #expect(cluster.evictionsAsked == [cluster.order[0]: [.logIsStuck]])
        let caller = cluster.write(at: cluster.order[1])
        #expect(cluster.run(until: { $0.acknowledged[caller] != nil }, atMost: .seconds(2)))
    }

    @Test("no role is given up where the disks of all stand still")
    func allDisksStand() throws {
        let cluster = try cluster()
        cluster.run(.seconds(1))
        for number in 0..<3 { cluster.node(number).diskStands = true }
        cluster.write(at: cluster.order[0])
        cluster.run(.seconds(10))
        #expect(cluster.descriptor.primary == cluster.order[0])
    }

    @Test(
        "a learner that does not answer is not let in to be made to leave again, as often as epochs can be raised (R3, R4)",
        arguments: [1, 40])
    func silentLearner(writes: Int) throws {
        let cluster = try cluster()
        cluster.returnAsLearner(cluster.order[2])
        let epoch = cluster.descriptor.epoch
        cluster.cut = [[cluster.order[0], cluster.order[2]]]
        // Steadily, too: then no beacon asks for an answer.
        for turn in 0..<500 {
            if turn % 5 == 0, turn / 5 < writes { cluster.write(at: cluster.order[0]) }
            cluster.run(.milliseconds(10)) { $0.helpLearners() }
        }
        #expect(cluster.descriptor.learners == [cluster.order[2]])
        // It may be let in once more before it counts as silent.
        #expect(cluster.descriptor.epoch <= epoch.next.next)
        cluster.cut = []
        for _ in 0..<200 { cluster.run(.milliseconds(10)) { $0.helpLearners() } }
        #expect(cluster.descriptor.inSync == cluster.order)
        #expect(cluster.settle() == [])
    }

    @Test("a member whose disk takes longer than others wait for keeps them waiting now and then, not all the time (R3, R4)")
    func slowDisk() throws {
        let cluster = try cluster()
        cluster.node(2).flushTakes = .milliseconds(600)
        var (open, waits): ([(caller: UInt64, at: LogicalInstant)], [Span]) = ([], [])
        for _ in 0..<400 {
            open.append((cluster.write(at: cluster.order[0]), cluster.now))
            cluster.run(.milliseconds(50)) { $0.helpLearners() }
            for (caller, at) in open where cluster.acknowledged[caller] != nil { waits.append(cluster.now - at) }
            open.removeAll { cluster.acknowledged[$0.caller] != nil }
        }
        // In these twenty seconds each time that it is let in would cost ten writes.
        #expect(waits.count == 400 && waits.count { $0 > .milliseconds(100) } < 40)
        #expect(cluster.evictionsAsked[cluster.order[0], default: []].count < 4)
        cluster.node(2).flushTakes = nil
        #expect(cluster.run(until: { $0.descriptor.inSync == $0.order }, atMost: .seconds(10), also: { $0.helpLearners() }))
        #expect(cluster.settle() == [])
    }

    @Test("no more readers wait for an engine that takes in nothing than there may be")
    func boundedReaders() throws {
        var settings = ReplicationSettings()
        settings.pendingReads = 3
        let cluster = try cluster(settings: settings)
        cluster.node(0).engineFreeAt = cluster.now + .seconds(3)
        let write = cluster.write(at: cluster.order[0])
        #expect(cluster.run(until: { $0.acknowledged[write] != nil }, atMost: .seconds(1)))
        let reads = (0..<5).map { _ in cluster.read(at: cluster.order[0]) }
        #expect(reads.map { cluster.refusals[CallerID($0)] } == [nil, nil, nil, .overloaded, .overloaded])
        cluster.run(.seconds(4))
        let late = cluster.read(at: cluster.order[0])
        #expect(cluster.refusals[CallerID(late)] == nil)
    }
}
