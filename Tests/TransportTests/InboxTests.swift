import Testing

@testable import Transport

@Suite struct InboxTests {
    @Test("a frame that comes in while reading is held back does not make the inbox forget that it is")
    func staysPaused() async throws {
        let inbox = Inbox(highBytes: 1_000, lowBytes: 200)
        var taken = 1
        while inbox.put([UInt8](repeating: 1, count: 300)) { taken += 1 }
        // One read of the socket brings many frames: the rest of it comes after the inbox was found full, and after a frame was taken.
        #expect(try await inbox.take {}?.count == 300)
        #expect(!inbox.put([1]))
        var resumed = 0
        for _ in 0..<taken { _ = try await inbox.take { resumed += 1 } }
        #expect(resumed == 1)
        #expect(inbox.put([1]))
    }

    @Test("only the first end counts, and one that this side had begun is none by the peer")
    func whoEnded() {
        let (byPeer, bySilence, byUs) = (Inbox(), Inbox(), Inbox())
        byPeer.end(.closed, byPeer: true)
        bySilence.end(.closed)
        bySilence.end(.closed, byPeer: true)
        byUs.noteEndingHere()
        byUs.end(.closed, byPeer: true)
        #expect(byPeer.isEndedByPeer && !bySilence.isEndedByPeer && !byUs.isEndedByPeer)
    }
}

extension Inbox {
    fileprivate convenience init() { self.init(highBytes: 1_000, lowBytes: 200) }
}
