// Configuration entries told as they change, as server-sent events: the form that browsers and HTTP libraries read by themselves.
//
//   event: state     All entries that there are, in pages; the first page says `"begins":true`, and whoever gets it forgets what he
//                    knew. The last page has an id.
//   event: change    What one commit set and removed. Its id is the revision that it leads to.
//
// Whoever comes back with the last id (`Last-Event-ID`, or `after`) goes on with the next change: none is lost, none comes twice. If
// the changes since then are not kept any more, or belong to another history, the state comes again instead. What is told is what this
// member has applied; every member tells the same, in the same order.

import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import ServiceLifecycle
import Transport

/// One watcher's stream.
struct ConfigurationWatch: Sendable {
    /// After so long without an event the stream says that it lives, and where it stands: whoever holds a dead connection finds out.
    static let silence = Duration.seconds(10)
    /// Entries of one page of the state.
    private static let pageEntries = 500

    let feed: TopologyFeed
    let scope: ConfigurationScope
    /// Of the entries' keys.
    let prefix: String
    /// Where the watcher stands; `.none` for one that knows nothing.
    let start: Revision
    /// When the credential ends with which the stream was asked for, and the stream with it.
    let expiry: WallTime?

    /// Writes events until the watcher leaves, its credential ends, or this process stops.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        var revision = start
        // At once, so that the watcher sees that it is served although nothing changes.
        try await writer.write(ByteBuffer(string: ": \(scope)\n\n"))
        while !Task.isShuttingDownGracefully, !hasExpired {
            switch await next(after: revision) {
            case .deltas(let deltas)?:
                revision = deltas.last?.to ?? revision
                let events = deltas.compactMap(event).joined()
                if !events.isEmpty { try await writer.write(ByteBuffer(string: events)) }
            case .snapshot(let topology)?:
                revision = topology.revision
                for page in pages(of: topology) { try await writer.write(ByteBuffer(string: page)) }
            case nil:
                guard !Task.isCancelled else { return }
                // An id without data is no event, but the watcher remembers it.
                try await writer.write(ByteBuffer(string: revision > .none ? "id: \(revision)\n\n" : ":\n\n"))
            }
        }
    }

    /// Nil after the time of silence, or when the stream is to end.
    private func next(after revision: Revision) async -> TopologyFeed.Update? {
        // Most updates are there already when the last one is written.
        if let update = feed.update(after: revision) { return update }
        return await withTaskGroup(of: TopologyFeed.Update?.self) { group in
            group.addTask { await feed.updates(after: revision) }
            group.addTask {
                await cancelWhenGracefulShutdown { try? await Task.sleep(for: Self.silence) }
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private var hasExpired: Bool { expiry.map { $0 <= BootClock.wallTime() } ?? false }

    private func isWatched(_ scope: ConfigurationScope, _ key: String) -> Bool { scope == self.scope && key.hasPrefix(prefix) }

    /// Nil when the delta is about something else.
    private func event(of delta: TopologyDelta) -> String? {
        var (set, removed): ([JSONNode], [JSONNode]) = ([], [])
        for change in delta.changes {
            switch change {
            case .configuration(let entry) where isWatched(entry.scope, entry.key): set.append(Documents.entry(entry))
            case .configurationRemoved(let scope, let key) where isWatched(scope, key): removed.append(.string(key))
            default: continue
            }
        }
        guard !set.isEmpty || !removed.isEmpty else { return nil }
        let data = JSONNode.object(["set": .array(set), "removed": .array(removed)])
        return "event: change\nid: \(delta.to)\ndata: \(data.text)\n\n"
    }

    private func pages(of topology: Topology) -> [String] {
        let entries = topology.configuration.values.filter { isWatched($0.scope, $0.key) }.sorted { $0.key < $1.key }
        let starts = entries.isEmpty ? [0] : Array(stride(from: 0, to: entries.count, by: Self.pageEntries))
        return starts.map { start in
            let page = entries[start...].prefix(Self.pageEntries)
            let data = JSONNode.object(["begins": .boolean(start == 0), "entries": .array(page.map(Documents.entry))])
            let id = start == starts[starts.count - 1] ? "id: \(topology.revision)\n" : ""
            return "event: state\n\(id)data: \(data.text)\n\n"
        }
    }
}

extension Handlers {
    /// A scope's entries as a stream of events.
    func watchConfiguration(_ call: Call, _ scope: ConfigurationScope) throws(Problem) -> Response {
        let place = call.query["after"] ?? HTTPField.Name("Last-Event-ID").flatMap { call.headers[$0] }
        var start = Revision.none
        if let place {
            guard let known = Revision(place) else { throw .invalid("after", "expected an event's id, like 1:4711") }
            start = known
        }
        var expiry: WallTime?
        if case .token(let seconds)? = call.caller?.credential { expiry = WallTime(milliseconds: seconds * 1_000) }
        let watch = ConfigurationWatch(
            feed: plane.feed, scope: scope, prefix: call.query["prefix"] ?? "", start: start, expiry: expiry)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await watch.write(to: &writer)
                try await writer.finish(nil)
            })
    }
}

extension Revision {
    /// As `description` writes it; nil for any other text.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let history = UInt64(parts[0]), let index = UInt64(parts[1]) else { return nil }
        self.init(history: history, index: index)
        guard description == text else { return nil }
    }
}
