import Glibc
package import Model

/// What the log has cost so far: counts for metrics, and the two instants by which a node notices a stalled disk (rule L3).
package struct SyncStatistics: Sendable {
    /// Upper bounds of the histogram's buckets, in seconds; one more bucket holds the rest.
    package static let bounds: [Double] = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
    ]

    package private(set) var syncs: UInt64 = 0
    package private(set) var records: UInt64 = 0
    package private(set) var bytes: UInt64 = 0
    package private(set) var seconds: Double = 0
    package private(set) var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
    /// When the last sync ended.
    package private(set) var lastCompleted: LogicalInstant?
    /// Since when the oldest record that is not durable yet has waited; nil when none does.
    package internal(set) var oldestPending: LogicalInstant?

    mutating func completed(records count: Int, bytes size: Int, from start: LogicalInstant, to end: LogicalInstant) {
        let took = (end - start).seconds
        syncs += 1
        records += UInt64(count)
        bytes += UInt64(size)
        seconds += took
        buckets[Self.bounds.firstIndex { took <= $0 } ?? Self.bounds.count] += 1
        lastCompleted = end
    }
}

/// The clock that counts suspend.
package enum MonotonicClock {
    package static var now: LogicalInstant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return LogicalInstant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
