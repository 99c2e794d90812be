import Model
import Synchronization

/// Counts requests by partition, and what they make per second.
final class LoadMeter: Sendable {
    struct Rates: Hashable, Sendable {
        var reads = 0.0
        var writes = 0.0
    }

    private struct Counts {
        var reads: UInt64 = 0
        var writes: UInt64 = 0
    }

    private struct State {
        var since: LogicalInstant
        var counts: [PartitionID: Counts] = [:]
        var rates: [PartitionID: Rates] = [:]
    }

    private let state: Mutex<State>

    init(at now: LogicalInstant) { state = Mutex(State(since: now)) }

    func countWrite(_ partition: PartitionID) { state.withLock { $0.counts[partition, default: Counts()].writes += 1 } }
    func countRead(_ partition: PartitionID) { state.withLock { $0.counts[partition, default: Counts()].reads += 1 } }

    /// The rates of the last full window, a new one starting every two seconds.
    func rates(at now: LogicalInstant) -> [PartitionID: Rates] {
        state.withLock { state in
            let span = now - state.since
            if span >= .seconds(2) {
                state.rates = state.counts.mapValues {
                    Rates(reads: Double($0.reads) / span.seconds, writes: Double($0.writes) / span.seconds)
                }
                state.counts = [:]
                state.since = now
            }
            return state.rates
        }
    }
}
