// Many seeds: first those that every run tries, then fresh ones, which nobody has tried before.

import Model
import RaftSimulation

struct Campaign {
    private let options: Options
    private let start = ContinuousClock.now
    private let fresh = UInt64.random(in: 1_000_000...(1 << 40))
    /// Seeds of one process: a cluster's takes longer than a group's.
    private static func chunkSeeds(_ subject: Subject) -> UInt64 { subject == .group ? 25 : 4 }

    init(_ options: Options) { self.options = options }

    fileprivate struct Tally {
        var seeds = 0
        var simulated = 0.0
        var committed = 0
        /// Seeds whose calls the checker of linearizability gave up.
        var undecided: [UInt64] = []
        var failures: [(seed: UInt64, violation: String)] = []
    }

    /// What came of it, and the code that says so.
    enum Verdict: Int32 {
        case holds = 0
        case breaks = 1
        /// Nothing was found broken, but the calls of some fresh seed were not judged.
        case isOpen = 3
    }

    /// First the fixed seeds of the one, then of the other; then fresh ones of both by turns.
    func run() async throws -> Verdict {
        var tallies = Dictionary(uniqueKeysWithValues: Subject.campaign.map { ($0, Tally()) })
        try await withThrowingTaskGroup(of: (Subject, Chunk.Outcome).self) { group in
            var next = Dictionary(uniqueKeysWithValues: Subject.campaign.map { ($0, UInt64(0)) })
            var turn = Subject.group
            func add() {
                guard let (subject, seeds) = chunk(next, &turn) else { return }
                next[subject, default: 0] += UInt64(seeds.count)
                group.addTask { (subject, try await Chunk(subject: subject, seeds: seeds).run()) }
            }
            for _ in 0..<options.jobs { add() }
            while let (subject, outcome) = try await group.next() {
                tallies[subject]?.add(outcome)
                for (seed, what) in outcome.flaws { Chunk.say("✘ \(subject) seed \(seed): \(what)") }
                if tallies.values.reduce(0, { $0 + $1.failures.count }) < 20 { add() }
            }
        }
        var (holds, isJudged) = (true, true)
        for subject in Subject.campaign {
            guard let tally = tallies[subject] else { continue }
            report(tally, subject)
            // The fixed ones are known to be judged, every call of them.
            holds = holds && tally.failures.isEmpty && !tally.undecided.contains { $0 <= fixed(subject) }
            isJudged = isJudged && tally.undecided.isEmpty
        }
        for subject in Subject.campaign {
            if let first = tallies[subject]?.failures.first { try Chunk.explain(subject, first.seed) }
        }
        guard holds else { return .breaks }
        return isJudged ? .holds : .isOpen
    }

    private func fixed(_ subject: Subject) -> UInt64 { subject == .group ? options.seeds : options.clusters }

    /// The seeds that come next; nil when it is time to end.
    private func chunk(_ next: [Subject: UInt64], _ turn: inout Subject) -> (Subject, ClosedRange<UInt64>)? {
        for subject in Subject.campaign {
            let index = next[subject] ?? 0
            guard index < fixed(subject) else { continue }
            return (subject, index + 1...min(index + Self.chunkSeeds(subject), fixed(subject)))
        }
        guard start.duration(to: .now) < .seconds(options.seconds) else { return nil }
        turn = turn == .group ? .cluster : .group
        let first = fresh + (next[turn] ?? 0)
        return (turn, first...first + Self.chunkSeeds(turn) - 1)
    }

    private func report(_ tally: Tally, _ subject: Subject) {
        let took = start.duration(to: .now)
        let seconds = max(Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18, 0.001)
        let hours = (tally.simulated / 36).rounded() / 100
        let rate = (Double(tally.seeds) / seconds * 10).rounded() / 10
        Chunk.say(
            "\(subject)s: \(tally.seeds) seeds, \(hours) simulated hours, \(tally.committed) entries committed, "
                + "\(tally.failures.count) failed; "
                + "\(rate) seeds and \(Int(tally.simulated / seconds)) simulated seconds a second")
        let open = tally.undecided.sorted().map(String.init).joined(separator: ", ")
        Chunk.say("linearizability undecided in \(tally.undecided.count) seeds" + (open.isEmpty ? "" : ": \(open)"))
        for failure in tally.failures { Chunk.say("  \(subject.command(for: failure.seed))   \(failure.violation)") }
    }
}

extension Campaign.Tally {
    fileprivate mutating func add(_ outcome: Chunk.Outcome) {
        seeds += outcome.summaries.count + outcome.failures.count + outcome.untold.count
        simulated += outcome.summaries.reduce(0) { $0 + $1.simulated }
        committed += outcome.summaries.reduce(0) { $0 + $1.committed }
        undecided += outcome.summaries.filter { $0.undecided > 0 }.map(\.seed)
        failures += outcome.flaws
    }
}
