import ArgumentParser
import Client
import Testing

@testable import coxctl

@Suite struct NodeDrainTests {
    private func answer(_ status: String, leads: Int, holds: Int, obstacle: String? = nil) -> JSONValue {
        .object([
            "node_id": .string("n2"), "status": .string(status), "primaries_left": .number(leads),
            "replicas_left": .number(holds), "obstacle": obstacle.map { .string($0) } ?? .null,
        ])
    }

    @Test("how far a node is drained is said, with what is in the way")
    func standing() {
        #expect(
            NodeDrain.standing("n2", answer("DRAINING", leads: 2, holds: 14))
                == "n2 is draining: it leads 2 partitions and holds 14 copies")
        #expect(
            NodeDrain.standing("n2", answer("DRAINING", leads: 0, holds: 14, obstacle: "no node: add one"))
                == "n2 is draining: it leads 0 partitions and holds 14 copies (no node: add one)")
        #expect(NodeDrain.standing("n2", answer("DRAINED", leads: 0, holds: 0)) == "n2 is drained: it holds nothing")
        #expect(
            NodeDrain.plan("n2", answer("DRAINING", leads: 2, holds: 14))
                == "n2 is to be drained: it leads 2 partitions and holds 14 copies")
    }

    @Test("whoever takes a node back reads what it is now")
    func undrained() {
        func standing(_ status: String) -> String { NodeUndrain.standing("n2", .object(["status": .string(status)])) }
        #expect(standing("HEALTHY") == "n2 is healthy")
        #expect(standing("FAILED") == "n2 is failed; it will be as any other when it is back")
    }

    @Test("nobody waits for ever, and a node is named")
    func bounds() throws {
        #expect(try NodeDrain.parse(["n2"]).wait && !NodeDrain.parse(["n2", "--no-wait"]).wait)
        #expect(throws: (any Error).self) { try NodeDrain.parse(["n2", "--wait-seconds", "0"]) }
        #expect(throws: (any Error).self) { try NodeDrain.parse([]) }
        #expect(throws: (any Error).self) { try NodeUndrain.parse([]) }
    }
}
