package import Model

/// A few of the keys that were asked for lately, each with the same chance: where they crowd, there is the load.
///
/// Two spans of time, one after the other: the one that has just begun says little by itself, and one that goes on for ever would tell of
/// what was hot an hour ago.
package struct KeySample: Hashable, Sendable {
    /// Kept of each span. With so many a half is told from two fifths nine times out of ten.
    package static let capacity = 128
    /// Fewer than these say nothing.
    private static let least = 32
    /// Of one span alone fewer than these say nothing.
    private static let leastOfWindow = 16

    private struct Window: Hashable, Sendable {
        var keys: [Key] = []
        var seen: UInt64 = 0
    }

    private let span: Span
    private var since: LogicalInstant
    private var current = Window()
    private var previous = Window()

    /// - Precondition: `span` is above zero.
    /// - Parameter span: after which a new sample is begun; the one before it counts until then.
    package init(span: Span = .seconds(10), at now: LogicalInstant) {
        precondition(span > .zero, "a sample of \(span) has no keys")
        self.span = span
        since = now
    }

    /// - Parameter random: any number, each as likely as the next.
    package mutating func add(_ key: Key, random: UInt64, at now: LogicalInstant) {
        turn(at: now)
        current.seen += 1
        guard current.keys.count >= Self.capacity else { return current.keys.append(key) }
        // The place that it would take among all that were seen.
        let place = random % current.seen
        if place < UInt64(Self.capacity) { current.keys[Int(place)] = key }
    }

    /// The key that halves the load best, strictly inside of `range`; nil when none does: too few were seen, one key alone makes half
    /// of it, or less than a tenth would come to one side, in either span.
    package func middle(of range: KeyRange, at now: LogicalInstant) -> Key? {
        var turned = self
        turned.turn(at: now)
        let windows = [turned.previous, turned.current].map { $0.keys.filter { range.contains($0) } }
            .filter { $0.count >= Self.leastOfWindow }
        let keys = (turned.previous.keys + turned.current.keys).filter { range.contains($0) }.sorted()
        guard keys.count >= Self.least else { return nil }
        var best: (key: Key, distance: Int)?
        var start = 0
        while start < keys.count {
            var end = start
            while end < keys.count, keys[end] == keys[start] { end += 1 }
            // Wherever that one goes, its load goes with it.
            guard 2 * (end - start) <= keys.count else { return nil }
            let distance = abs(keys.count - 2 * start)
            // In each span by itself: where the load wanders, as with keys that grow, all of it is soon on one side.
            let isFair =
                10 * min(start, keys.count - start) >= keys.count
                && windows.allSatisfy { window in
                    let below = window.count { $0 < keys[start] }
                    return 10 * min(below, window.count - below) >= window.count
                }
            if isFair, range.low < keys[start], distance < best?.distance ?? .max { best = (keys[start], distance) }
            start = end
        }
        return best?.key
    }

    private mutating func turn(at now: LogicalInstant) {
        let spans = (now - since).microseconds / span.microseconds
        guard spans > 0 else { return }
        previous = spans > 1 ? Window() : current
        current = Window()
        since = since + span * spans
    }
}
