import Compression
import Engine
import Model
import Replication
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

@Suite(.timeLimit(.minutes(5))) struct CopySilenceTests {
    @Test("a copy between two that talk arrives, and what it brought is equal")
    func arrives() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<3_000).map { try rig.put($0) })
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            try await rig.sending().send(order)
        }
        #expect(try await rig.areEqual())
        #expect(rig.targetHost.finished.map(\.position.sequence) == [6])
        // It is too small for pages to be worth it, and nothing else was to be said.
        #expect(rig.book.all.count == 1 && rig.book.all.allSatisfy { $0.hasPrefix("copy goes by rows") }, "\(rig.book.all)")
        await rig.close()
    }

    @Test("a sender whose receiver takes nothing any more gives up, says who it was and how far it came, and ends the link")
    func silentReceiver() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<12_000).map { try rig.put($0) })
        rig.sourceHost.copySilence = .milliseconds(400)
        let held = Mutex<Link?>(nil)
        let handler: LinkListener.Handler = { link in
            held.withLock { $0 = link }
            do {
                _ = try await link.receive()
                try await link.send(CopyFrame.resume(chunk: 0, after: nil).serialized())
                _ = try await link.receive()
                try await link.send(CopyFrame.stored(0).serialized())
                // It holds the link and says nothing more.
                while !link.isClosed { try await Task.sleep(for: .milliseconds(5)) }
            } catch { Issue.record("\(error)") }
        }
        try await rig.listening(handler) { listener, order in
            var failure: CopyFailure?
            do { try await rig.sending().send(order) } catch let error as CopyFailure { failure = error }
            guard case .silent(let peer, let span, let extent) = failure else {
                Issue.record("\(String(describing: failure))")
                return
            }
            #expect(peer == order.target && span == .milliseconds(400))
            #expect(extent.chunks == 1 && extent.bytes > 1 << 20)
            try await eventually("the link ends there too") { held.withLock { $0?.isClosed ?? false } }
            try await eventually("nothing is held") { listener.counters.open == 0 }
        }
        await rig.close()
    }

    @Test("a receiver whose sender says nothing any more gives up, says who it was and how far it came, and keeps what it has")
    func silentSender() async throws {
        let rig = try await CopyRig()
        rig.targetHost.copySilence = .milliseconds(400)
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { listener, order in
            let link = try await LinkDialer(endpoint: try rig.endpoint(CopyRig.sender)).connect(
                to: order.targetAddress, expecting: order.target, conversation: .copy)
            let start = LogPoint(position: Position(epoch: Epoch(1), run: 1, sequence: 9), checksum: 9)
            let copy = CopyStart(
                partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage, start: start,
                advances: true)
            try await link.send(CopyFrame.begin(copy).serialized())
            let resume = try CopyFrame(bytes: try #require(try await link.receive()))
            #expect(resume == .resume(chunk: 0, after: nil))
            let row = Row(key: try rig.key(3), values: [.integer(3), .null])
            try await link.send(CopyFrame.chunk(0, try Frame.pack(RowBlock([row]).serialized())).serialized())
            #expect(try CopyFrame(bytes: try #require(try await link.receive())) == .stored(0))
            // It holds the link and says nothing more; the receiver ends it.
            #expect(try await link.receive() == nil)
            try await eventually("nothing is held") { listener.counters.open == 0 }
        }
        let said = rig.book.all.filter { $0.contains("did not arrive") }
        #expect(said.count == 1 && said.allSatisfy { $0.contains("n1 was silent for 400ms: 1 chunks were stored") }, "\(said)")
        #expect(try await rig.target.state(of: CopyRig.targetStorage)?.imported?.chunks == 1)
        await rig.close()
    }
}
