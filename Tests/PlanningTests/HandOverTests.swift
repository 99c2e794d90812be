import Catalog
import Model
import Planning
import Testing

@Suite struct HandOverTests {
    private let limits = RepairLimits(delay: .seconds(20))

    private func set(_ node: NodeDescriptor, in topology: inout Topology) {
        topology.commit([.node(node)], at: Revision(history: 1, index: topology.revision.index + 1))
    }

    /// Five nodes in three zones (z0: n1 n4, z1: n2 n5, z2: n3), of which n1 is being drained.
    private func leaving(_ partitions: [PartitionDescriptor]) throws -> Topology {
        var topology = try topology(nodes: 5, zones: 3, partitions: partitions)
        set(try node(1, zone: 0, status: .draining), in: &topology)
        return topology
    }

    private func transfer(_ number: UInt64, to target: Int, isPaused: Bool = false) throws -> OperationDescriptor {
        let ada = try Principal("operator/ada")
        var operation = OperationDescriptor(
            id: OperationID(number), kind: .transferPrimary(partition: PartitionID(number), target: try NodeID("n\(target)")),
            step: .fence, epoch: Epoch(4), createdBy: ada, reason: "", createdAt: WallTime(milliseconds: 0))
        if isPaused { operation.pause = OperationPause(by: ada, at: WallTime(milliseconds: 0)) }
        return operation
    }

    /// A transfer has begun on a partition that n1 leads.
    private func begin(_ operation: OperationDescriptor, on nodes: [Int], in topology: inout Topology) throws {
        var busy = try partition(operation.id.number, on: nodes)
        busy.operation = operation.id
        topology.commit([.operation(operation), .partition(busy)], at: Revision(history: 1, index: 50))
    }

    private func moves(in topology: Topology, except left: Set<PartitionID> = []) -> [MovePlan] {
        planDrains(in: topology, after: planHandOvers(in: topology, except: left, limits: limits).givers, limits: limits)
    }

    @Test("what a drained node leads goes to those in sync that lead least, as many at a time as a node may take part in")
    func handsOver() throws {
        // n2 leads one already.
        let topology = try leaving(
            try (1...4).map { try partition($0, on: [1, 2, 3]) } + [try partition(5, on: [2, 3, 4])])
        let plans = planHandOvers(in: topology, limits: limits)
        #expect(plans.transfers.map(\.partition.number) == [1, 2])
        #expect(plans.transfers.map(\.target.node.name) == ["n3", "n2"])
        #expect(plans.transfers.allSatisfy { $0.epoch == Epoch(4) } && plans.transfers[0].target.session == SessionID(3))
        #expect(plans.givers == [try NodeID("n1")])
    }

    @Test("a node's copies stay until it leads nothing that another could lead, and then move")
    func primariesFirst() throws {
        let followed = try (1...3).map { try partition($0, on: [2, 1, 3]) }
        var topology = try leaving(followed + [try partition(4, on: [1, 2, 3])])
        #expect(moves(in: topology) == [])
        try begin(try transfer(4, to: 2), on: [1, 2, 3], in: &topology)
        #expect(planHandOvers(in: topology, limits: limits).transfers == [] && moves(in: topology) == [])
        topology.commit(
            [.operationRemoved(OperationID(4)), .partition(try partition(4, on: [2, 1, 3]))],
            at: Revision(history: 1, index: 60))
        let plans = planHandOvers(in: topology, limits: limits)
        #expect(plans.transfers.isEmpty && plans.givers.isEmpty)
        #expect(moves(in: topology).map(\.partition.number) == [1, 2])
    }

    @Test("a role that nobody can take goes with its copy: the only one in sync, or one beside others that leave too")
    func alone() throws {
        var topology = try leaving([try partition(1, on: [1]), try partition(2, on: [1, 3])])
        set(try node(3, zone: 2, status: .draining), in: &topology)
        let plans = planHandOvers(in: topology, limits: limits)
        #expect(plans.transfers.isEmpty && plans.givers.isEmpty)
        #expect(moves(in: topology).map(\.partition.number) == [1, 2])
    }

    @Test("a role whose transfer has come to nothing, or stands still by an operator's wish, keeps no copy from moving")
    func left() throws {
        var topology = try leaving([try partition(1, on: [1, 2, 3]), try partition(2, on: [2, 1, 3])])
        #expect(moves(in: topology) == [])
        #expect(moves(in: topology, except: [PartitionID(1)]).map(\.partition.number) == [1, 2])
        try begin(try transfer(1, to: 2, isPaused: true), on: [1, 2, 3], in: &topology)
        #expect(moves(in: topology).map(\.partition.number) == [2])
    }

    @Test("nobody takes more roles at a time than a node may take part in operations, those under way included")
    func room() throws {
        var topology = try leaving(try (1...4).map { try partition($0, on: [1, 2]) })
        try begin(try transfer(4, to: 2), on: [1, 2], in: &topology)
        #expect(planHandOvers(in: topology, limits: limits).transfers.map(\.partition.number) == [1])
        // What n1 could give, n2 cannot take.
        topology.commit([.configuration(try one(at: "n2"))], at: Revision(history: 1, index: 70))
        let plans = planHandOvers(in: topology, limits: limits)
        #expect(try plans.transfers == [] && plans.givers == [NodeID("n1")])
    }

    private func one(at name: String) throws -> ConfigurationEntry {
        ConfigurationEntry(scope: .node(try NodeID(name)), key: "operations_per_node", value: "1", version: 1)
    }

    @Test("nothing goes to a drained node: no new copy, and no role that another could have")
    func takesNothing() throws {
        var topology = try leaving([try partition(1, on: [2, 1, 3]), try partition(2, on: [2, 1, 3])])
        let placed = try planPlacement(partitions: 8, replicationFactor: 3, in: topology).placements
        #expect(placed.allSatisfy { !$0.nodes.contains { $0.name == "n1" } })
        set(try node(2, zone: 1, status: .draining), in: &topology)
        #expect(planHandOvers(in: topology, limits: limits).transfers.map(\.target.node.name) == ["n3", "n3"])
        set(try node(2, zone: 1, status: .failed), in: &topology)
        var short = try partition(1, on: [3, 1, 2])
        short.replicas[2].role = .learner
        topology.commit([.partition(short)], at: Revision(history: 1, index: 80))
        let repairs = planRepairs(in: topology, gone: [try NodeID("n2")], breakerHolds: false, limits: limits)
        #expect(!repairs.isEmpty && repairs.allSatisfy { $0.target.node.name != "n1" })
    }

    @Test("primaries are evened out while a node is drained and empty, without it, and not while it still holds something")
    func calm() throws {
        let apart = try (1...4).map { try partition($0, on: [2, 3, 4]) }
        let empty = try leaving(apart)
        let plan = try #require(planLeadership(in: empty))
        #expect(["n3", "n4"].contains(plan.target.node.name))
        #expect(planLeadership(in: try leaving(apart + [try partition(5, on: [3, 1, 4])])) == nil)
    }
}
