import Engine
import Foundation
import KeyEncoding
import Model
import Testing

@testable import AgentServer

@Suite(.serialized, .timeLimit(.minutes(5))) struct AgentRuntimeTests {
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

    @Test(
        "a write that was ordered and not committed when its agent stops has an unknown outcome; one that comes later was not made"
    )
    func stopsAmidWrite() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        _ = try await rig.put("a", 1, at: primary)
        // No coordinator is there to leave it out of the in-sync set.
        await rig.stop(rig.nodes[2])
        let agent = rig.agent(primary)
        let before = await agent.status().partitions.first?.last.sequence ?? 0
        let mutation = Mutation.put(key: try KeyLayout(rig.table).key(of: [.text("b")]), values: [.text("b"), .integer(2)])
        let write = Task { try await agent.write([mutation], to: PartitionID(11), at: Epoch(1)) }
        let end = ContinuousClock.now + .seconds(60)
        while await agent.status().partitions.first?.last.sequence ?? 0 <= before, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(5))
        }
        await rig.stop(primary)
        await #expect(throws: DataRefusal.outcomeUnknown("the agent stopped before it was committed")) { try await write.value }
        await #expect(throws: DataRefusal.unavailable("the agent is stopping")) {
            try await agent.write([mutation], to: PartitionID(11), at: Epoch(1))
        }
        await rig.stopAll()
    }

    @Test("an agent whose log has rotted, or whose storage is gone, refuses to start and says what it found (E4)")
    func refusesDamage() async throws {
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"])
        for node in rig.nodes { try await rig.start(node) }
        _ = try await rig.put("a", 1, at: rig.nodes[0])
        await rig.stopAll()

        let log = rig.root + "/n2/log"
        let segment = try #require(
            FileManager.default.contentsOfDirectory(atPath: log).filter { $0.hasPrefix("segment-") }.sorted().first)
        var bytes = try Data(contentsOf: URL(filePath: "\(log)/\(segment)"))
        // Behind the header, in the first record.
        bytes[100] ^= 0x10
        try bytes.write(to: URL(filePath: "\(log)/\(segment)"))
        try FileManager.default.removeItem(atPath: rig.root + "/n3/storages")
        for (node, word) in [(rig.nodes[1], "log"), (rig.nodes[2], "is not there")] {
            do {
                try await rig.start(node)
                Issue.record("\(node) started")
                await rig.stop(node)
            } catch let damage as DamagedStore {
                #expect(damage.findings.contains { $0.contains(word) }, "\(damage)")
            }
        }
        try await rig.start(rig.nodes[0])
        await rig.stopAll()
    }
}
