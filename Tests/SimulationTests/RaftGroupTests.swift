import Model
import RaftSimulation
import RunnerKit
import SimulationKit
import Testing

@Suite struct RaftGroupTests {
    @Test("no promise breaks in any of the fixed seeds, and calm for a quorum brings agreement")
    func fixedSeeds() {
        for seed in 1...60 as ClosedRange<UInt64> {
            switch RaftRun(seed: seed).run() {
            case .success(let summary): #expect(summary.undecided == 0, "seed \(seed): its calls were not judged")
            case .failure(let failure): Issue.record("\(failure)")
            }
        }
    }

    /// What they told, in the words of the mend. Faults are drawn for the length that was usual then.
    @Test(
        "a seed that once failed holds",
        arguments: [
            // The commit index went to disk before the entries that it counted on, and a crash took the end of the write.
            608_968_232_116 as UInt64,
            // The model's: a segment was made, and the vote that begins it was lost with the older ones.
            608_968_230_895,
            // The checks': what a store acknowledged and then lost was true.
            608_968_231_110, 608_968_231_113, 608_968_231_136, 608_968_231_277, 608_968_231_963, 608_968_232_426,
            608_968_232_786,
            608_968_232_799, 608_968_233_175, 608_968_233_735,
            // The checks': a member that has left was asked to agree.
            608_968_232_382,
            // The model's: a leader let a member vote whom the calm had cut off for ever.
            608_968_232_671,
        ])
    func onceFailed(seed: UInt64) {
        if case .failure(let failure) = RaftRun(seed: seed, storm: .seconds(50)).run() { Issue.record("\(failure)") }
    }

    @Test(
        "a seed that once failed in 60 seconds of faults holds",
        arguments: [
            // The checks': of two writes in one batch the second cut what the first acknowledged.
            953_293_216_650 as UInt64,
            // The model's: a new segment began with the vote of its own batch, lost power tore off the batch behind it, and the vote
            // named a commit index that was gone with it: the disk of a founder, which nothing had damaged, could not be read back.
            26_150_118_733,
            // The same at another founder.
            26_150_119_427,
            // The same at a store that had come later, in the place of one that was lost.
            26_150_119_560,
            // The model's: a snapshot took the log's place, the disk failed before the record that says so, and the start did not make
            // up for it: the next one took what had followed, and was acknowledged, for void as well.
            1_064_018_220_111,
            // The model's: of a torn tail's cut the beginning arrived, and not the word before it that was to make that harmless.
            546_448_053_495,
        ])
    func onceFailedLater(seed: UInt64) {
        if case .failure(let failure) = RaftRun(seed: seed).run() { Issue.record("\(failure)") }
    }

    @Test("no promise breaks in any scenario")
    func scenarios() throws {
        for scenario in Scenario.all { #expect(throws: Never.self, "\(scenario.name)") { try scenario.play(nil) } }
    }

    @Test("a run does work: entries are committed and clients answered")
    func doesWork() throws {
        let summary = try RaftRun(seed: 2).run().get()
        #expect(summary.committed > 50)
        #expect(summary.answered > 50)
    }

    @Test("the same seed leaves the same trace in two processes")
    func sameTrace() throws {
        for seed in ["3", "14", "15"] {
            let first = try digest(of: seed)
            #expect(!first.isEmpty)
            #expect(try digest(of: seed) == first)
        }
        #expect(try digest(of: "3") != digest(of: "14"))
    }

    @Test("the lines that a failure is told with do not change what happens")
    func linesAreFree() throws {
        var run = RaftRun(seed: 9)
        let silent = try run.run().get()
        run.lines = 100
        #expect(try run.run().get() == silent)
    }

    @Test(
        "a planted bug is noticed, and explained by few faults and its last lines",
        arguments: ["shell.readsWithoutRound", "shell.forgetsSessions", "shell.skipsInstall"])
    func explains(name: String) throws {
        let bug = try #require(PlantedBug(name))
        for seed in 1...50 as ClosedRange<UInt64> {
            let run = RaftRun(seed: seed, bug: bug)
            guard case .failure(let failure) = run.run() else { continue }
            let short = run.explained(failure, tries: 40)
            #expect(short.faults.count < run.plan.faults.count)
            #expect(short.isAlike(failure))
            #expect(!short.lines.isEmpty && short.lines.count <= 100)
            return
        }
        Issue.record("no seed noticed")
    }

    /// Asks the runner beside the tests.
    private func digest(of seed: String) throws -> String {
        try Runner.output(of: "simulate", ["--digest", seed])
    }
}
