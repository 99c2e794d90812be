// The proof that the simulator sees: every known bug, planted by itself, is noticed by a scenario, or within 1,000 seeds of a group or
// 200 of a cluster. Scenarios come first, for they are quick.

struct Mutants {
    let jobs: Int
    /// Only bugs whose name holds this.
    let only: String?

    private static func seeds(_ subject: Subject) -> UInt64 { subject == .group ? 1_000 : 200 }

    private struct Verdict {
        let bug: String
        /// Which of the seeds was the first to notice it, or that none had to.
        let seeds: String
        /// Nil: nothing noticed it.
        let caughtBy: String?
    }

    func run() async throws -> Bool {
        let bugs = Bug.all.filter { bug in only.map { bug.description.contains($0) } ?? true }
        let width = bugs.map(\.description.count).max() ?? 0
        Chunk.say("\(pad("mutation", width))  seeds  caught by")
        // Told in the order in which they are named, whichever was noticed first.
        var verdicts: [Verdict?] = Array(repeating: nil, count: bugs.count)
        var told = 0
        try await withThrowingTaskGroup(of: (Int, Verdict).self) { group in
            var waiting = bugs.indices
            func add() {
                guard let at = waiting.popFirst() else { return }
                group.addTask { (at, try await hunt(bugs[at])) }
            }
            for _ in 0..<jobs { add() }
            while let (at, verdict) = try await group.next() {
                add()
                verdicts[at] = verdict
                while told < verdicts.count, let next = verdicts[told] {
                    Chunk.say("\(pad(next.bug, width))  \(pad(next.seeds, 5))  \((next.caughtBy ?? "nothing").prefix(120))")
                    told += 1
                }
            }
        }
        let caught = verdicts.count { $0?.caughtBy != nil }
        Chunk.say("\(bugs.count) mutants, \(caught) caught")
        return caught == bugs.count
    }

    private func hunt(_ planted: Bug) async throws -> Verdict {
        let (subject, bug) = (planted.subject, planted.description)
        if subject == .group, let failure = try await Rehearsal.failure(with: bug) {
            return Verdict(bug: bug, seeds: "-", caughtBy: "scenario '\(failure.scenario)': \(failure.violation)")
        }
        let seeds = Self.seeds(subject)
        let outcome = try await Chunk(subject: subject, seeds: 1...seeds, bug: bug, stopsAtFailure: true).run()
        guard let failure = outcome.failures.first else { return Verdict(bug: bug, seeds: ">\(seeds)", caughtBy: nil) }
        return Verdict(bug: bug, seeds: String(failure.seed), caughtBy: failure.violation)
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
