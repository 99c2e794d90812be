// The proof that the simulators see: every known bug, planted by itself, is noticed by a scenario, or within 1,000 seeds of a group, 200
// of a partition or 60 of a cluster. Scenarios come first, for they are quick.

import ClusterSimulation
import Model

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

    /// One bug, and what has to notice it.
    private struct Hunt {
        let bug: Bug
        /// The operations at whose steps everybody dies; none: stories, then seeds.
        var operations: [CrashOperation] = []

        var name: String { operations.isEmpty ? bug.description : "\(bug) (matrix)" }
    }

    private struct Verdict {
        let name: String
        /// The scenario, or whose seed, or which cell.
        let noticedBy: String
        let what: String
        let isNoticed: Bool
        let took: Duration
    }

    /// The bounds on fences and pauses are looked at in the matrix alone: it has to notice bugs by itself too. A missing record of what is to
    /// be cleaned is none that it could see: what no descriptor places on a node goes by the node's own inventory as well.
    private static let crashes: [(RuleMutant, [CrashOperation])] = [
        (.neverAborts, [.movePrimary]), (.forgetsFence, [.movePrimary, .split]),
    ]

    private var hunts: [Hunt] {
        var hunts = Bug.all.map { Hunt(bug: $0) }
        for (mutant, operations) in Self.crashes {
            let bug = Bug.cluster(.rule(mutant))
            if Bug.all.contains(bug) { hunts.append(Hunt(bug: bug, operations: operations)) }
        }
        return hunts.filter { hunt in only.map { hunt.name.contains($0) } ?? true }
    }

    func run() async throws -> Bool {
        let hunts = hunts
        let width = hunts.map(\.name.count).max() ?? 0
        Chunk.say("\(pad("mutation", width))  \(pad("noticed by", 30))  seconds  broken promise")
        // Told in the order in which they are named, whichever was noticed first.
        var verdicts: [Verdict?] = Array(repeating: nil, count: hunts.count)
        var told = 0
        try await withThrowingTaskGroup(of: (Int, Verdict).self) { group in
            var waiting = hunts.indices
            func add() {
                guard let at = waiting.popFirst() else { return }
                group.addTask { (at, try await verdict(on: hunts[at])) }
            }
            for _ in 0..<jobs { add() }
            while let (at, verdict) = try await group.next() {
                add()
                verdicts[at] = verdict
                while told < verdicts.count, let next = verdicts[told] {
                    let seconds = pad("\(next.took.components.seconds)", 7)
                    Chunk.say("\(pad(next.name, width))  \(pad(next.noticedBy, 30))  \(seconds)  \(next.what.prefix(120))")
                    told += 1
                }
            }
        }
        let caught = verdicts.count { $0?.isNoticed ?? false }
        Chunk.say("\(hunts.count) mutants, \(caught) noticed")
        return caught == hunts.count
    }

    private func verdict(on hunt: Hunt) async throws -> Verdict {
        let start = ContinuousClock.now
        func verdict(_ noticedBy: String, _ what: String, isNoticed: Bool) -> Verdict {
            Verdict(
                name: hunt.name, noticedBy: noticedBy, what: what, isNoticed: isNoticed, took: start.duration(to: .now))
        }
        do {
            let found = try await find(hunt)
            return verdict(found?.by ?? "nothing", found?.violation ?? "none", isNoticed: found != nil)
        } catch let error as Chunk.Untold {
            return verdict("nobody knows", error.description, isNoticed: false)
        }
    }

    private func find(_ hunt: Hunt) async throws -> (by: String, violation: String)? {
        let name = hunt.bug.description
        for operation in hunt.operations {
            if let failure = try await Crashes.failure(of: operation, with: name) { return (failure.cell, failure.violation) }
        }
        guard hunt.operations.isEmpty else { return nil }
        if let failure = try await Rehearsal.failure(with: name) { return ("story '\(failure.scenario)'", failure.violation) }
        for subject in hunt.bug.subjects {
            let chunk = Chunk(subject: subject, seeds: 1...Self.seeds(subject), bug: name, stopsAtFailure: true)
            let outcome = try await chunk.run()
            if let failure = outcome.failures.first { return ("\(subject) seed \(failure.seed)", failure.violation) }
            if let (seed, reason) = outcome.untold.first {
                throw Chunk.Untold(description: "\(subject) seed \(seed): \(reason)")
            }
        }
        return nil
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
