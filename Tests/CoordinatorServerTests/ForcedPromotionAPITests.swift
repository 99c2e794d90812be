import Access
import Catalog
import CoordinatorServer
import Foundation
import HTTPTypes
import Identity
import Model
import Synchronization
import Testing

/// An operator's last resort, as he asks for it (rule R6).
@Suite struct ForcedPromotionAPITests {
    private struct Lost {
        let harness: APIHarness
        let partition: PartitionID
        /// The last in-sync member, which is failed, and a learner that lives.
        let last: NodeID
        let learner: NodeID
        var path: String { "/tables/t/partitions/\(partition):force-promote" }
        func body(_ accepts: String = #","accept_data_loss":true"#) -> String {
            #"{"target":"\#(learner)","lost":["\#(last)"]\#(accepts)}"#
        }
    }

    /// A table's only partition waits for its last member; the learner has said what it holds.
    private func lost(learnerAt position: Position? = Position(epoch: Epoch(1), run: 1, sequence: 5)) async throws -> Lost {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let partition = try #require(try await harness.plane.catalog(.local).topology.partitions.values.first)
        let primary = try #require(partition.primary)
        let others = partition.inSync.filter { $0 != primary }
        let witnesses = [
            Witness(id: Known.c1, zone: try ZoneName("x")), Witness(id: try NodeID("c2"), zone: try ZoneName("y")),
        ]
        func run(_ command: Command, _ name: String) async throws {
            let result = try await harness.plane.propose(
                command, by: harness.root.principal, reason: "", requestID: try Model.RequestID(name), fingerprint: [],
                traceID: "")
            guard case .accepted = result else { throw InvalidValue(field: name, detail: "\(result)") }
        }
        for node in others + [primary] {
            let session = try await harness.plane.catalog(.local).topology.nodes[node]?.session ?? .none
            try await run(.nodeFailed(node, session: session, witnesses: witnesses), "fail-\(node)")
        }
        let learner = others[0]
        let session = try await harness.plane.catalog(.local).topology.nodes[learner]?.session ?? .none
        try await run(.nodeReturned(learner, session: session), "return")
        var readings = [primary: reading(primary, of: partition.id, at: Position(epoch: Epoch(1), run: 1, sequence: 9))]
        if let position {
            readings[learner] = reading(learner, of: partition.id, at: position, in: session)
        }
        harness.plane.loads.withLock { $0 = readings }
        return Lost(harness: harness, partition: partition.id, last: primary, learner: learner)
    }

    private func reading(
        _ node: NodeID, of id: PartitionID, at last: Position, in session: SessionID = SessionID(1)
    ) -> LoadReading {
        let copy = PartitionReport(
            partition: id, epoch: Epoch(1), isPrimary: false, role: .learner, rows: 1, bytes: 1, readsPerSecond: 0,
            writesPerSecond: 0, lag: .zero, last: last, applied: last)
        let report = NodeReport(
            node: node, session: session, revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
            replicationLag: .zero, engine: .healthy, partitions: [copy], operations: [])
        return LoadReading(report: report, age: .seconds(1))
    }

    private func partition(_ lost: Lost) async throws -> PartitionDescriptor {
        try #require(try await lost.harness.plane.catalog(.local).topology.partitions[lost.partition])
    }

