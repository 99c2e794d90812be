import Catalog
import CoordinatorServer
import Model
import Synchronization
import Testing

/// A node is taken out: first of what it holds, then of the cluster.
@Suite struct DecommissionAPITests {
    @Test("a node that holds replicas is drained, and a rehearsal says how many, and changes nothing")
    func drains() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 4)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let topology = try await harness.plane.catalog(.local).topology
        let holder = try #require(topology.partitions.values.first?.primary)
        let held = topology.partitions.values.count { $0.inSync.contains(holder) }
        let commands = harness.plane.commands
        let body = #"{"node_id":"\#(holder)"}"#

        let rehearsed = try await harness.post("/nodes/decommission?dry_run=true", body)
        #expect(rehearsed.status == 200 && rehearsed["status"] == "DRAINING" && rehearsed["replicas_left"] == "\(held)")
        #expect(harness.plane.commands == commands)
        let drained = try await harness.post("/nodes/decommission", body)
        #expect(drained.status == 202 && drained["status"] == "DRAINING" && drained["replicas_left"] == "\(held)")
        #expect(try await harness.plane.catalog(.local).topology.nodes[holder]?.status == .draining)
    }

    @Test("a node to which a copy comes at the last moment is drained, and asking again under the same key says the same")
    func race() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 4)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let topology = try await harness.plane.catalog(.local).topology
        let partition = try #require(topology.partitions.values.first)
        let target = try #require(topology.nodes.values.first { partition.replica(on: $0.id) == nil })
        let move = MovePlan(
            partition: partition.id, source: nil, target: NodeSession(node: target.id, session: target.session),
            epoch: partition.epoch)
        harness.plane.interposed.withLock { $0 = [.beginMove(move)] }
        for _ in 0..<2 {
            let answer = try await harness.post(
                "/nodes/decommission", #"{"node_id":"\#(target.id)"}"#, headers: ["Idempotency-Key": "leave"])
            #expect(answer.status == 202 && answer["status"] == "DRAINING" && answer["replicas_left"] == "1", "\(answer.text)")
            #expect(try await harness.plane.catalog(.local).topology.nodes[target.id]?.status == .draining)
        }
    }

    @Test("a node that holds nothing is taken out at once, and a rehearsal says so")
    func takesOut() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 4)
        for (path, isDone) in [("/nodes/decommission?dry_run=true", false), ("/nodes/decommission", true)] {
            let answer = try await harness.post(path, #"{"node_id":"n4"}"#)
            #expect(answer.status == 200 && answer["status"] == "DECOMMISSIONED" && answer["replicas_left"] == "0")
            let status = try await harness.plane.catalog(.local).topology.nodes[NodeID("n4")]?.status
            #expect((status == .decommissioned) == isDone)
        }
    }
}
