import CoordinatorServer
import Model
import Testing

@Suite struct TopologyFeedTests {
    private func revision(_ index: UInt64) -> Revision { Revision(history: 1, index: index) }

    /// Publishes the changes from `first` to `last`, each one node's removal.
    private func grow(_ feed: TopologyFeed, from first: UInt64, to last: UInt64) throws {
        for index in first..<last {
            let delta = TopologyDelta(
                from: revision(index), to: revision(index + 1), changes: [.nodeRemoved(try NodeID("n\(index)"))])
            feed.publish(delta, leadingTo: Topology(revision: revision(index + 1)))
        }
    }

    @Test("a watcher gets exactly the deltas that it lacks")
    func deltas() async throws {
        let feed = TopologyFeed(Topology(revision: revision(10)))
        try grow(feed, from: 10, to: 15)
        guard case .deltas(let deltas) = await feed.updates(after: revision(12)) else {
            Issue.record("expected deltas")
            return
        }
        #expect(deltas.map(\.to) == [revision(13), revision(14), revision(15)])
    }

    @Test("a watcher that stands before what is kept, or in another history, gets the whole")
    func snapshots() async throws {
        let feed = TopologyFeed(Topology(revision: revision(10)), retained: 2)
        try grow(feed, from: 10, to: 30)
        #expect(await feed.updates(after: revision(11)) == .snapshot(feed.topology))
        #expect(await feed.updates(after: Revision(history: 0, index: 29)) == .snapshot(feed.topology))
        #expect(await feed.updates(after: .none) == .snapshot(feed.topology))
    }

    @Test("a revision between two deltas, which no member ever had, gets the whole")
    func unknownRevision() async throws {
        let feed = TopologyFeed(Topology(revision: revision(10)))
        feed.publish(
            TopologyDelta(from: revision(10), to: revision(20), changes: []), leadingTo: Topology(revision: revision(20)))
        #expect(await feed.updates(after: revision(15)) == .snapshot(feed.topology))
    }

    @Test("a watcher at the newest revision, or ahead of this member, waits for the next")
    func waiting() async throws {
        let feed = TopologyFeed(Topology(revision: revision(10)))
        async let first = feed.updates(after: revision(10))
        async let ahead = feed.updates(after: revision(12))
        for index in 10..<13 as Range<UInt64> {
            try await Task.sleep(for: .milliseconds(5))
            try grow(feed, from: index, to: index + 1)
        }
        guard case .deltas(let one)? = await first, case .deltas(let two)? = await ahead else {
            Issue.record("expected deltas")
            return
        }
        #expect(one.first?.from == revision(10))
        #expect(two.map(\.to) == [revision(13)])
    }

    @Test("a cancelled watcher gets nil, and a reset gives the whole")
    func endings() async throws {
        let feed = TopologyFeed(Topology(revision: revision(10)))
        let watcher = Task { await feed.updates(after: revision(10)) }
        watcher.cancel()
        #expect(await watcher.value == nil)
        feed.reset(Topology(revision: revision(40)))
        #expect(await feed.updates(after: revision(10)) == .snapshot(feed.topology))
    }
}
