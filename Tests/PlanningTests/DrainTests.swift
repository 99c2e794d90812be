import Catalog
import Model
import Planning
import Testing

@Suite struct DrainTests {
    private let limits = RepairLimits(delay: .seconds(20))

    private func set(_ node: NodeDescriptor, in topology: inout Topology) {
        topology.commit([.node(node)], at: Revision(history: 1, index: topology.revision.index + 1))
    }

    /// Five nodes in three zones (z0: n1 n4, z1: n2 n5, z2: n3), of which n3 is being drained.
    private func leaving(_ partitions: [PartitionDescriptor]) throws -> Topology {
        var topology = try topology(nodes: 5, zones: 3, partitions: partitions)
        set(try node(3, zone: 2, status: .draining), in: &topology)
        return topology
    }

    private func move(_ number: UInt64, from source: Int, to target: Int, at step: OperationStep) throws -> OperationDescriptor
    {
        OperationDescriptor(
            id: OperationID(number),
            kind: .move(partition: PartitionID(number), source: try NodeID("n\(source)"), target: try NodeID("n\(target)")),
            step: step, epoch: Epoch(4), createdBy: try Principal("operator/ada"), reason: "",
            createdAt: WallTime(milliseconds: 0))
    }

    @Test("what is drained goes where a repair would put it, as many at a time as its node may take part in")
    func drains() throws {
        let topology = try leaving(try (1...5).map { try partition($0, on: [1, 2, 3]) })
        let plans = planDrains(in: topology, limits: limits)
        #expect(plans.map(\.partition) == [PartitionID(1), PartitionID(2)])
        #expect(plans.allSatisfy { $0.source?.name == "n3" } && plans.map(\.target.node.name) == ["n4", "n5"])
    }

    @Test("F4: no copy leaves what is drained while the breaker holds")
    func breaker() throws {
        let topology = try leaving(try (1...5).map { try partition($0, on: [1, 2, 3]) })
        #expect(planDrains(in: topology, breakerHolds: true, limits: limits) == [])
    }

    @Test("a drain takes the room that the repairs planned beside it leave, and leaves their partitions alone")
    func besideRepairs() throws {
        // n1 is gone; partitions 1 and 2 lack the copy that it had, and can have it on n4 only, or beside another in a zone.
        var topology = try leaving(
            try (1...2).map { try partition($0, on: [2, 3]) } + (3...4).map { try partition($0, on: [2, 3, 5]) })
        set(try node(1, zone: 0, status: .failed), in: &topology)
        let repairs = planRepairs(in: topology, gone: [try NodeID("n1")], breakerHolds: false, limits: limits)
        #expect(repairs.map(\.partition.number) == [1, 2] && repairs.allSatisfy { $0.target.node.name == "n4" })
        let alone = planDrains(in: topology, limits: limits)
        #expect(alone.map(\.partition.number) == [1, 2])
        #expect(planDrains(in: topology, beside: repairs, limits: limits) == [])
        // With room for three, there is one place left for a partition that no repair is planned for.
        let wider = planDrains(in: topology, beside: repairs, limits: RepairLimits(operationsPerNode: 3))
        #expect(wider.map(\.partition.number) == [3] && wider.map(\.target.node.name) == ["n4"])
    }

    @Test("a move counts at both of its nodes until its switch, paused or not, and at neither while its data is removed")
    func countsOperations() throws {
        var topology = try leaving([])
        var paused = try move(2, from: 2, to: 4, at: .handOver)
        paused.pause = OperationPause(by: try Principal("operator/ada"), at: WallTime(milliseconds: 0))
        let moves = [try move(1, from: 2, to: 5, at: .copy), paused, try move(3, from: 2, to: 5, at: .dropSource)]
        topology.commit(moves.map { .operation($0) }, at: Revision(history: 1, index: 50))
        let load = NodeLoad(of: topology)
        #expect(try [2, 4, 5].map { load.operations(on: try NodeID("n\($0)")) } == [2, 1, 1])
    }
}
