import Model
import Movement
import Synchronization

/// Counts requests by partition, what they make per second, and where in the partition they crowd.
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
        var samples: [PartitionID: KeySample] = [:]
        var random = UInt64.random(in: 0 ... .max)

        mutating func sample(_ key: Key, of partition: PartitionID, at now: LogicalInstant) {
            // SplitMix64: any will do, and the system's own costs a call for each request.
            random &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (random ^ random >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            samples[partition, default: KeySample(at: now)].add(key, random: mixed ^ mixed >> 31, at: now)
        }
    }

    private let state: Mutex<State>

    init(at now: LogicalInstant) { state = Mutex(State(since: now)) }

    func countWrite(_ partition: PartitionID, at key: Key, _ now: LogicalInstant) {
        state.withLock { state in
            state.counts[partition, default: Counts()].writes += 1
            state.sample(key, of: partition, at: now)
        }
    }

    func countRead(_ partition: PartitionID, at key: Key, _ now: LogicalInstant) {
        state.withLock { state in
            state.counts[partition, default: Counts()].reads += 1
            state.sample(key, of: partition, at: now)
        }
    }

    /// A key that halves what was asked for lately; nil when none does.
    func middleKey(of range: KeyRange, in partition: PartitionID, at now: LogicalInstant) -> Key? {
        // Sorting is not done under the lock that every request takes.
        let sample = state.withLock { $0.samples[partition] }
        return sample?.middle(of: range, at: now)
    }

    /// The rates of the last full window, a new one starting every two seconds.
    func rates(at now: LogicalInstant) -> [PartitionID: Rates] {
        state.withLock { state in
            let span = now - state.since
            if span >= .seconds(2) {
                state.rates = state.counts.mapValues {
                    Rates(reads: Double($0.reads) / span.seconds, writes: Double($0.writes) / span.seconds)
                }
                // Nobody splits what is quiet.
                state.samples = state.samples.filter { state.rates[$0.key] != nil }
                state.counts = [:]
                state.since = now
            }
            return state.rates
        }
    }
}
