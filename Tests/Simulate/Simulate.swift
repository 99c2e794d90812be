// Runs the simulation of the coordinator group, seed after seed. Ends with 1 when a promise is broken.
//
//   simulate                    the fixed seeds 1 to 200
//   simulate --seeds N          the fixed seeds 1 to N
//   simulate --seconds S        the fixed seeds, then fresh ones until S seconds have passed
//   simulate --seed N           one seed, and when it fails the fewest faults that do it and the last 100 lines
//   simulate --seed N --lines L the same with all its faults, whether it fails or not, and the last L lines
//   simulate --digest N         only the digest of one seed's trace, which is the same in every process
//   simulate --mutants [NAME]   plants each known bug whose name holds NAME, and tells what notices it
//   simulate --scenarios        plays the scenarios, up to the first that fails
//   --bug NAME                  plants one bug
//   --jobs J                    processes at a time; one by default

import Foundation
import Model
import RaftSimulation
import SimulationKit

@main
enum Simulate {
    static func main() async throws {
        let options: Options
        do {
            options = try Options(Array(CommandLine.arguments.dropFirst()))
        } catch {
            print("simulate: \(error)")
            exit(2)
        }
        let holds: Bool
        switch options.errand {
        case .one(let seed): holds = replay(seed, options.bug, lines: options.lines)
        case .digest(let seed): holds = printDigest(of: seed)
        case .chunk(let seeds):
            Chunk.work(seeds, bug: options.bug, stopsAtFailure: options.stops)
            holds = true
        case .scenarios: holds = Rehearsal.work(bug: options.bug)
        case .mutants(let name): holds = try await Mutants(jobs: options.jobs, only: name).run()
        case .many: holds = try await Campaign(options).run()
        }
        exit(holds ? 0 : 1)
    }

    private static func replay(_ seed: UInt64, _ bug: PlantedBug?, lines: Int) -> Bool {
        var run = RaftRun(seed: seed, bug: bug)
        run.lines = lines
        print("seed \(seed): \(run.options.members) members, \(run.plan.faults.count) faults")
        let (result, told) = run.told()
        for line in told { print("    \(line)") }
        switch result {
        case .success(let summary):
            print("holds: \(summary)")
            return true
        case .failure(let failure) where lines > 0:
            print("\n✘ \(failure)")
            return false
        case .failure(let failure):
            explain(run, failure)
            return false
        }
    }

    private static func printDigest(of seed: UInt64) -> Bool {
        guard case .success(let summary) = RaftRun(seed: seed).run() else { return false }
        print(summary.digest)
        return true
    }

    /// Everything that a person needs to understand a failure.
    static func explain(_ run: RaftRun, _ failure: RaftRun.Failure) {
        let short = run.explained(failure)
        print("\n✘ \(failure)")
        print("  with the fewest faults that still fail:")
        for fault in short.faults { print("    \(fault)") }
        print("  the last \(short.lines.count) lines:")
        for line in short.lines { print("    \(line.prefix(300))") }
        print("  \(short)")
        print("  to see it again, with the same sources: make sim SEED=\(failure.seed)\n")
    }
}
