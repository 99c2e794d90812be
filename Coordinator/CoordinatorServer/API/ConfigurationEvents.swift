package import Model
package import NIOCore
import Synchronization

/// The keys that a watcher asked for.
package struct WatchedKeys: Hashable, Sendable {
    let scope: ConfigurationScope
    let prefix: String

    package init(scope: ConfigurationScope, prefix: String) {
        self.scope = scope
        self.prefix = prefix
    }

    func contains(_ key: String, of scope: ConfigurationScope) -> Bool { scope == self.scope && key.hasPrefix(prefix) }
}

/// Events that many watchers are told, made into bytes once: after a commit, all who watch the same keys and stood at the same place
/// are told the same.
///
/// Kept for the newest changes alone. Who is further behind has his events made for himself.
package final class ConfigurationEvents: Sendable {
    private struct Told: Sendable {
        let from: Revision
        /// Nil where nothing of the changes is watched.
        let event: ByteBuffer?
    }

    private struct Newest: Sendable {
        var to = Revision.none
        /// Of watchers that came and went too, up to the bound: the next change empties it.
        var told: [WatchedKeys: Told] = [:]
    }

    /// Events that are kept at once; whoever watches yet other keys has his made for himself.
    private static let mostTold = 1_024

    private let newest = Mutex(Newest())

    package init() {}

    /// What those who watch `keys` are told of `deltas`, consecutive; nil when they are about something else.
    package func event(of deltas: [TopologyDelta], for keys: WatchedKeys) -> ByteBuffer? {
        guard let from = deltas.first?.from, let to = deltas.last?.to else { return nil }
        let known = newest.withLock { $0.to == to ? $0.told[keys] : nil }
        if let known, known.from == from { return known.event }
        let text = deltas.compactMap { Self.event(of: $0, for: keys) }.joined()
        let event = text.isEmpty ? nil : ByteBuffer(string: text)
        newest.withLock { newest in
            if to > newest.to { newest = Newest(to: to) }
            // Most stand at the same place, and the first of them gets there first.
            if to == newest.to, newest.told[keys] == nil, newest.told.count < Self.mostTold {
                newest.told[keys] = Told(from: from, event: event)
            }
        }
        return event
    }

    private static func event(of delta: TopologyDelta, for keys: WatchedKeys) -> String? {
        var (set, removed): ([JSONNode], [JSONNode]) = ([], [])
        for change in delta.changes {
            switch change {
            case .configuration(let entry) where keys.contains(entry.key, of: entry.scope): set.append(Documents.entry(entry))
            case .configurationRemoved(let scope, let key) where keys.contains(key, of: scope): removed.append(.string(key))
            default: continue
            }
        }
        guard !set.isEmpty || !removed.isEmpty else { return nil }
        let data = JSONNode.object(["set": .array(set), "removed": .array(removed)])
        return "event: change\nid: \(delta.to)\ndata: \(data.text)\n\n"
    }
}
