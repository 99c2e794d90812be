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
import Synchronization
import Transport

/// One watcher's stream.
struct ConfigurationWatch: Sendable {
    /// After so long without an event the stream says that it lives, and where it stands: whoever holds a dead connection finds out.
    static let silence = Duration.seconds(10)
    /// Entries of one page of the state.
    private static let pageEntries = 500

    let feed: TopologyFeed
    /// Of all watchers together.
    let events: ConfigurationEvents
    let keys: WatchedKeys
    /// Where the watcher stands; `.none` for one that knows nothing.
    let start: Revision
    /// When the credential ends with which the stream was asked for, and the stream with it.
    let expiry: WallTime?

    /// Writes events until the watcher leaves, its credential ends, or this process stops.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        let (bell, quiet) = (Doorbell(), Silence())
        let number = feed.add(bell)
        defer { feed.removeBell(number) }
        // One task for all the stream's silences, and not one for each of its waits: those are as many as watchers times commits.
        async let _: Void = quiet.run(ringing: bell, after: Self.silence)
        var revision = start
        // At once, so that the watcher sees that it is served although nothing changes.
        try await writer.write(ByteBuffer(string: ": \(keys.scope)\n\n"))
        while !Task.isShuttingDownGracefully, !Task.isCancelled, !hasExpired {
            switch feed.update(after: revision) {
            case .deltas(let deltas)?:
                revision = deltas.last?.to ?? revision
                guard let event = events.event(of: deltas, for: keys) else { continue }
                try await writer.write(event)
            case .snapshot(let topology)?:
                revision = topology.revision
                for page in pages(of: topology) { try await writer.write(ByteBuffer(string: page)) }
            case nil:
                guard quiet.isOver(Self.silence) else {
                    await bell.wait()
                    continue
                }
                // An id without data is no event, but the watcher remembers it.
                try await writer.write(ByteBuffer(string: revision > .none ? "id: \(revision)\n\n" : ":\n\n"))
            }
            quiet.begin()
        }
    }

    private var hasExpired: Bool { expiry.map { $0 <= BootClock.wallTime() } ?? false }

    private func pages(of topology: Topology) -> [String] {
        let entries = topology.configuration.values.filter { keys.contains($0.key, of: $0.scope) }.sorted { $0.key < $1.key }
        let starts = entries.isEmpty ? [0] : Array(stride(from: 0, to: entries.count, by: Self.pageEntries))
        return starts.map { start in
            let page = entries[start...].prefix(Self.pageEntries)
            let data = JSONNode.object(["begins": .boolean(start == 0), "entries": .array(page.map(Documents.entry))])
            let id = start == starts[starts.count - 1] ? "id: \(topology.revision)\n" : ""
            return "event: state\n\(id)data: \(data.text)\n\n"
        }
    }
}

/// How long a stream has said nothing.
private final class Silence: Sendable {
    private let since = Mutex(ContinuousClock.now)

    func begin() { since.withLock { $0 = .now } }
    func isOver(_ span: Duration) -> Bool { since.withLock { $0 } + span <= .now }

    /// Rings whenever there was silence for so long, and when the task is cancelled or is to end; until it is cancelled.
    func run(ringing bell: Doorbell, after span: Duration) async {
        await withTaskCancellationOrGracefulShutdownHandler {
            var due = ContinuousClock.now + span
            while true {
                do { try await Task.sleep(until: due, clock: .continuous) } catch { return }
                let isOver = isOver(span)
                if isOver { bell.ring() }
                due = isOver ? .now + span : since.withLock { $0 } + span
            }
        } onCancelOrGracefulShutdown: {
            bell.ring()
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
            feed: plane.feed, events: events, keys: WatchedKeys(scope: scope, prefix: call.query["prefix"] ?? ""), start: start,
            expiry: expiry)
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
