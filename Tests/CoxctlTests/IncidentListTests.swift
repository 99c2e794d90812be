import Client
import Testing

@testable import coxctl

@Suite struct IncidentListTests {
    private func row(_ id: Int, _ state: String, clocks: [String: JSONValue], witnesses: [String]) -> JSONValue {
        .object([
            "id": .number(id), "node": .string("n2"), "cause": .string("witnesses"), "state": .string(state),
            "decided_at": .string("2023-11-14T22:13:20.500Z"), "clocks": .object(clocks),
            "partitions": .object(["changed_hands": .number(7), "without_primary": .number(0), "not_serving": .number(0)]),
            "accused_by": .array(witnesses.map { .object(["node": .string($0), "zone": .string("a")]) }),
        ])
    }

    @Test("a failover is one line: who, why, how it stands, three clocks, what it took and who found it")
    func table() {
        let rows = [
            row(900, "recovering", clocks: ["detect_ms": .number(271), "decide_ms": .number(28)], witnesses: ["c1", "n1"]),
            row(7, "returned", clocks: ["detect_ms": .null, "recover_ms": .null], witnesses: []),
        ]
        let list = JSONValue.object(["incidents": .array(rows)])
        #expect(
            TextTable(columns: IncidentList.columns, rows: list.elements).text == """
                INCIDENT  NODE  CAUSE      STATE       AT                        DETECT ms  DECIDE ms  RECOVER ms  TAKEN OVER  UNLED  NOT SERVING  ACCUSED BY
                900       n2    witnesses  recovering  2023-11-14T22:13:20.500Z  271        28         -           7           0      0            c1,n1
                7         n2    witnesses  returned    2023-11-14T22:13:20.500Z  -          -          -           7           0      0            -
                """)
        #expect(rows[0].elements == [rows[0]])
    }
}
