// A few seeds in a process of their own: a seed that traps ends that process, and is told like any other failure.

import ClusterSimulation
import Foundation
import Model
import RaftSimulation
import ReplicationSimulation
import SimulationKit

struct Chunk: Sendable {
    var subject = Subject.group
    let seeds: ClosedRange<UInt64>
    var bug: String?
    /// Ends with the first failure.
    var stopsAtFailure = false

    struct Outcome: Sendable {
        var summaries: [Line] = []
        var failures: [(seed: UInt64, violation: String)] = []
        /// Seeds of which nobody can say what came of them, since the process that played them has ended otherwise; and how it has.
        var untold: [(seed: UInt64, reason: String)] = []

        var flaws: [(seed: UInt64, violation: String)] { failures + untold.map { ($0.seed, $0.reason) } }
    }

    /// How a process of their own has ended.
    enum Ending: Hashable, Sendable, CustomStringConvertible {
        case exited(Int32)
        /// By an instruction that Swift puts where something must hold.
        case trapped
        /// By any other signal: one that says that memory has run out, say.
        case killed(Int32)

        var description: String {
            switch self {
            case .exited(let code): "it ended with \(code)"
            case .trapped: "it trapped"
            case .killed(let signal): "signal \(signal) ended it"
            }
        }
    }

    /// A process of their own did not do what it is for.
    struct Untold: Error, CustomStringConvertible {
        let description: String
    }

    struct Line: Sendable {
        let seed: UInt64
        let simulated: Double
        /// Entries of a group, acknowledged writes of a cluster, or calls on a partition.
        let committed: Int
        /// Registers of which the checker could not say whether an order explains the answers.
        let undecided: Int
    }

    // MARK: - In the process of its own

    /// Prints a line when a seed begins and one when it ends.
    static func work(_ subject: Subject, _ seeds: ClosedRange<UInt64>, bug: Bug?, stopsAtFailure: Bool) {
        for seed in seeds {
            say("begins \(seed)")
            switch result(of: seed, subject, bug) {
            case .success(let line): say("holds \(line.simulated) \(line.committed) \(line.undecided)")
            case .failure(let failure):
                say("breaks \(failure.violation.replacing("\n", with: " "))")
                if stopsAtFailure { return }
            }
        }
    }

    private static func result(of seed: UInt64, _ subject: Subject, _ bug: Bug?) -> Result<Line, RunFailure> {
        switch subject {
        case .group:
            var planted: PlantedBug?
            if case .group(let bug)? = bug { planted = bug }
            return RaftRun(seed: seed, bug: planted).run().map {
                Line(seed: seed, simulated: $0.simulated.seconds, committed: $0.committed, undecided: $0.undecided)
            }
        case .cluster:
            var planted: ClusterBug?
            if case .cluster(let bug)? = bug { planted = bug }
            return ClusterRun(seed: seed, bug: planted).run().map {
                Line(seed: seed, simulated: $0.simulated.seconds, committed: $0.acknowledged, undecided: $0.undecided)
            }
        case .partition:
            var mutant: RuleMutant?
            if case .cluster(let bug)? = bug { mutant = bug.rule }
            do {
                let history = try ReplicaHistory(seed: seed, mutant: mutant)
                guard let first = history.found.first else {
                    return .success(Line(seed: seed, simulated: 0, committed: history.calls, undecided: 0))
                }
                return .failure(RunFailure(seed: seed, at: .origin, step: 0, violation: first, faults: []))
            } catch {
                return .failure(RunFailure(seed: seed, at: .origin, step: 0, violation: "\(error)", faults: []))
            }
        }
    }

    /// At once, into a pipe too: the process may trap, and whoever looks on wants to see it go on.
    static func say(_ line: String) { try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8)) }

    // MARK: - Outside

    static let trap = "trap: a precondition of the core, or of the model, did not hold"

    /// Runs the seeds, beginning anew behind one that trapped.
    func run() async throws -> Outcome {
        var outcome = Outcome()
        var first = seeds.lowerBound
        while first <= seeds.upperBound {
            let (output, ending) = try await child(from: first)
            let told = outcome.summaries.count + outcome.failures.count
            var current = first
            for line in output.split(separator: "\n") {
                let words = line.split(separator: " ", maxSplits: 1)
                switch words.first {
                case "begins": current = words.last.flatMap { UInt64($0) } ?? current
                case "holds":
                    let numbers = words[1].split(separator: " ").map { Double($0) ?? 0 }
                    outcome.summaries.append(
                        Line(
                            seed: current, simulated: numbers[0], committed: Int(numbers[1]), undecided: Int(numbers[2])))
                case "breaks": outcome.failures.append((current, String(words.last ?? "")))
                default: break
                }
            }
            let next = first + UInt64(outcome.summaries.count + outcome.failures.count - told)
            if next > seeds.upperBound || stopsAtFailure && !outcome.failures.isEmpty { break }
            switch ending {
            case .trapped: outcome.failures.append((next, Self.trap))
            case .exited, .killed: outcome.untold.append((next, "nothing is known of it, for \(ending)"))
            }
            if stopsAtFailure { break }
            first = next + 1
        }
        return outcome
    }

    /// Replays one seed in a process of its own, which tells people all about it.
    static func explain(_ subject: Subject, _ seed: UInt64) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["--seed", "\(seed)"] + subject.arguments
        try process.run()
        process.waitUntilExit()
    }

    private func child(from first: UInt64) async throws -> (output: String, ending: Ending) {
        var arguments = ["--chunk", "\(first)", "\(seeds.upperBound)"] + subject.arguments
        if stopsAtFailure { arguments.append("--stops") }
        return try await Self.child(arguments, bug: bug)
    }

    /// What this program says in a process of its own, and how that ends.
    static func child(_ arguments: [String], bug: String?) async throws -> (output: String, ending: Ending) {
        let process = Process()
        process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments + (bug.map { ["--bug", $0] } ?? [])
        var environment = ProcessInfo.processInfo.environment
        if bug != nil { environment["SWIFT_BACKTRACE"] = "enable=no" }
        process.environment = environment
        let pipe = Pipe()
        process.standardOutput = pipe
        if bug != nil { process.standardError = FileHandle.nullDevice }
        try process.run()
        let reader = pipe.fileHandleForReading
        let output = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: reader.readDataToEndOfFile()) }
        }
        process.waitUntilExit()
        let (reason, status) = (process.terminationReason, process.terminationStatus)
        let ending: Ending =
            switch reason {
            case .uncaughtSignal: [SIGILL, SIGTRAP].contains(status) ? .trapped : .killed(status)
            case .exit: .exited(status)
            @unknown default: .exited(status)
            }
        return (String(decoding: output, as: UTF8.self), ending)
    }
}
