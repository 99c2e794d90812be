// A write under a key happens once, however often it is asked for (rule R8).

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct WriteOnceTests {
    private func cluster() throws -> ReplicaGroup {
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, minInSync: 2, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        return cluster
    }

    private func request(_ key: UInt64, at recalled: UInt64, earlier: Position? = nil) throws -> WriteOnceRequest {
        let key = try #require(IdempotencyKey(high: key << 16 | 7 << 12, low: 1 << 63))
        return WriteOnceRequest(
            once: WriteOnce(key: key, horizon: WallTime(milliseconds: 0)), recalledAt: recalled, earlier: earlier)
    }

    private func ask(_ cluster: ReplicaGroup, _ caller: UInt64, _ payload: UInt64, _ request: WriteOnceRequest) {
        cluster.give(cluster.order[0], [.write(CallerID(caller), ReplicaGroup.payload(payload), request)])
    }

    @Test("one that waits for its acknowledgement and is asked for again is ordered once, and both are answered with its place")
    func whileItWaits() throws {
        let cluster = try cluster()
        let replica = cluster.node(0).replica
        let (applied, last) = (replica.applied, replica.log.lastSequence)
        ask(cluster, 900, 1, try request(1, at: applied))
        ask(cluster, 901, 2, try request(2, at: applied))
        ask(cluster, 902, 1, try request(1, at: applied))
        #expect(cluster.node(0).replica.log.lastSequence == last + 2)
        #expect(cluster.run(until: { $0.acknowledged[901] != nil }))
        #expect(cluster.acknowledged[902] == cluster.acknowledged[900] && cluster.acknowledged[900] != nil)
        // The engine was asked before it had applied any of them; now they are committed.
        ask(cluster, 903, 1, try request(1, at: applied))
        cluster.run(.milliseconds(50))
        #expect(cluster.acknowledged[903] == cluster.acknowledged[900])
        #expect(cluster.node(0).replica.log.lastSequence == last + 2)
    }

    @Test(
        "one that the engine has applied is not ordered again, and who may not acknowledge does not acknowledge it either (E3)")
    func applied() throws {
        let cluster = try cluster()
        let replica = cluster.node(0).replica
        let earlier = Position(replica.log.last.position.term, 1)
        ask(cluster, 900, 1, try request(1, at: replica.applied, earlier: earlier))
        #expect(cluster.node(0).replica.log.lastSequence == replica.log.lastSequence)
        #expect(cluster.acknowledged[900] != nil)
        cluster.give(
            cluster.order[1],
            [.write(CallerID(901), ReplicaGroup.payload(1), try request(1, at: replica.applied, earlier: earlier))])
        #expect(cluster.acknowledged[901] == nil)
    }

    @Test("one that is asked for again and again while it waits is refused when too many wait for it")
    func boundedRepeats() throws {
        var settings = ReplicationSettings()
        settings.pendingWrites = 3
        let cluster = try ReplicaGroup(seed: 1, nodes: 3, minInSync: 2, fault: .none, settings: settings)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        let request = try request(1, at: cluster.node(0).replica.applied)
        for caller in 900..<905 { ask(cluster, UInt64(caller), 1, request) }
        #expect((900..<905).map { cluster.refusals[CallerID($0)] } == [nil, nil, nil, .overloaded, .overloaded])
        #expect(cluster.run(until: { $0.acknowledged[902] != nil }))
    }

    @Test("another write under the same key is refused")
    func reused() throws {
        let cluster = try cluster()
        let applied = cluster.node(0).replica.applied
        ask(cluster, 900, 1, try request(1, at: applied))
        let last = cluster.node(0).replica.log.lastSequence
        var replica = cluster.node(0).replica
        let actions = replica.step(
            .write(CallerID(901), ReplicaGroup.payload(2), try request(1, at: applied)), at: cluster.now,
            leases: cluster.node(0).leases)
        #expect(actions.contains(.refuse(CallerID(901), .keyReused)))
        #expect(replica.log.lastSequence == last)
    }

    @Test("a look at the engine that is older than the log says nothing, and is to be repeated")
    func tooOld() throws {
        let cluster = try cluster()
        var replica = cluster.node(0).replica
        replica.log.forget(through: replica.log.lastSequence)
        let base = replica.log.base.sequence
        #expect(base > 0)
        let leases = cluster.node(0).leases
        let early = replica.step(
            .write(CallerID(900), [1], try request(1, at: base - 1)), at: cluster.now, leases: leases)
        #expect(early.contains(.refuse(CallerID(900), .recovering)) && replica.log.lastSequence == base)
        _ = replica.step(.write(CallerID(901), [1], try request(1, at: base)), at: cluster.now, leases: leases)
        #expect(replica.log.lastSequence == base + 1)
    }
}
