import Access
import Catalog
import CoordinatorServer
import Foundation
import HTTPTypes
import Model
import Testing
import Wire

/// A node is emptied, stays a member, and is taken back.
@Suite struct DrainAPITests {
    /// Four nodes and a table of three copies; the node that leads its only partition.
    private func started(nodes: Int = 4) async throws -> (harness: APIHarness, holder: NodeID) {
        let harness = try APIHarness()
        try await harness.start(nodes: nodes)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let topology = try await harness.plane.catalog(.local).topology
        return (harness, try #require(topology.partitions.values.first?.primary))
    }

    private func body(_ node: NodeID) -> String { #"{"node_id":"\#(node)"}"# }

    private func node(_ id: NodeID, _ harness: APIHarness) async throws -> NodeDescriptor {
        try #require(try await harness.plane.catalog(.local).topology.nodes[id])
    }

    private func fail(_ node: NodeID, _ harness: APIHarness) async throws {
        let witnesses = try [("n3", "c"), ("n4", "a")].map { Witness(id: try NodeID($0.0), zone: try ZoneName($0.1)) }
        let session = try await self.node(node, harness).session
        let result = try await harness.plane.propose(
            .nodeFailed(node, session: session, witnesses: witnesses), by: harness.root.principal, reason: "",
            requestID: try RequestID("fail-\(node)"), fingerprint: [], traceID: "")
        guard case .accepted = result else { throw InvalidValue(field: "node", detail: "\(result)") }
    }

    @Test("a drain says what is left, asked for again too; its end makes the node healthy at once, asked for again too")
    func thereAndBack() async throws {
        let (harness, holder) = try await started()
        for wasDraining in ["0", "1"] {
            let answer = try await harness.post("/nodes/drain", body(holder))
            #expect(answer.status == 202 && answer["status"] == "DRAINING", "\(answer.text)")
            #expect(answer["primaries_left"] == "1" && answer["replicas_left"] == "1" && answer["obstacle"] == "<null>")
            #expect(answer["was_draining"] == wasDraining)
            #expect(try await node(holder, harness).status == .draining)
        }
        for _ in 0..<2 {
            let answer = try await harness.post("/nodes/undrain", body(holder))
            #expect(answer.status == 200 && answer["status"] == "HEALTHY" && answer["replicas"] == "1", "\(answer.text)")
            #expect(try await node(holder, harness).status == .healthy)
        }
    }

    @Test("a node that holds nothing is drained at once, and shown so")
    func empty() async throws {
        let (harness, holder) = try await started()
        let topology = try await harness.plane.catalog(.local).topology
        let spare = try #require(topology.nodes.keys.first { topology.tally.replicas[$0] == nil })
        let answer = try await harness.post("/nodes/drain", body(spare))
        #expect(answer.status == 200 && answer["status"] == "DRAINED" && answer["replicas_left"] == "0", "\(answer.text)")
        _ = try await harness.post("/nodes/drain", body(holder))
        let list = try JSONSerialization.jsonObject(with: Data(try await harness.get("/clusters/demo/nodes").text.utf8))
        let rows = try #require(list as? [[String: Any]])
        func drain(_ node: NodeID) -> String? { rows.first { $0["node_id"] as? String == node.name }?["drain"] as? String }
        #expect(drain(spare) == "DRAINED" && drain(holder) == "DRAINING")
        #expect(rows.count { $0["drain"] is NSNull } == 2)
    }

    @Test("where copies can go nowhere a drain begins all the same, as that of a decommission, and says what is in its way")
    func nowhere() async throws {
        let (harness, holder) = try await started(nodes: 3)
        for path in ["/nodes/drain", "/nodes/decommission"] {
            let answer = try await harness.post(path, body(holder))
            #expect(answer.status == 202 && answer["obstacle"].contains("1 copies can go nowhere"), "\(answer.text)")
            #expect(answer["obstacle"].contains("add a node"))
        }
    }

    @Test("a drain of a node that is failed, unknown or gone is refused, and says what to do instead")
    func refusals() async throws {
        let (harness, _) = try await started()
        let n1 = try NodeID("n1"), n2 = try NodeID("n2"), n4 = try NodeID("n4")
        try await fail(n1, harness)
        let failed = try await harness.post("/nodes/drain", body(n1))
        #expect(failed.status == 409 && failed["code"] == "NODE_UNAVAILABLE" && failed["field"] == "node_id", "\(failed.text)")
        #expect(failed["hint"].contains("start its agent") && failed["hint"].contains("decommissioned"))
        #expect(try await !node(n1, harness).isDrainWanted)
        let unknown = try await harness.post("/nodes/drain", #"{"node_id":"n9"}"#)
        #expect(unknown.status == 404 && unknown["code"] == "NODE_NOT_FOUND" && !unknown["hint"].isEmpty)
        let topology = try await harness.plane.catalog(.local).topology
        let spare = topology.tally.replicas[n4] == nil ? n4 : n2
        for partition in topology.partitions.values { try #require(partition.replica(on: spare) == nil) }
        _ = try await harness.post("/nodes/decommission", body(spare))
        for verb in ["drain", "undrain"] {
            let gone = try await harness.post("/nodes/\(verb)", body(spare))
            #expect(gone.status == 403 && gone["code"] == "NODE_DECOMMISSIONED" && !gone["hint"].isEmpty, "\(gone.text)")
        }
    }

    @Test("a node that failed while it was drained is drained still, and may be taken back before it returns")
    func failedMeanwhile() async throws {
        let (harness, _) = try await started()
        let n1 = try NodeID("n1")
        _ = try await harness.post("/nodes/drain", body(n1))
        try await fail(n1, harness)
        #expect(try await harness.post("/nodes/drain", body(n1))["was_draining"] == "1")
        let answer = try await harness.post("/nodes/undrain", body(n1))
        #expect(answer.status == 200 && answer["status"] == "FAILED", "\(answer.text)")
        #expect(try await !node(n1, harness).isDrainWanted)
    }

    @Test("who may not change nodes may neither drain one nor take one back, and both leave a record of who did")
    func permissions() async throws {
        let (harness, holder) = try await started()
        let viewer = Caller(principal: try Principal("operator/eve"), role: .viewer)
        for verb in ["drain", "undrain"] {
            let path = "/api/v1/nodes/\(verb)"
            let refused = try await harness.ask(.post, path, body(holder), as: viewer)
            #expect(refused.status == 403 && refused["code"] == "NOT_ALLOWED", "\(refused.text)")
            let taken = try await harness.ask(.post, path, body(holder), headers: ["X-Reason": "new kernel"], as: harness.root)
            #expect(taken.status < 300)
            let record = try await harness.plane.catalog(.local).audit.tail.last
            #expect(record?.command == "\(verb)-node" && record?.subject == "nodes/\(holder)")
            #expect(record?.actor.name == "operator/ada" && record?.reason == "new kernel")
        }
    }

    @Test("the log's form of a drain is what it was, its end has one of its own, and damage to either is no more than refused")
    func codec() throws {
        let tail: [UInt8] =
            [0x12, 12] + Array("operator/ada".utf8) + [0x22, 1] + Array("r".utf8) + [0x38, 2]
        let n1 = try NodeID("n1")
        let forms: [(Command, tag: [UInt8])] = [(.drain(n1), [0x6A]), (.undrain(n1), [0xAA, 0x02])]
        for (command, tag) in forms {
            let entry = CatalogEntry(
                command: command, actor: try Principal("operator/ada"), requestID: try RequestID("r"),
                time: WallTime(milliseconds: 1))
            let inner = tag + [2] + Array("n1".utf8)
            let bytes = [0x0A, UInt8(inner.count)] + inner + tail
            #expect(entry.serialized() == bytes)
            #expect(try CatalogEntry(bytes: bytes) == entry)
            for length in bytes.indices { survives(Array(bytes[..<length])) }
            for index in bytes.indices {
                for bit in 0..<8 as Range<UInt8> {
                    var flipped = bytes
                    flipped[index] ^= 1 << bit
                    survives(flipped)
                }
            }
        }
        let nobody = [0x0A, 3, 0xAA, 0x02, 0] + tail
        #expect(throws: WireError.self) { try CatalogEntry(bytes: nobody) }
    }

    /// Damaged bytes are refused, or read as something that can be written and read again.
    private func survives(_ bytes: [UInt8]) {
        guard let value = try? CatalogEntry(bytes: bytes) else { return }
        #expect((try? CatalogEntry(bytes: value.serialized())) == value)
    }
}
