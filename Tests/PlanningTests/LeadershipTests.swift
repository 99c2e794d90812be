import Catalog
import Model
import Planning
import Testing

@Suite struct LeadershipTests {
    /// Three nodes; n1 leads everything, as after a failover of the two others.
    private func gathered(_ count: UInt64) throws -> Topology {
        try topology(nodes: 3, zones: 3, partitions: (1...count).map { try partition($0, on: [1, 2, 3]) })
    }

    private func transferred(_ plan: TransferPlan, in topology: Topology) throws -> Topology {
        var partition = try #require(topology.partitions[plan.partition])
        partition.primary = plan.target.node
        var next = topology
        next.commit([.partition(partition)], at: Revision(history: 1, index: topology.revision.index + 1))
        return next
    }

    @Test(
        "one transfer after the other spreads what one node leads, until no two nodes are more than one apart", arguments: 2...9
    )
    func spreads(count: Int) throws {
        var topology = try gathered(UInt64(count))
        var transfers = 0
        while let plan = planLeadership(in: topology), transfers < 100 {
            topology = try transferred(plan, in: topology)
            transfers += 1
        }
        let load = NodeLoad(of: topology)
        let led = try (1...3).map { load.primaries(on: try NodeID("n\($0)")) }
        #expect((led.max() ?? 0) - (led.min() ?? 0) <= 1, "\(led)")
        // Not one more than those that had to go.
        #expect(transfers == count - (led.first ?? 0))
    }

    @Test("of the partitions that would even it out, one that is to be left where it is led is not chosen")
    func leaves() throws {
        let topology = try gathered(2)
        let first = try #require(planLeadership(in: topology))
        let other = try #require(planLeadership(in: topology, except: [first.partition]))
        #expect(other.partition != first.partition)
        #expect(planLeadership(in: topology, except: [first.partition, other.partition]) == nil)
    }

    @Test("the plan names the epoch and the session that it saw")
    func guards() throws {
        let plan = try #require(planLeadership(in: try gathered(2)))
        #expect(
            plan
                == TransferPlan(
                    partition: PartitionID(1), target: NodeSession(node: try NodeID("n2"), session: SessionID(2)),
                    epoch: Epoch(4)))
    }

    @Test("nothing is transferred while a node is away, a copy is behind, or an operation is under way")
    func waitsForCalm() throws {
        let calm = try gathered(4)
        #expect(planLeadership(in: calm) != nil)
        var away = calm
        away.commit([.node(try node(3, zone: 2, status: .failed))], at: Revision(history: 1, index: 10))
        #expect(planLeadership(in: away) == nil)
        var behind = try partition(1, on: [1, 2, 3])
        behind.replicas[2].role = .learner
        var following = calm
        following.commit([.partition(behind)], at: Revision(history: 1, index: 10))
        #expect(planLeadership(in: following) == nil)
        let operation = OperationDescriptor(
            id: OperationID(30), kind: .transferPrimary(partition: PartitionID(1), target: try NodeID("n2")), step: .fence,
            epoch: Epoch(4), createdBy: try Principal("operator/a"), reason: "", createdAt: WallTime(milliseconds: 0))
        var busy = calm
        busy.commit([.operation(operation)], at: Revision(history: 1, index: 10))
        #expect(planLeadership(in: busy) == nil)
    }
}
