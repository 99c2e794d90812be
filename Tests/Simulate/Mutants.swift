// The proof that the simulator sees: every known bug, planted by itself, is noticed within 1,000 seeds, or by a scenario.

import RaftSimulation
import SimulationKit

struct Mutants {
    let jobs: Int
    /// Only bugs whose name holds this.
    let only: String?

    private static let seeds: UInt64 = 1_000

    private struct Verdict {
        let bug: String
        /// Zero: a scenario noticed it.
        let seed: UInt64?
        let caughtBy: String
    }

    func run() async throws -> Bool {
        let bugs = PlantedBug.all.map(\.description).filter { bug in only.map { bug.contains($0) } ?? true }
        let width = bugs.map(\.count).max() ?? 0
        var caught = 0
        Chunk.say("\(pad("mutation", width))  seeds  caught by")
        try await withThrowingTaskGroup(of: Verdict.self) { group in
            var waiting = bugs[...]
            func add() {
                guard let bug = waiting.popFirst() else { return }
                group.addTask { try await hunt(bug) }
            }
            for _ in 0..<jobs { add() }
            while let verdict = try await group.next() {
                add()
                if verdict.seed != nil { caught += 1 }
                let seeds = verdict.seed.map { $0 == 0 ? "-" : String($0) } ?? ">\(Self.seeds)"
                Chunk.say("\(pad(verdict.bug, width))  \(pad(seeds, 5))  \(verdict.caughtBy.prefix(120))")
            }
        }
        Chunk.say("\(bugs.count) mutants, \(caught) caught")
        return caught == bugs.count
    }

    private func hunt(_ bug: String) async throws -> Verdict {
        if let planted = PlantedBug(bug) {
            do throws(Violation) { try Scenarios.run(RaftRun(seed: 1, bug: planted).options.settings) } catch {
                return Verdict(bug: bug, seed: 0, caughtBy: "scenario: \(error)")
            }
        }
        let outcome = try await Chunk(seeds: 1...Self.seeds, bug: bug, stopsAtFailure: true).run()
        let failure = outcome.failures.first
        return Verdict(bug: bug, seed: failure?.seed, caughtBy: failure?.violation ?? "nothing")
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
