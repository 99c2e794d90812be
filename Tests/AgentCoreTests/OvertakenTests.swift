import Model
import Replication
import Testing

@testable import AgentCore

/// What a coordinator's word proves that does not follow on what is known here (rule E2).
@Suite struct OvertakenTests {
    /// The primary of a partition that is served, in a world that stands still, and one word of a coordinator that comes behind
    /// something that is missing.
    private struct Stage {
        let partition: PartitionDescriptor
        let now: LogicalInstant
        let peer: NodeID
        var core: AgentCore

        init() throws {
            let world = try World.active(seed: 1, nodes: 3)
            world.write(for: .milliseconds(300))
            world.run(.milliseconds(300))
            let partition = world.partitions[0]
            let machine = try #require(partition.primary.flatMap { world.machines[$0] })
            peer = try #require(partition.inSync.first { $0 != machine.id })
            now = world.clock(machine)
            core = machine.core
            self.partition = partition
        }

        func delta(_ changes: [TopologyChange]) -> TopologyDelta {
            let known = core.topology.revision
            return TopologyDelta(
                from: Revision(history: known.history, index: known.index + 1),
                to: Revision(history: known.history, index: known.index + 2), changes: changes)
        }

        /// Why a read and a write of the partition are refused.
        mutating func refusals() -> [RequestRefusal] {
            let (id, epoch) = (partition.id, partition.epoch)
            let actions = core.step([.read(CallerID(7), id, epoch), .write(CallerID(8), id, epoch, [1])], at: now)
            return actions.compactMap { if case .refuse(_, let refusal) = $0 { refusal } else { nil } }
        }

        /// What a peer at this revision is granted no lease over.
        mutating func exclusions(at revision: Revision) -> [LeaseExclusion]? {
            let request = PeerMessage.leaseRequest(LeaseRequest(number: 1 << 40, revision: revision))
            for case .send(.leaseGrant(let grant), peer) in core.step([.received(request, from: peer)], at: now) {
                return grant.exclusions
            }
            return nil
        }
    }

    @Test("a partition that is proven to have gone on is not served, nor leased to others, until that is learned (E2, L1)")
    func goneOn() throws {
        var stage = try Stage()
        let known = stage.core.topology
        #expect(stage.refusals() == [])
        var newer = stage.partition
        newer.epoch = newer.epoch.next
        let delta = stage.delta([.partition(newer)])
        #expect(stage.core.step([.delta(delta)], at: stage.now).contains(.askTopology))
        #expect(stage.refusals() == [.notHere(newer), .notHere(newer)])
        let late = stage.core.confirmRead(of: newer.id, at: stage.partition.epoch, now: stage.now)
        #expect(late == .notHere(newer))
        #expect(stage.exclusions(at: known.revision) == [LeaseExclusion(partition: newer.id, epoch: newer.epoch)])
        #expect(stage.exclusions(at: delta.to) == [])
        #expect(stage.core.topology == known)
        var whole = known
        whole.commit([.partition(newer)], at: delta.to)
        _ = stage.core.step([.topology(whole)], at: stage.now)
        #expect(stage.core.overtaken.isEmpty)
        #expect(stage.refusals() == [.staleEpoch(newer), .staleEpoch(newer)])
    }

    @Test("what was proven in a history that is over stops nothing in the next one (T3)")
    func anotherHistory() throws {
        var stage = try Stage()
        var newer = stage.partition
        newer.epoch = newer.epoch.next
        _ = stage.core.step([.delta(stage.delta([.partition(newer)]))], at: stage.now)
        #expect(stage.refusals() == [.notHere(newer), .notHere(newer)])
        let known = stage.core.topology
        let next = Topology(
            revision: Revision(history: known.revision.history + 1, index: 1), changes: known.changes)
        _ = stage.core.step([.topology(next)], at: stage.now)
        #expect(stage.core.overtaken.isEmpty && stage.refusals() == [])
    }

    @Test("one that is proven to be no more is not served")
    func retired() throws {
        var stage = try Stage()
        let id = stage.partition.id
        let delta = stage.delta([.partitionRetired(id, epoch: stage.partition.epoch.next, children: [PartitionID(99)])])
        _ = stage.core.step([.delta(delta)], at: stage.now)
        #expect(stage.refusals() == [.notHere(nil), .notHere(nil)])
    }

    @Test("what is said of the epoch that is served, of other partitions, or of an older revision stops nothing")
    func elsewhere() throws {
        var stage = try Stage()
        var (same, other) = (stage.partition, stage.partition)
        same.replicas.reverse()
        other = PartitionDescriptor(
            id: PartitionID(99), table: other.table, range: other.range, epoch: Epoch(50), primary: other.primary,
            replicas: other.replicas, status: .active)
        _ = stage.core.step([.delta(stage.delta([.partition(same), .partition(other)]))], at: stage.now)
        #expect(stage.core.overtaken.isEmpty && stage.refusals() == [])
        var newer = stage.partition
        newer.epoch = newer.epoch.next
        let known = stage.core.topology.revision
        let old = TopologyDelta(
            from: Revision(history: known.history, index: known.index - 2),
            to: Revision(history: known.history, index: known.index - 1), changes: [.partition(newer)])
        _ = stage.core.step([.delta(old)], at: stage.now)
        #expect(stage.refusals() == [])
    }
}
