import Client
import Testing

@testable import coxctl

@Suite struct NodeListTests {
    private func row(_ name: String, gossip: JSONValue) -> JSONValue {
        .object([
            "node_id": .string(name), "zone": .string("a"), "status": .string("healthy"), "endpoint": .string("\(name):1"),
            "gossip": gossip,
        ])
    }

    private func belief(_ status: String, by accusers: [String]) -> JSONValue {
        .object(["status": .string(status), "accusers": .array(accusers.map { .string($0) })])
    }

    @Test("beside what is committed of a node stands what is believed of it, and who accuses it")
    func suspicion() {
        let table = TextTable(
            columns: Array(NodeList.columns.prefix(7)),
            rows: [
                row("n1", gossip: belief("suspect", by: ["n2", "n3"])), row("n2", gossip: belief("alive", by: [])),
                row("n3", gossip: .null),
            ])
        #expect(
            table.text == """
                ST  NODE  ZONE  STATUS   GOSSIP   ACCUSED BY  ENDPOINT
                SN  n1    a     healthy  suspect  n2,n3       n1:1
                UN  n2    a     healthy  alive    -           n2:1
                UN  n3    a     healthy  -        -           n3:1
                """)
    }

    @Test("two letters say whether a node is up, and whether it is drained")
    func states() {
        func state(_ status: String, drain: String? = nil, gossip: String = "alive") -> String {
            NodeList.state(
                of: .object([
                    "status": .string(status), "drain": drain.map { .string($0) } ?? .null, "gossip": belief(gossip, by: []),
                ]))
        }
        #expect(state("HEALTHY") == "UN" && state("HEALTHY", gossip: "dead") == "SN")
        #expect(state("DRAINING", drain: "DRAINING") == "UD" && state("DRAINING", drain: "DRAINED") == "UR")
        #expect(state("FAILED", gossip: "dead") == "FN" && state("FAILED", drain: "DRAINED") == "FR")
        #expect(state("JOINING") == "-J" && state("DECOMMISSIONED") == "--")
    }
}
