import Catalog
import Model
import Planning
import Testing

@Suite struct PlacementTests {
    @Test("every partition has a copy in each of three zones, whatever the number of nodes", arguments: 3...12)
    func spreadsOverZones(nodes: Int) throws {
        let topology = try topology(nodes: nodes, zones: 3)
        let plan = try planPlacement(partitions: 40, replicationFactor: 3, in: topology)
        for placement in plan.placements {
            #expect(Set(placement.nodes.compactMap { topology.nodes[$0]?.zone }).count == 3)
            #expect(Set(placement.nodes).count == 3)
            #expect(placement.nodes.contains(placement.primary))
        }
    }

    @Test("copies and primaries differ by one at most between equal nodes")
    func balanced() throws {
        let plan = try planPlacement(partitions: 20, replicationFactor: 3, in: try topology(nodes: 6, zones: 3))
        let copies = Dictionary(grouping: plan.placements.flatMap(\.nodes), by: { $0 }).values.map(\.count)
        let primaries = Dictionary(grouping: plan.placements.map(\.primary), by: { $0 }).values.map(\.count)
        #expect((copies.max() ?? 0) - (copies.min() ?? 0) <= 1)
        #expect((primaries.max() ?? 0) - (primaries.min() ?? 0) <= 1)
        #expect(primaries.count == 6)
    }

    @Test("nodes that are not healthy get no copy, and too few healthy ones are refused with both numbers")
    func refusesTooFew() throws {
        var topology = try topology(nodes: 3, zones: 3)
        topology.commit([.node(try node(2, zone: 1, status: .failed))], at: Revision(history: 1, index: 10))
        #expect(throws: PlanRefusal.notEnoughNodes(eligible: 2, needed: 3)) {
            try planPlacement(partitions: 1, replicationFactor: 3, in: topology)
        }
        let plan = try planPlacement(partitions: 4, replicationFactor: 2, in: topology)
        #expect(!plan.placements.flatMap(\.nodes).contains(try NodeID("n2")))
    }

    @Test("M7: a plan names the sessions of the nodes that it counted on")
    func namesSessions() throws {
        let plan = try planPlacement(partitions: 1, replicationFactor: 1, in: try topology(nodes: 2, zones: 1))
        #expect(plan.sessions.map(\.session) == [SessionID(1), SessionID(2)])
    }

    @Test("a plan is a function of the topology: the same one twice")
    func deterministic() throws {
        let topology = try topology(nodes: 9, zones: 3)
        #expect(
            try planPlacement(partitions: 64, replicationFactor: 3, in: topology)
                == planPlacement(partitions: 64, replicationFactor: 3, in: topology))
    }
}
