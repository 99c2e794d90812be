import Catalog
import Model
import Planning
import Testing

@Suite struct RepairTests {
    private let limits = RepairLimits(delay: .seconds(20))
    private let late = LogicalInstant.origin + .seconds(100)

    private func planRepairs(
        in topology: Topology, absentSince: [NodeID: LogicalInstant], now: LogicalInstant, breakerHolds: Bool,
        limits: RepairLimits
    ) -> [MovePlan] {
        let gone = nodesGone(in: topology, absentSince: absentSince, now: now, limits: limits)
        return Planning.planRepairs(in: topology, gone: gone, breakerHolds: breakerHolds, limits: limits)
    }

    /// Five nodes in three zones (z0: n1 n4, z1: n2 n5, z2: n3); n1 failed at the origin, and its replicas are learners since.
    private func damaged(_ partitions: [PartitionDescriptor]) throws -> Topology {
        let lost = ReplicaDescriptor(node: try NodeID("n1"), store: StoreID(1), storage: StorageID(7), role: .learner)
        let held = partitions.map { partition in
            var partition = partition
            partition.replicas.append(lost)
            return partition
        }
        var topology = try topology(nodes: 5, zones: 3, partitions: held)
        topology.commit([.node(try node(1, zone: 0, status: .failed))], at: Revision(history: 1, index: 10))
        return topology
    }

    @Test("a missing copy goes to the zone that has none")
    func restoresZoneSpread() throws {
        let plans = planRepairs(
            in: try damaged([try partition(7, on: [2, 3])]), absentSince: [try NodeID("n1"): .origin], now: late,
            breakerHolds: false, limits: limits)
        #expect(plans.map(\.target.node) == [try NodeID("n4")])
        #expect(plans.map(\.epoch) == [Epoch(4)])
        #expect(plans.map(\.target.session) == [SessionID(4)])
    }

