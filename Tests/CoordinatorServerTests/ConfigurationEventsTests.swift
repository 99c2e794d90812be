import CoordinatorServer
import Model
import NIOCore
import Testing

@Suite struct ConfigurationEventsTests {
    private let events = ConfigurationEvents()
    private let all = WatchedKeys(scope: .global, prefix: "")

    private func revision(_ index: UInt64) -> Revision { Revision(history: 1, index: index) }

    private func change(to index: UInt64, _ key: String) -> TopologyDelta {
        TopologyDelta(
            from: revision(index - 1), to: revision(index),
            changes: [.configuration(ConfigurationEntry(scope: .global, key: key, value: "1", version: index))])
    }

    private func place(_ buffer: ByteBuffer?) throws -> UnsafeRawPointer? {
        try #require(buffer).withUnsafeReadableBytes { $0.baseAddress }
    }

    @Test("all who stood at the same place are given the same bytes")
    func once() throws {
        let first = events.event(of: [change(to: 2, "app.a")], for: all)
        let second = events.event(of: [change(to: 2, "app.a")], for: all)
        #expect(try place(first) == place(second))
        #expect(first.map { String(buffer: $0).hasPrefix("event: change\nid: 1:2\n") } == true)
    }

    @Test("who stood elsewhere, or watches other keys, is told what concerns him")
    func others() throws {
        let deltas = [change(to: 2, "app.a"), change(to: 3, "app.b")]
        let both = events.event(of: deltas, for: all).map { String(buffer: $0) }
        #expect(both?.contains("id: 1:2") == true && both?.contains("id: 1:3") == true)
        let last = events.event(of: [deltas[1]], for: all).map { String(buffer: $0) }
        #expect(last?.contains("id: 1:2") == false && last?.contains("id: 1:3") == true)
        #expect(events.event(of: deltas, for: WatchedKeys(scope: .global, prefix: "app.c")) == nil)
        let one = events.event(of: deltas, for: WatchedKeys(scope: .global, prefix: "app.a")).map { String(buffer: $0) }
        #expect(one?.contains("app.a") == true && one?.contains("app.b") == false)
    }

    @Test("who is behind the newest changes is told the older ones, and takes nothing from those who are not")
    func behind() throws {
        let newest = events.event(of: [change(to: 9, "app.a")], for: all)
        let old = events.event(of: [change(to: 2, "app.a")], for: all).map { String(buffer: $0) }
        #expect(old?.contains("id: 1:2") == true)
        #expect(try place(events.event(of: [change(to: 9, "app.a")], for: all)) == place(newest))
    }
}
