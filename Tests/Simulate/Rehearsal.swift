// All scenarios in a process of their own: one that traps is told like any other that fails.

import RaftSimulation
import SimulationKit

enum Rehearsal {
    /// Prints a line when a scenario begins, and one when a promise breaks, which ends it.
    static func work(bug planted: Bug?) -> Bool {
        var bug: PlantedBug?
        if case .group(let some)? = planted { bug = some }
        for scenario in Scenario.all {
            Chunk.say("plays \(scenario.name)")
            do throws(Violation) { try scenario.play(bug) } catch {
                Chunk.say("breaks \(error.description.replacing("\n", with: " "))")
                return false
            }
        }
        return true
    }

    /// The first scenario that fails, and how; nil when all hold.
    static func failure(with bug: String) async throws -> (scenario: String, violation: String)? {
        let (output, trapped) = try await Chunk.child(["--scenarios"], bug: bug)
        var scenario = ""
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            switch words.first {
            case "plays": scenario = words.last ?? ""
            case "breaks": return (scenario, words.last ?? "")
            default: break
            }
        }
        return trapped ? (scenario, Chunk.trap) : nil
    }
}