    @Test("F5: nothing is copied before the delay is over, since the node may return")
    func waits() throws {
        let topology = try damaged([try partition(7, on: [2, 3])])
        let early = LogicalInstant.origin + .seconds(19)
        #expect(
            planRepairs(
                in: topology, absentSince: [try NodeID("n1"): .origin], now: early, breakerHolds: false, limits: limits
            ).isEmpty)
        #expect(planRepairs(in: topology, absentSince: [:], now: late, breakerHolds: false, limits: limits).isEmpty)
    }

    @Test("F4: nothing is copied while the mass-failure breaker holds")
    func breaker() throws {
        #expect(
            planRepairs(
                in: try damaged([try partition(7, on: [2, 3])]), absentSince: [try NodeID("n1"): .origin], now: late,
                breakerHolds: true, limits: limits
            ).isEmpty)
    }

    @Test("the partition with the fewest in-sync copies is repaired first")
    func mostEndangeredFirst() throws {
        let plans = planRepairs(
            in: try damaged([try partition(7, on: [2, 3]), try partition(8, on: [2])]),
            absentSince: [try NodeID("n1"): .origin], now: late, breakerHolds: false, limits: limits)
        #expect(plans.map(\.partition) == [PartitionID(8), PartitionID(7)])
    }

    @Test("one node takes part in no more copies at a time than the limit")
    func perNodeLimit() throws {
        let partitions = try (1...20).map { try partition(UInt64($0), on: [2, 3]) }
        let plans = planRepairs(
            in: try damaged(partitions), absentSince: [try NodeID("n1"): .origin], now: late, breakerHolds: false,
            limits: limits)
        #expect(plans.map(\.target.node) == [try NodeID("n4"), try NodeID("n4")])
    }

    @Test("a copy waits for a busy node of the zone that has none, unless it would be the second")
    func waitsForTheZone() throws {
        let partitions = try (1...3).map { try partition(UInt64($0), on: [2, 3]) } + [try partition(9, on: [2])]
        let plans = planRepairs(
            in: try damaged(partitions), absentSince: [try NodeID("n1"): .origin], now: late, breakerHolds: false,
            limits: RepairLimits(delay: .seconds(20), operationsPerNode: 1))
        // The last copy's sibling takes the node with the fewest copies; of the others one gets what is left of the empty zone.
        #expect(plans.first?.partition == PartitionID(9))
        #expect(plans.dropFirst().allSatisfy { $0.target.node.name == "n4" })
    }

    private func set(_ scope: ConfigurationScope, _ key: String, _ value: Int) -> TopologyChange {
        .configuration(ConfigurationEntry(scope: scope, key: key, value: "\(value)", version: 1))
    }

    @Test("F5: a committed repair delay stands over the member's own, the node's over its zone's over the cluster's")
    func configuredDelay() throws {
        let n1 = try NodeID("n1")
        var topology = try damaged([try partition(7, on: [2, 3])])
        func repairs(after seconds: Int64) -> Bool {
            !planRepairs(
                in: topology, absentSince: [n1: .origin], now: .origin + .seconds(seconds), breakerHolds: false, limits: limits
            ).isEmpty
        }
        func commit(_ change: TopologyChange) {
            topology.commit([change], at: Revision(history: 1, index: topology.revision.index + 1))
        }
        #expect(!repairs(after: 19) && repairs(after: 20))
        commit(set(.global, "repair_delay_seconds", 5))
        #expect(!repairs(after: 4) && repairs(after: 5))
        commit(set(.zone(try ZoneName("z0")), "repair_delay_seconds", 40))
        #expect(!repairs(after: 39) && repairs(after: 40))
        commit(set(.node(n1), "repair_delay_seconds", 1))
        #expect(repairs(after: 1))
        commit(.configurationRemoved(.node(n1), "repair_delay_seconds"))
        #expect(!repairs(after: 39))
    }

    @Test("a node's own limit of operations stands over the cluster's, for repairs and for moves by hand")
    func configuredOperations() throws {
        let partitions = try (1...20).map { try partition(UInt64($0), on: [2]) }
        var topology = try damaged(partitions)
        topology.commit(
            [set(.global, "operations_per_node", 1), set(.node(try NodeID("n4")), "operations_per_node", 3)],
            at: Revision(history: 1, index: 11))
        let plans = planRepairs(
            in: topology, absentSince: [try NodeID("n1"): .origin], now: late, breakerHolds: false, limits: limits)
        #expect(plans.count { $0.target.node.name == "n4" } == 3 && plans.count { $0.target.node.name == "n5" } == 1)
    }

    @Test("a partition that waits for its last node, or that has an operation under way, is left alone")
    func leavesAlone() throws {
        var waiting = try partition(7, on: [2])
        waiting.primary = nil
        var busy = try partition(8, on: [2, 3])
        busy.operation = OperationID(5)
        #expect(
            planRepairs(
                in: try damaged([waiting, busy]), absentSince: [try NodeID("n1"): .origin], now: late, breakerHolds: false,
                limits: limits
            ).isEmpty)
    }

    @Test("F5: a repair is given up when the node that was missed is back")
    func givesUp() throws {
        var partition = try partition(7, on: [1, 2, 3])
        partition.replicas.append(
            ReplicaDescriptor(node: try NodeID("n4"), store: StoreID(4), storage: StorageID(9), role: .learner))
        partition.operation = OperationID(9)
        var topology = try topology(nodes: 5, zones: 3, partitions: [partition])
        let repair = OperationDescriptor(
            id: OperationID(9), kind: .move(partition: PartitionID(7), source: nil, target: try NodeID("n4")), step: .copy,
            epoch: Epoch(4), createdBy: try Principal("coordinator/c1"), reason: "", createdAt: WallTime(milliseconds: 0))
        topology.commit([.operation(repair)], at: Revision(history: 1, index: 10))
        #expect(planCancellations(in: topology) == [OperationID(9)])
        topology.commit([.node(try node(1, zone: 0, status: .failed))], at: Revision(history: 1, index: 11))
        #expect(planCancellations(in: topology) == [])
    }

    @Test("what a failed node has is made anew at once where an operator has it drained, and not twice if it returns (F5)")
    func drainedAndFailed() throws {
        var topology = try damaged([try partition(7, on: [2, 3])])
        func plans() throws -> [MovePlan] {
            planRepairs(
                in: topology, absentSince: [try NodeID("n1"): late], now: late, breakerHolds: false, limits: limits)
        }
        #expect(try plans() == [])
        var drained = try node(1, zone: 0, status: .failed)
        drained.isDrainWanted = true
        topology.commit([.node(drained)], at: Revision(history: 1, index: 11))
        #expect(try plans().map(\.target.node) == [try NodeID("n4")])

        var repaired = try #require(topology.partitions[PartitionID(7)])
        repaired.operation = OperationID(12)
        repaired.replicas.append(
            ReplicaDescriptor(node: try NodeID("n4"), store: StoreID(4), storage: StorageID(8), role: .learner))
        let repair = OperationDescriptor(
            id: OperationID(12), kind: .move(partition: PartitionID(7), source: nil, target: try NodeID("n4")), step: .copy,
            epoch: Epoch(5), createdBy: try Principal("coordinator/c1"), reason: "", createdAt: WallTime(milliseconds: 0))
        topology.commit([.partition(repaired), .operation(repair)], at: Revision(history: 1, index: 12))
        #expect(planCancellations(in: topology) == [])
        drained.status = .draining
        topology.commit([.node(drained)], at: Revision(history: 1, index: 13))
        #expect(planCancellations(in: topology) == [OperationID(12)])
    }
}
