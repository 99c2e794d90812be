import Catalog
import CoordinatorCore
import CoordinatorServer
import Foundation
import HTTPTypes
import Identity
import Model
import Synchronization
import Testing

/// Copies that nobody wants, as operators see and remove them.
@Suite struct OrphanAPITests {
    private func orphan(
        _ standing: ReplicaStanding, _ partition: UInt64, in session: SessionID = .none, confirmed: Bool = false
    ) throws -> Orphan {
        Orphan(
            node: try NodeID("n2"), session: session,
            held: StrayReplica(
                partition: PartitionID(partition), storage: StorageID(9), epoch: Epoch(4), isBeingRemoved: false),
            standing: standing, age: .seconds(75), isConfirmed: confirmed)
    }

    private func session(in harness: APIHarness) async throws -> SessionID {
        let topology = try await harness.plane.catalog(.local).topology
        return try #require(topology.nodes[try NodeID("n2")]?.session)
    }

    @Test("orphans are listed with what is known of them and what becomes of them")
    func lists() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        #expect(try await harness.get("/orphans").text.contains(#""orphans":[]"#))
        let found = [
            try orphan(.over, 5), try orphan(.over, 6, confirmed: true), try orphan(.unknown, 7), try orphan(.ahead, 8),
        ]
        harness.plane.strays.withLock { $0 = found }
        let rows = try #require(try await harness.get("/orphans").json["orphans"] as? [[String: Any]])
        #expect(rows.map { $0["partition"] as? String } == ["5", "6", "7", "8"])
        #expect(rows[0]["node"] as? String == "n2" && rows[0]["storage"] as? String == "9" && rows[0]["epoch"] as? Int == 4)
        #expect(rows[0]["seen_for_seconds"] as? Double == 75)
        let fates = rows.compactMap { $0["fate"] as? String }
        #expect(fates[0].contains("orphan_grace_seconds") && fates[1].hasPrefix("removal due"))
        #expect(fates[2].contains("coxctl node remove-orphan") && fates[3].hasPrefix("kept"))
    }

    @Test("one that the catalog never knew of is removed at an operator's word; what nobody has reported is not found")
    func removes() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        harness.plane.strays.withLock { $0 = [] }
        let missing = try await harness.post("/orphans:remove", #"{"node":"n2","partition":"65536"}"#)
        #expect(missing.status == 404 && missing["code"] == "ORPHAN_NOT_FOUND" && missing["field"] == "partition")
        // Made by an entry that is long applied, and known to nobody.
        let unknown = try orphan(.unknown, 65_536, in: try await session(in: harness))
        harness.plane.strays.withLock { $0 = [unknown] }
        let made = try await harness.post("/orphans:remove", #"{"node":"n2","partition":"65536"}"#)
        #expect(made.status == 202 && made["kind"] == "remove-orphan" && made["cleanups_left"] == "1", "\(made.text)")
        #expect(made["cancellable"] == "0")
        let again = try await harness.post("/orphans:remove", #"{"node":"n2","partition":"65536"}"#)
        #expect(again.status == 409 && again["code"] == "CLEANUP_PENDING")
        for (body, field) in [
            (#"{"node":"N2","partition":"65536"}"#, "node"), (#"{"node":"n2","partition":"x"}"#, "partition"),
            (#"{"node":"n9","partition":"65536"}"#, "node"), (#"{"node":"n2"}"#, "partition"),
        ] {
            let answer = try await harness.post("/orphans:remove", body)
            #expect((400..<500).contains(answer.status) && answer["field"] == field, "\(answer.text)")
        }
        let denied = try await harness.ask(
            .post, "/api/v1/orphans:remove", #"{"node":"n2","partition":"65536"}"#, as: harness.node)
        #expect(denied.status == 403)
    }

    @Test("what a process told before its node started again is not removed: the new one may have been given the copy (E6)")
    func earlierProcess() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let told = try orphan(.unknown, 65_536, in: try await session(in: harness))
        harness.plane.strays.withLock { $0 = [told] }
        let registration = NodeRegistration(
            node: try NodeID("n2"), store: StoreID(2), generation: Generation(2), zone: try ZoneName("b"),
            addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"))
        _ = try await harness.plane.propose(
            .registerNode(registration), by: harness.node.principal, reason: "", requestID: try Model.RequestID("again"),
            fingerprint: [], traceID: "")
        let refused = try await harness.post("/orphans:remove", #"{"node":"n2","partition":"65536"}"#)
        #expect(refused.status == 409 && refused["code"] == "STALE_PLAN", "\(refused.text)")
    }
}
