import Catalog
import Model
import Testing

@Suite struct CoordinatorDescriptorTests {
    @Test("a coordinator that was dismissed is known until it is forgotten; one that was declared anew meanwhile stays")
    func declaredAnew() throws {
        var world = World()
        let node = try NodeID("c4")
        let declared = CoordinatorDescriptor(
            node: node, zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"))
        try world.run(.declareCoordinator(declared))
        try world.run(.dismissCoordinator(node))
        #expect(world.state.coordinators[node]?.isLeaving == true)
        #expect(world.state.coordinators[node]?.addresses == declared.addresses)
        try world.run(.declareCoordinator(declared))
        try world.run(.forgetCoordinator(node))
        #expect(world.state.coordinators[node] == declared)
        try world.run(.dismissCoordinator(node))
        try world.run(.forgetCoordinator(node))
        #expect(world.state.coordinators.isEmpty)
    }
}
