// One time series each: a number that is safe to change from any thread, and to read while it changes.

import CoreMetrics
import Synchronization

/// A count that only grows.
package final class CounterSeries: CounterHandler, FloatingPointCounterHandler {
    private let value = Mutex(0.0)

    package init() {}

    package var current: Double { value.withLock { $0 } }
    package func increment(by amount: Int64) { increment(by: Double(amount)) }

    package func increment(by amount: Double) {
        // A counter that goes back, or that is no number, would read as a restart of the process.
        guard amount > 0, amount.isFinite else { return }
        value.withLock { $0 += amount }
    }

    package func reset() { value.withLock { $0 = 0 } }
}

/// A number that goes up and down.
package final class GaugeSeries: MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    package init() {}

    package var current: Double { value.withLock { $0 } }
    package func set(_ number: Int64) { set(Double(number)) }
    package func set(_ number: Double) { value.withLock { $0 = number } }
    package func increment(by amount: Double) { value.withLock { $0 += amount } }
    package func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    package func record(_ number: Int64) { set(Double(number)) }
    package func record(_ number: Double) { set(number) }
}

/// Counts of observations at or below each bound, with their sum.
package final class HistogramSeries: RecorderHandler, TimerHandler {
    package struct Reading: Hashable, Sendable {
        /// Cumulative, one for each bound, then one for all.
        package var counts: [UInt64]
        package var sum: Double
    }

    /// Rising upper bounds.
    package let bounds: [Double]
    private let reading: Mutex<Reading>

    package init(bounds: [Double]) {
        self.bounds = bounds
        reading = Mutex(Reading(counts: [UInt64](repeating: 0, count: bounds.count + 1), sum: 0))
    }

    package var current: Reading { reading.withLock { $0 } }
    package func record(_ value: Int64) { record(Double(value)) }
    /// Timers are told in nanoseconds and shown in seconds, the base unit.
    package func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    package func record(_ value: Double) {
        guard value.isFinite else { return }
        let first = bounds.firstIndex { value <= $0 } ?? bounds.count
        reading.withLock {
            for index in first..<$0.counts.count { $0.counts[index] += 1 }
            $0.sum += value
        }
    }
}
