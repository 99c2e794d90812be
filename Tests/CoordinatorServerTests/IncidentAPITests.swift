import Catalog
import Consensus
import CoordinatorCore
import Foundation
import HTTPTypes
import Model
import Synchronization
import Testing

@testable import CoordinatorServer

@Suite("the last failovers, as operators see them") struct IncidentAPITests {
    /// Of node n2, decided at 12:00:00.5.
    private func incident(
        _ id: UInt64, awaited: [UInt64] = [], clocks: FailoverClocks = FailoverClocks(), by leader: String? = nil
    ) throws -> Incident {
        Incident(
            id: LogIndex(id), node: try NodeID("n2"), session: SessionID(41), cause: .silentZone,
            witnesses: [
                Witness(id: try NodeID("c1"), zone: try ZoneName("a")), Witness(id: try NodeID("n1"), zone: try ZoneName("a")),
            ], silentZones: [try ZoneName("b")], account: "2 witnesses found it dead: c1, n1",
            decidedAt: WallTime(milliseconds: 1_700_000_000_500), changedHands: 7, withoutPrimary: 1,
            awaited: Dictionary(uniqueKeysWithValues: awaited.map { (PartitionID($0), Epoch(2)) }), hasReturned: false,
            clocks: clocks, measuredBy: try leader.map(NodeID.init(_:)))
    }

    @Test("incidents are listed, the newest first, each with who, why and when")
    func lists() async throws {
        let harness = try APIHarness()
        #expect(try await harness.get("/incidents").text.hasPrefix(#"{"incidents":[]}"#))
        let found = [try incident(7), try incident(900, awaited: [12, 5])]
        harness.plane.failovers.withLock { $0 = found }
        let rows = try #require(try await harness.get("/incidents").json["incidents"] as? [[String: Any]])
        #expect(rows.map { $0["id"] as? Int } == [900, 7])
        #expect(rows.map { $0["state"] as? String } == ["recovering", "recovered"])
        let row = rows[0]
        #expect(row["node"] as? String == "n2" && row["session"] as? Int == 41 && row["cause"] as? String == "silent-zone")
        #expect(row["reason"] as? String == "2 witnesses found it dead: c1, n1")
        let witnesses = try #require(row["accused_by"] as? [[String: String]])
        #expect(witnesses == [["node": "c1", "zone": "a"], ["node": "n1", "zone": "a"]])
        #expect(row["silent_zones"] as? [String] == ["b"] && row["waits_for"] as? [Int] == [5, 12])
        #expect(row["partitions"] as? [String: Int] == ["changed_hands": 7, "without_primary": 1, "not_serving": 2])
        #expect(row["decided_at"] as? String == "2023-11-14T22:13:20.500Z")
    }

    @Test("the clocks are in milliseconds, and the times follow from them; what was not measured is null")
    func clocks() async throws {
        let harness = try APIHarness()
        let measured = try incident(
            900,
            clocks: FailoverClocks(detect: .milliseconds(300), decide: .milliseconds(200), recover: .microseconds(1_500)),
            by: "c1")
        let found = [try incident(7), measured]
        harness.plane.failovers.withLock { $0 = found }
        let shown = try await harness.get("/incidents/900").json
        let clocks = try #require(shown["clocks"] as? [String: Any])
        #expect(clocks["measured_by"] as? String == "c1" && clocks["detect_ms"] as? Double == 300)
        #expect(clocks["decide_ms"] as? Double == 200 && clocks["recover_ms"] as? Double == 1.5)
        #expect(shown["suspected_at"] as? String == "2023-11-14T22:13:20.000Z")
        #expect(shown["accused_at"] as? String == "2023-11-14T22:13:20.300Z")
        #expect(shown["recovered_at"] as? String == "2023-11-14T22:13:20.501Z")
        let unknown = try await harness.get("/incidents/7")
        #expect(unknown.text.contains(#""clocks":{"decide_ms":null,"detect_ms":null,"measured_by":null,"recover_ms":null}"#))
        #expect(unknown.text.contains(#""suspected_at":null"#) && unknown.text.contains(#""recovered_at":null"#))
    }

    @Test("an incident that is not kept is not found, and what is no number names none")
    func unknown() async throws {
        let harness = try APIHarness()
        let missing = try await harness.get("/incidents/7")
        #expect(missing.status == 404 && missing["code"] == "INCIDENT_NOT_FOUND" && missing["field"] == "id")
        #expect(missing["hint"].contains("coxctl incident list"))
        #expect(try await harness.get("/incidents/seven").status == 400)
    }

    @Test("without a leader they are shown to whoever asks for what this member knows, and to nobody without a role")
    func leaderless() async throws {
        let harness = try APIHarness()
        let found = [try incident(7)]
        harness.plane.failovers.withLock { $0 = found }
        harness.plane.loseLeader()
        #expect(try await harness.get("/incidents").status == 503)
        #expect(try await harness.get("/incidents?consistency=stale").status == 200)
        #expect(try await harness.get("/incidents/7?consistency=stale").status == 200)
        #expect(try await harness.ask(.get, "/api/v1/incidents", as: nil).status == 401)
    }
}
