import Engine
import KeyEncoding
import Model
import Testing

@testable import AgentServer

@Suite(.serialized) struct AgentRuntimeTests {
    @Test("three agents without any coordinator replicate, serve strong reads, and after a restart have every write (R7)")
    func servesFromDisk() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<25 {
                        _ = try await rig.put("w\(writer)-\(number)", Int64(number), at: primary)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await rig.strongGet("w3-7", at: primary) == [.text("w3-7"), .integer(7)])
        let before = await rig.agent(primary).status()
        #expect(before.fsyncs > 0)
        await rig.stopAll()

        for node in rig.nodes { try await rig.start(node) }
        for writer in 0..<8 {
            for number in 0..<25 {
                let row = try await rig.strongGet("w\(writer)-\(number)", at: primary)
                #expect(row == [.text("w\(writer)-\(number)"), .integer(Int64(number))])
            }
        }
        _ = try await rig.put("after", 1, at: primary)
        await rig.stopAll()
    }
}
