// Many seeds: first those that every run tries, then fresh ones, which nobody has tried before.

import Model
import RaftSimulation

struct Campaign {
    private let options: Options
    private let start = ContinuousClock.now
    private let fresh = UInt64.random(in: 1_000_000...(1 << 40))
    private static let chunkSeeds: UInt64 = 25

    init(_ options: Options) { self.options = options }

    private struct Tally {
        var seeds = 0
        var simulated = 0.0
        var committed = 0
        /// Seeds whose calls the checker of linearizability gave up.
        var undecided: [UInt64] = []
        var failures: [(seed: UInt64, violation: String)] = []
    }

    func run() async throws -> Bool {
        var tally = Tally()
        try await withThrowingTaskGroup(of: Chunk.Outcome.self) { group in
            var next: UInt64 = 0
            func add() {
                guard let seeds = chunk(next) else { return }
                next += UInt64(seeds.count)
                group.addTask { try await Chunk(seeds: seeds).run() }
            }
            for _ in 0..<options.jobs { add() }
            while let outcome = try await group.next() {
                tally.seeds += outcome.summaries.count + outcome.failures.count
                tally.simulated += outcome.summaries.reduce(0) { $0 + $1.simulated }
                tally.committed += outcome.summaries.reduce(0) { $0 + $1.committed }
                tally.undecided += outcome.summaries.filter { $0.undecided > 0 }.map(\.seed)
                for failure in outcome.failures { Chunk.say("✘ seed \(failure.seed): \(failure.violation)") }
                tally.failures += outcome.failures
                if tally.failures.count < 20 { add() }
            }
        }
        report(tally)
        if let first = tally.failures.first { try Chunk.explain(first.seed) }
        // Of fresh seeds an open verdict is only told; the fixed ones are known to be judged, every call of them.
        return tally.failures.isEmpty && !tally.undecided.contains { $0 <= options.seeds }
    }

    /// The seeds that come as number `index` and after it; nil when it is time to end.
    private func chunk(_ index: UInt64) -> ClosedRange<UInt64>? {
        if index < options.seeds { return index + 1...min(index + Self.chunkSeeds, options.seeds) }
        guard start.duration(to: .now) < .seconds(options.seconds) else { return nil }
        let first = fresh + index
        return first...first + Self.chunkSeeds - 1
    }

    private func report(_ tally: Tally) {
        let took = start.duration(to: .now)
        let seconds = max(Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18, 0.001)
        let hours = (tally.simulated / 36).rounded() / 100
        let rate = (Double(tally.seeds) / seconds * 10).rounded() / 10
        Chunk.say(
            "\(tally.seeds) seeds, \(hours) simulated hours, \(tally.committed) entries committed, \(tally.failures.count) failed; "
                + "\(rate) seeds and \(Int(tally.simulated / seconds)) simulated seconds a second")
        let open = tally.undecided.sorted().map(String.init).joined(separator: ", ")
        Chunk.say("linearizability undecided in \(tally.undecided.count) seeds" + (open.isEmpty ? "" : ": \(open)"))
        for failure in tally.failures { Chunk.say("  make sim SEED=\(failure.seed)   \(failure.violation)") }
    }
}
