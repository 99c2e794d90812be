// The proof that the simulators see: every known bug, planted by itself, is noticed by a scenario, or within 1,000 seeds of a group, 200
// of a partition or 60 of a cluster. Scenarios come first, for they are quick.

struct Mutants {
    let jobs: Int
    /// Only bugs whose name holds this.
    let only: String?

    private static func seeds(_ subject: Subject) -> UInt64 {
        switch subject {
        case .group: 1_000
        case .partition: 200
        case .cluster: 60
        }
    }

    private struct Verdict {
        let bug: String
        /// The scenario, or whose seed.
        let noticedBy: String
        /// Nil: nothing noticed it.
        let violation: String?
        let took: Duration
    }

    func run() async throws -> Bool {
        let bugs = Bug.all.filter { bug in only.map { bug.description.contains($0) } ?? true }
        let width = bugs.map(\.description.count).max() ?? 0
        Chunk.say("\(pad("mutation", width))  \(pad("noticed by", 30))  seconds  broken promise")
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
                    let seconds = pad("\(next.took.components.seconds)", 7)
                    let promise = (next.violation ?? "none").prefix(120)
                    Chunk.say("\(pad(next.bug, width))  \(pad(next.noticedBy, 30))  \(seconds)  \(promise)")
                    told += 1
                }
            }
        }
        let caught = verdicts.count { $0?.violation != nil }
        Chunk.say("\(bugs.count) mutants, \(caught) noticed")
        return caught == bugs.count
    }

    private func hunt(_ planted: Bug) async throws -> Verdict {
        let (bug, start) = (planted.description, ContinuousClock.now)
        func verdict(_ noticedBy: String, _ violation: String?) -> Verdict {
            Verdict(bug: bug, noticedBy: noticedBy, violation: violation, took: start.duration(to: .now))
        }
        if let failure = try await Rehearsal.failure(with: bug) {
            return verdict("story '\(failure.scenario)'", failure.violation)
        }
        for subject in planted.subjects {
            let chunk = Chunk(subject: subject, seeds: 1...Self.seeds(subject), bug: bug, stopsAtFailure: true)
            if let failure = try await chunk.run().failures.first {
                return verdict("\(subject) seed \(failure.seed)", failure.violation)
            }
        }
        return verdict("nothing", nil)
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
