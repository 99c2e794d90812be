// What has happened: a digest of all of it, and, when asked for, the last lines for people.

package import Model

package struct SimulationTrace: Sendable {
    /// The same for the same seed in every process.
    package private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    package private(set) var events: UInt64 = 0
    /// How many lines are kept; none makes a run faster.
    package let capacity: Int
    private var ring: [String] = []
    private var next = 0

    package init(capacity: Int) { self.capacity = capacity }

    package mutating func note(
        _ at: LogicalInstant, _ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0, _ line: @autoclosure () -> String
    ) {
        events += 1
        mix(UInt64(bitPattern: at.microseconds))
        mix(a << 32 ^ b)
        mix(c)
        guard capacity > 0 else { return }
        let text = "\(events) \(at) \(line())"
        if ring.count < capacity { ring.append(text) } else { ring[next] = text }
        next = (next + 1) % capacity
    }

    private mutating func mix(_ value: UInt64) {
        digest = (digest ^ value) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 29
    }

    /// Oldest first.
    package var lines: [String] { ring.count < capacity ? ring : Array(ring[next...] + ring[..<next]) }
}