    @Test("a forced promotion says what was given up, in its answer and in the audit trail, with the last that was heard of it")
    func forced() async throws {
        let lost = try await lost()
        let answer = try await lost.harness.ask(
            .post, "/api/v1" + lost.path, lost.body(), headers: ["X-Reason": "both disks burned", "Idempotency-Key": "once"],
            as: lost.harness.root)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer["primary"] == lost.learner.name && answer["forced_at"] == answer["epoch"])
        let given = try #require((answer.json["given_up"] as? [[String: Any]])?.first)
        #expect(given["node"] as? String == lost.last.name && given["last_position"] as? String == "e1.1.9")
        #expect(given["status"] as? String == "FAILED")
        let trail = try await lost.harness.plane.catalog(.local).audit.tail.filter { $0.command == "force-promotion" }
        #expect(trail.count == 1 && trail[0].actor.name == "operator/ada" && trail[0].outcome == "OK")
        #expect(trail[0].subject == "partitions/\(lost.partition)/primary/\(lost.learner)/lost/\(lost.last)")
        #expect(
            trail[0].reason
                == "\(lost.learner) leads from e1.1.5; given up: \(lost.last) last heard at e1.1.9; both disks burned")
        // Asked for once more under its key it is the same promotion.
        let again = try await lost.harness.ask(
            .post, "/api/v1" + lost.path, lost.body(), headers: ["Idempotency-Key": "once"], as: lost.harness.root)
        #expect(again.status == 200 && again["epoch"] == answer["epoch"], "\(again.text)")
        #expect(try await partition(lost).inSync == [lost.learner])
    }

    @Test(
        "nobody gives data up by leaving a field out",
        arguments: ["", #","accept_data_loss":false"#, #","accept_data_loss":"yes""#])
    func consent(accepts: String) async throws {
        let lost = try await lost()
        let answer = try await lost.harness.post(lost.path, lost.body(accepts))
        #expect(answer.status == 422 && answer["code"] == "DATA_LOSS_NOT_ACCEPTED" && answer["field"] == "accept_data_loss")
        #expect(answer["detail"].contains(lost.last.name), "\(answer.text)")
        #expect(try await partition(lost).primary == nil)
    }

    @Test("what the catalog refuses, and a body that names nothing to give up, is told by its field")
    func refusals() async throws {
        let lost = try await lost()
        let other = try await lost.harness.post(
            lost.path, #"{"target":"\#(lost.learner)","lost":["\#(lost.learner)"],"accept_data_loss":true}"#)
        #expect(other.status == 409 && other["code"] == "LOST_DIFFER" && other["field"] == "lost", "\(other.text)")
        for names in ["", #","lost":[]"#, #","lost":"n1""#, #","lost":[1]"#] {
            let answer = try await lost.harness.post(
                lost.path, #"{"target":"\#(lost.learner)","accept_data_loss":true\#(names)}"#)
            #expect(answer.status == 400 && answer["field"] == "lost", "\(answer.text)")
        }
        let session = try await lost.harness.plane.catalog(.local).topology.nodes[lost.last]?.session ?? .none
        _ = try await lost.harness.plane.propose(
            .nodeReturned(lost.last, session: session),
            by: lost.harness.root.principal, reason: "", requestID: try Model.RequestID("back"), fingerprint: [], traceID: "")
        let back = try await lost.harness.post(lost.path, lost.body())
        #expect(back.status == 409 && back["code"] == "IN_SYNC_MEMBER_REMAINS", "\(back.text)")
    }

    @Test("where nobody knows that the target's copy is whole, the others are not thrown away for it")
    func unknownCopies() async throws {
        let silent = try await lost(learnerAt: nil)
        let unknown = try await silent.harness.post(silent.path, silent.body())
        #expect(unknown.status == 409 && unknown["code"] == "COPY_UNKNOWN" && unknown["retryable"] == "1", "\(unknown.text)")
        let half = try await lost(learnerAt: .zero)
        let answer = try await half.harness.post(half.path, half.body())
        #expect(answer.status == 409 && answer["code"] == "COPY_NOT_WHOLE" && answer["field"] == "target", "\(answer.text)")
        for lost in [silent, half] { #expect(try await partition(lost).primary == nil) }
    }

    @Test("a dry run shows what would be given up, and gives up nothing")
    func rehearses() async throws {
        let lost = try await lost()
        let before = try await lost.harness.plane.catalog(.local)
        let answer = try await lost.harness.post(lost.path + "?dry_run=true", lost.body())
        #expect(answer.status == 200 && answer.json["given_up"] != nil && answer["dry_run"] == "1", "\(answer.text)")
        #expect(answer["primary"] == lost.learner.name)
        #expect(try await lost.harness.plane.catalog(.local) == before)
    }

    @Test(
        "the cluster's status names the way out of a partition without a primary, and nobody to go on from where there is none")
    func wayOut() async throws {
        let lost = try await lost()
        let status = try await lost.harness.get("/cluster/status")
        #expect(
            status.text.contains(
                "partition \(lost.partition) of t waits for \(lost.last): start it with its data folder; if it is lost for ever: "
                    + "coxctl partition force-promote t \(lost.partition) --to \(lost.learner) --lost \(lost.last) --accept-data-loss"
            ),
            "\(status.text)")
        let silent = try await self.lost(learnerAt: nil)
        let other = try await silent.harness.get("/cluster/status")
        #expect(other.text.contains("no other node has reported a copy"), "\(other.text)")
    }

    @Test("who may not drop a table may not give up its rows")
    func permission() async throws {
        let lost = try await lost()
        for caller in [lost.harness.node, Caller(principal: try Principal("operator/eve"), role: .viewer)] {
            let answer = try await lost.harness.ask(.post, "/api/v1" + lost.path, lost.body(), as: caller)
            #expect(answer.status == 403, "\(answer.text)")
        }
        #expect(try await partition(lost).primary == nil)
    }
}
