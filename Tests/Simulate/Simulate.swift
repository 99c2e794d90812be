// Runs the simulations of the coordinator group and of whole clusters, seed after seed. Ends with 1 when a promise is broken, and with 3
// when none is, but whether an order explains the calls of some fresh seed was not found out.
//
//   simulate                    the fixed seeds, 1 to 200 of groups and 1 to 40 of clusters
//   simulate --seeds N          the fixed seeds of groups 1 to N; --clusters N those of clusters
//   simulate --seconds S        the fixed seeds, then fresh ones until S seconds have passed
//   simulate --seed N           one seed, and when it fails the fewest faults that do it and the last 100 lines
//   simulate --seed N --lines L the same with all its faults, whether it fails or not, and the last L lines
//   simulate --digest N         only the digest of one seed's trace, which is the same in every process
//   simulate --mutants [NAME]   plants each known bug whose name holds NAME, and tells what notices it
//   simulate --scenarios        plays the scenarios, up to the first that fails
//   simulate --crash-matrix [NAME]
//                               kills everybody at every step of each operation whose name holds NAME, and tells what came of it
//   simulate --crash-cells OPERATION [TEXT]
//                               the cells of one operation whose description holds TEXT; with --lines L the last L lines of each;
//                               TEXT 'steps': what its steps are
//   --cluster                   the seeds are those of clusters
//   --partition                 they are those of one partition's replicas
//   --bug NAME                  plants one bug
//   --jobs J                    processes at a time; one by default

import ClusterSimulation
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
        case .one(let seed):
            switch options.subject {
            case .group: holds = replay(seed, options)
            case .cluster: holds = replayCluster(seed, options)
            case .partition:
                Chunk.work(.partition, seed...seed, bug: options.bug, stopsAtFailure: true)
                holds = true
            }
        case .digest(let seed): holds = printDigest(of: seed, options.subject)
        case .chunk(let seeds):
            Chunk.work(options.subject, seeds, bug: options.bug, stopsAtFailure: options.stops)
            holds = true
        case .scenarios: holds = Rehearsal.work(bug: options.bug)
        case .mutants(let name): holds = try await Mutants(jobs: options.jobs, only: name).run()
        case .crashes(let name): holds = try await Crashes(seed: options.crashSeed, jobs: options.jobs, only: name).run()
        case .crashCells(let operation, let cell):
            holds = Crashes.work(operation, options, cell: cell)
        case .many: exit(try await Campaign(options).run().rawValue)
        }
        exit(holds ? 0 : 1)
    }

    private static func replay(_ seed: UInt64, _ options: Options) -> Bool {
        var bug: PlantedBug?
        if case .group(let planted)? = options.bug { bug = planted }
        var run = RaftRun(seed: seed, bug: bug)
        run.lines = options.lines
        print("seed \(seed): \(run.options.members) members, \(run.plan.faults.count) faults")
        let (result, told) = run.told()
        return tell(result.map { "\($0)" }, told, options) { run.explained($0) }
    }

    private static func replayCluster(_ seed: UInt64, _ options: Options) -> Bool {
        var bug: ClusterBug?
        if case .cluster(let planted)? = options.bug { bug = planted }
        var run = ClusterRun(seed: seed, bug: bug)
        run.lines = options.lines
        print("cluster seed \(seed): \(run.options.agents) agents, \(run.plan.faults.count) faults")
        let (result, told) = run.told()
        return tell(result.map { "\($0)" }, told, options) { run.explained($0) }
    }

    private static func tell(
        _ result: Result<String, RunFailure>, _ told: [String], _ options: Options, explained: (RunFailure) -> RunFailure
    ) -> Bool {
        for line in told { print("    \(line.prefix(1_000))") }
        switch result {
        case .success(let summary):
            print("holds: \(summary)")
            return true
        case .failure(let failure) where options.lines > 0: print("\n✘ \(failure)")
        case .failure(let failure): explain(failure, as: explained(failure), options.subject)
        }
        return false
    }

    private static func printDigest(of seed: UInt64, _ subject: Subject) -> Bool {
        let digest: Result<UInt64, RunFailure> =
            subject == .group ? RaftRun(seed: seed).run().map(\.digest) : ClusterRun(seed: seed).run().map(\.digest)
        guard case .success(let digest) = digest else { return false }
        print(digest)
        return true
    }

    /// Everything that a person needs to understand a failure.
    private static func explain(_ failure: RunFailure, as short: RunFailure, _ subject: Subject) {
        print("\n✘ \(failure)")
        print("  with the fewest faults that still fail:")
        for fault in short.faults { print("    \(fault)") }
        print("  the last \(short.lines.count) lines:")
        for line in short.lines { print("    \(line.prefix(300))") }
        print("  \(short)")
        print("  to see it again, with the same sources: \(subject.command(for: failure.seed))\n")
    }
}
