// A cluster of real processes on a network of its own, under loads that remember what they were told, while everything that may go
// wrong goes wrong. At the end nothing that was acknowledged may be lost, nothing that was read may have been stale, and nobody may
// need a hand to be well again.
//
// What is drawn from the seed is what is done, and when; what comes of it is up to the machine. So a seed does not replay a run as
// one of the simulator does: it says what kind of run it was, and the folder that a failed run leaves says the rest.

import ArgumentParser
import Dispatch
import FoundationEssentials
import Glibc
import ProcessKit

/// Begins before there is a second thread: only then all of them get the network of the first one.
@main enum Chaos {
    static func main() {
        let isHere = (try? TestNetwork.leaveMachine()) != nil
        Task {
            // Help and mistakes are told to everybody.
            do {
                let command = try ChaosCommand.parse()
                guard isHere, TestNetwork.missing == nil else {
                    print(
                        "chaos needs network namespaces, and so to be root: \(TestNetwork.missing ?? "it may have none here")")
                    exit(2)
                }
                try await command.run()
                exit(0)
            } catch {
                ChaosCommand.exit(withError: error)
            }
        }
        dispatchMain()
    }
}

struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Break a real cluster in every way for some minutes, and audit every acknowledged write.",
        discussion: """
            Three coordinators and six agents in three zones, each a host of a network that no other process sees: this needs root.
            The programs that lie beside this one are run. Exit code 0 means that nothing was lost and that every check held.
            """)

    @Option(help: "How long things go wrong.")
    var minutes = 10.0

    @Option(help: "What is done and when is drawn from it; a fresh one if none is given.")
    var seed: UInt64?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Only these kinds of trouble: \(Trouble.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "kind"))
    var only: [Trouble] = []

    @Option(help: "Where the folder of the run is made.")
    var folder = ".build"

    @Flag(help: "Keep the folder of a clean run too.")
    var keep = false

    func validate() throws {
        guard (0.1...1_440).contains(minutes) else { throw ValidationError("--minutes is from 0.1 to 1440") }
    }

    func run() async throws {
        let seed = seed ?? UInt64.random(in: 1...0xFFFF_FFFF)
        let plan = ChaosPlan(seed: seed, span: .seconds(minutes * 60), kinds: only.isEmpty ? Trouble.allCases : only)
        let report = try await ChaosRun.run(
            plan, folder: URL(filePath: folder).appending(path: "chaos-\(seed)").path, keeps: keep)
        for line in report.figures { print(line) }
        if !report.findings.isEmpty { print("\(report.findings.count) checks failed, as told above") }
        if let kept = report.kept { print("history, logs and data are kept in \(kept)") }
        print("\(report.acknowledged) acknowledged, \(report.audited) audited, \(report.lost) lost, seed \(seed)")
        guard report.isClean else { throw ExitCode.failure }
    }
}
