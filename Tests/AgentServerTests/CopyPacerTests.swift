import Engine
import Model
import Testing

@testable import AgentServer

@Suite(.timeLimit(.minutes(5))) struct CopyPacerTests {
    private func copy(_ rig: CopyRig) async throws -> Duration {
        let receiving = try rig.receiving()
        let start = ContinuousClock.now
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            try await rig.sending().send(order)
        }
        return ContinuousClock.now - start
    }

    enum End: CaseIterable { case sender, receiver }

    @Test("a copy takes as long as the rate of its sender, or of its receiver, says", arguments: End.allCases)
    func paced(by end: End) async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<6_000).map { try rig.put($0) })
        // Six mebibytes, less the burst of two and the last one, which nobody waits for, at two in a second.
        (end == .sender ? rig.sourceHost : rig.targetHost).copyRate = 2 << 20
        #expect(try await copy(rig) > .milliseconds(1_400))
        #expect(try await rig.areEqual())
        await rig.close()
    }

    @Test("a rate that is raised while a copy waits is in force at once")
    func raised() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<6_000).map { try rig.put($0) })
        // Nothing but the burst, for days.
        rig.sourceHost.copyRate = 1
        rig.sourceHost.onProgress { _ in
            if rig.sourceHost.progress.count == 2 { rig.sourceHost.copyRate = 1 << 40 }
        }
        #expect(try await copy(rig) < .seconds(60))
        #expect(try await rig.areEqual())
        await rig.close()
    }

    @Test("what waits for its rate can be stopped")
    func stopped() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<6_000).map { try rig.put($0) })
        rig.sourceHost.copyRate = 1
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            let streams = try rig.sending()
            let sending = Task { try await streams.send(order) }
            try await eventually("it is held back") { rig.sourceHost.progress.count >= 2 }
            sending.cancel()
            await #expect(throws: (any Error).self) { try await sending.value }
        }
        await rig.close()
    }
}
