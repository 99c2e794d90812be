import Catalog
import Model
import Testing

/// A node that was drained is taken back.
@Suite struct UndrainTests {
    private let n1: NodeID
    private let n2: NodeID
    private let n4: NodeID

    init() throws { (n1, n2, n4) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n4")) }

    private func started() throws -> World {
        var world = World()
        try world.start(nodes: 4)
        return world
    }

    @Test("a node that is no longer drained is healthy at once, and may be given copies and the primary role")
    func undrains() throws {
        var world = try started()
        let partition = try world.makeTable()
        for node in [n2, n4] {
            try world.run(.drain(node))
            #expect(world.topology.nodes[node]?.status == .draining)
        }
        func transfer() throws -> CommandResult {
            try world.run(.beginTransfer(partition.id, to: n2, session: world.session(n2), expecting: Epoch(1)))
        }
        func creation() throws -> CommandResult { try world.run(.createTable(try world.creation("u", on: [[n4]]))) }
        #expect(try transfer().refusal == .nodeUnavailable && creation().refusal == .nodeUnavailable)
        for node in [n2, n4] {
            #expect(try world.run(.undrain(node)).isAccepted)
            #expect(world.topology.nodes[node]?.status == .healthy)
        }
        #expect(try transfer().isAccepted && creation().isAccepted)
    }

    @Test("a drain and its end, asked for twice, are as asked for once")
    func twice() throws {
        var world = try started()
        for (command, status) in [(Command.drain(n1), NodeStatus.draining), (.undrain(n1), .healthy)] {
            #expect(try world.run(command).isAccepted)
            let revision = world.topology.revision
            #expect(try world.run(command).isAccepted)
            #expect(world.topology.nodes[n1]?.status == status && world.topology.revision == revision)
        }
    }

    @Test("a node that fails while it is drained returns healthy if it is to be drained no more, started again or not")
    func failed() throws {
        var world = try started()
        for node in [n1, n2] {
            try world.run(.drain(node))
            #expect(try world.fail(node).isAccepted)
            #expect(try world.run(.undrain(node)).isAccepted)
            #expect(world.topology.nodes[node]?.status == .failed && world.topology.nodes[node]?.isDrainWanted == false)
        }
        try world.run(.nodeReturned(n1, session: world.session(n1)))
        try world.start(node: 2, generation: 2)
        #expect(world.topology.nodes[n1]?.status == .healthy && world.topology.nodes[n2]?.status == .healthy)
    }

    @Test("the move that a drain has begun goes on to its end without it")
    func movesOn() throws {
        var world = try started()
        let id = try world.makeTable().id
        try world.run(.drain(n2))
        let target = NodeSession(node: n4, session: world.session(n4))
        try world.run(.beginMove(MovePlan(partition: id, source: n2, target: target, epoch: Epoch(1))))
        try world.run(.undrain(n2))
        let operation = try #require(world.topology.partitions[id]?.operation)
        #expect(world.topology.operations[operation]?.phase == .running)
        let epoch = try #require(world.topology.partitions[id]?.epoch)
        #expect(try world.propose(.joinInSync(id, node: n4, store: StoreID(400), expecting: epoch), from: n1).isAccepted)
    }

    @Test("who was taken out for good, or never was there, is not taken back")
    func refused() throws {
        var world = try started()
        #expect(try world.run(.decommission(n4)).isAccepted)
        let refused = try world.run(.undrain(n4))
        #expect(refused.refusal == .nodeDecommissioned && world.topology.nodes[n4]?.status == .decommissioned)
        #expect(try world.run(.undrain(try NodeID("n9"))).refusal == .nodeNotFound)
    }
}
