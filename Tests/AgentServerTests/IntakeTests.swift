import Foundation
import LogStorage
import Model
import Synchronization
import Testing

@testable import AgentServer

@Suite(.serialized, .timeLimit(.minutes(5))) struct IntakeTests {
    @Test("callers are stopped at half the log's bound, peers at three quarters, and what was released may come again")
    func shares() {
        let unwritten = Mutex(0)
        let intake = Intake(limit: 1_000) { unwritten.withLock { $0 } }
        #expect(intake.take(400, for: .callers))
        #expect(!intake.take(200, for: .callers))
        #expect(intake.take(100, for: .callers))
        #expect(intake.take(250, for: .peers))
        #expect(!intake.take(1, for: .peers))
        #expect(intake.take(0, for: .peers))
        intake.release(750)
        unwritten.withLock { $0 = 600 }
        #expect(!intake.take(1, for: .callers))
        #expect(intake.take(150, for: .peers))
        intake.release(150)
        unwritten.withLock { $0 = 0 }
        // Larger than any bound, but alone.
        #expect(intake.take(5_000, for: .callers))
    }

    @Test("a node that is given more than its disk takes refuses and drops, and serves on: nothing acknowledged is lost")
    func flood() async throws {
        let log = LogOptions(pendingBytes: 256 << 10, reserveBytes: 1 << 20, flush: .slower(by: .milliseconds(20)))
        let rig = try await AgentRig(nodes: ["n1", "n2", "n3"], log: log)
        for node in rig.nodes { try await rig.start(node) }
        let primary = rig.nodes[0]
        _ = try await rig.put("first", 0, at: primary)
        let filler = String(repeating: "x", count: 1_000)
        var acknowledged: Set<String> = []
        var overloaded = 0
        await withTaskGroup(of: (kept: [String], overloaded: Int).self) { group in
            for writer in 0..<800 {
                group.addTask {
                    var result: (kept: [String], overloaded: Int) = ([], 0)
                    for number in 0..<2 {
                        let id = "w\(writer)-\(number)-\(filler)"
                        do {
                            try await rig.putOnce(id, Int64(number), at: primary)
                            result.kept.append(id)
                        } catch DataRefusal.overloaded {
                            result.overloaded += 1
                        } catch {}
                    }
                    return result
                }
            }
            for await result in group {
                acknowledged.formUnion(result.kept)
                overloaded += result.overloaded
            }
        }
        #expect(overloaded > 0)
        #expect(!acknowledged.isEmpty)
        _ = try await rig.put("last", 1, at: primary)
        for id in acknowledged.sorted().prefix(20) {
            #expect(try await rig.strongGet(id, at: primary)?.first == .text(id))
        }
        await rig.stopAll()
    }
}
