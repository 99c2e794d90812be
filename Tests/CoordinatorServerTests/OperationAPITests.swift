import Catalog
import CoordinatorServer
import Foundation
import Identity
import Model
import Testing

/// What operators do to what is under way.
@Suite struct OperationAPITests {
    /// A table's only partition, moving from its primary to the one node without a copy.
    private func moving() async throws -> (harness: APIHarness, operation: String, partition: PartitionID) {
        let harness = try APIHarness()
        try await harness.start(nodes: 4)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let partition = try #require(try await harness.plane.catalog(.local).topology.partitions.values.first)
        let source = try #require(partition.primary)
        let target = try #require((1...4).map { "n\($0)" }.first { name in !partition.inSync.contains { $0.name == name } })
        let answer = try await harness.post(
            "/tables/t/partitions/\(partition.id):move", #"{"source":"\#(source)","target":"\#(target)"}"#)
        try #require(answer.status == 202, "\(answer.text)")
        return (harness, answer["operation_id"], partition.id)
    }

    @Test("an operation is paused and resumed, shown as such by whom, and each may be asked for twice")
    func pauses() async throws {
        let (harness, operation, _) = try await moving()
        #expect(try await harness.get("/operations/\(operation)").json["paused"] is NSNull)
        for _ in 0..<2 {
            let paused = try await harness.post("/operations/\(operation):pause")
            #expect(paused.status == 202 && paused["phase"] == "running" && paused["step"] == "copy", "\(paused.text)")
            #expect((paused.json["paused"] as? [String: Any])?["by"] as? String == "operator/ada")
        }
        let listed = try await harness.get("/operations").json["operations"] as? [[String: Any]]
        let shown = listed?.first { $0["id"] as? String == operation }
        #expect((shown?["paused"] as? [String: Any])?["by"] as? String == "operator/ada")
        for _ in 0..<2 {
            let resumed = try await harness.post("/operations/\(operation):resume")
            #expect(resumed.status == 202 && resumed.json["paused"] is NSNull, "\(resumed.text)")
        }
    }

    @Test("a paused operation is cancelled like any other, and a second time without harm; then there is nothing to pause")
    func cancels() async throws {
        let (harness, operation, partition) = try await moving()
        _ = try await harness.post("/operations/\(operation):pause")
        for _ in 0..<2 {
            let cancelled = try await harness.post("/operations/\(operation):cancel")
            #expect(cancelled.status == 202 && cancelled["phase"] == "aborted" && cancelled["cleanups_left"] == "1")
            #expect(cancelled["error"] == "cancelled by operator/ada" && cancelled["cancellable"] == "0")
        }
        let late = try await harness.post("/operations/\(operation):pause")
        #expect(late.status == 409 && late["code"] == "OPERATION_ENDED" && late["detail"].contains("aborted"), "\(late.text)")
        let topology = try await harness.plane.catalog(.local).topology
        #expect(topology.partitions[partition]?.operation == nil && topology.partitions[partition]?.learners == [])
    }

    @Test("past the point of no return a cancel is refused with the step at which the operation stands")
    func cancelsNoMore() async throws {
        let (harness, operation, id) = try await moving()
        let number = OperationID(try #require(UInt64(operation)))
        func propose(_ proposal: PartitionProposal, _ name: String) async throws {
            let topology = try await harness.plane.catalog(.local).topology
            let primary = try #require(topology.partitions[id]?.primary)
            let result = try await harness.plane.propose(
                .partition(proposal, from: primary, session: topology.nodes[primary]?.session ?? .none),
                by: harness.node.principal, reason: "", requestID: try Model.RequestID(name), fingerprint: [], traceID: "")
            guard case .accepted = result else { throw InvalidValue(field: name, detail: "\(result)") }
        }
        let target = try #require(try await harness.plane.catalog(.local).topology.partitions[id]?.learners.first)
        let store = try #require(try await harness.plane.catalog(.local).topology.nodes[target]?.store)
        try await propose(.joinInSync(id, node: target, store: store, expecting: Epoch(2)), "join")
        try await propose(.switchPrimary(id, to: target, store: store, operation: number, expecting: Epoch(3)), "switch")
        let late = try await harness.post("/operations/\(operation):cancel")
        #expect(late.status == 409 && late["code"] == "PAST_SWITCH" && late["detail"].contains("handOver"), "\(late.text)")
        #expect(late["retryable"] == "0" && !late["hint"].isEmpty)
        #expect(try await harness.get("/operations/\(operation)")["cancellable"] == "0")
    }

    @Test(
        "an operation that is not there is not found, and a creation is neither cancelled nor paused",
        arguments: ["cancel", "pause", "resume"])
    func refusals(verb: String) async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let missing = try await harness.post("/operations/77:\(verb)")
        #expect(missing.status == 404 && missing["code"] == "OPERATION_NOT_FOUND")
        let creation = try await harness.post("/tables", APIHarness.table("t"))["operation_id"]
        let answer = try await harness.post("/operations/\(creation):\(verb)")
        #expect(answer.status == 422 && answer["code"] == "WRONG_OPERATION", "\(answer.text)")
        #expect(answer["detail"].contains("create-table"))
    }

    @Test("a dry run of a cancel and of a pause changes nothing")
    func rehearses() async throws {
        let (harness, operation, _) = try await moving()
        let before = try await harness.plane.catalog(.local)
        for verb in ["pause", "cancel"] {
            let answer = try await harness.post("/operations/\(operation):\(verb)?dry_run=true")
            #expect((200..<300).contains(answer.status), "\(answer.text)")
        }
        #expect(try await harness.plane.catalog(.local) == before)
    }

    @Test("each verb stands in the audit trail, with who and why, and so does its refusal")
    func audits() async throws {
        let (harness, operation, _) = try await moving()
        for verb in ["pause", "resume", "cancel", "pause"] {
            _ = try await harness.post("/operations/\(operation):\(verb)", headers: ["X-Reason": "because of \(verb)"])
        }
        let trail = try await harness.plane.catalog(.local).audit.tail.filter { $0.subject == "operations/\(operation)" }
        #expect(trail.map(\.command) == ["pause-operation", "resume-operation", "abort-operation", "pause-operation"])
        #expect(trail.allSatisfy { $0.actor.name == "operator/ada" && $0.reason.hasPrefix("because of") })
        #expect(trail.last?.outcome.contains("OPERATION_ENDED") == true, "\(String(describing: trail.last))")
    }
}
