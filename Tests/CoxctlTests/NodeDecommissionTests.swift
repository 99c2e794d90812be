import ArgumentParser
import Client
import Testing

@testable import coxctl

@Suite struct NodeDecommissionTests {
    private func answer(_ status: String, left: Int) -> JSONValue {
        .object(["node_id": .string("n2"), "status": .string(status), "replicas_left": .number(left)])
    }

    @Test("before a node is taken out the operator reads how much has to be moved for it")
    func question() {
        #expect(
            NodeDecommission.question("n2", answer("DRAINING", left: 14))
                == "14 replicas will be moved away from n2, and then it will be taken out of the cluster for good.")
        #expect(
            NodeDecommission.question("n2", answer("DECOMMISSIONED", left: 0))
                == "n2 holds nothing that counts. It will be taken out of the cluster for good.")
    }

    @Test("how far a node is drained is said until it is out")
    func standing() {
        #expect(NodeDecommission.standing("n2", answer("DRAINING", left: 3)) == "n2 is draining: 3 replicas are left")
        #expect(NodeDecommission.standing("n2", answer("DECOMMISSIONED", left: 0)) == "n2 is decommissioned")
        let stuck = JSONValue.object([
            "status": .string("DRAINING"), "replicas_left": .number(3), "obstacle": .string("no node: add one"),
        ])
        #expect(NodeDecommission.standing("n2", stuck) == "n2 is draining: 3 replicas are left (no node: add one)")
    }

    @Test("nobody waits for ever")
    func bounds() {
        #expect(throws: Never.self) { try NodeDecommission.parse(["n2", "--wait-seconds", "60"]) }
        #expect(throws: (any Error).self) { try NodeDecommission.parse(["n2", "--wait-seconds", "0"]) }
        #expect(throws: (any Error).self) { try NodeDecommission.parse([]) }
    }
}
