// All scenarios and stories in a process of their own: one that traps is told like any other that fails.

import ClusterSimulation
import RaftSimulation
import SimulationKit

enum Rehearsal {
    /// Prints a line when a scenario begins, and one when a promise breaks, which ends it.
    static func work(bug planted: Bug?) -> Bool {
        switch planted {
        case .group(let bug)?: play(bug)
        case .cluster(let bug)?: play(bug)
        case nil: play(nil as PlantedBug?) && play(nil as ClusterBug?)
        }
    }

    private static func play(_ bug: PlantedBug?) -> Bool {
        Scenario.all.allSatisfy { scenario in
            holds(scenario.name) { () throws(Violation) in try scenario.play(bug) }
        }
    }

    private static func play(_ bug: ClusterBug?) -> Bool {
        ClusterStory.all.allSatisfy { story in
            holds(story.name) { () throws(Violation) in try story.play(bug) }
        }
    }

    private static func holds(_ name: String, _ play: () throws(Violation) -> Void) -> Bool {
        Chunk.say("plays \(name)")
        do throws(Violation) { try play() } catch {
            Chunk.say("breaks \(error.description.replacing("\n", with: " "))")
            return false
        }
        return true
    }

    /// The first scenario that fails, and how; nil when all hold.
    static func failure(with bug: String) async throws -> (scenario: String, violation: String)? {
        let (output, ending) = try await Chunk.child(["--scenarios"], bug: bug)
        var scenario = ""
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            switch words.first {
            case "plays": scenario = words.last ?? ""
            case "breaks": return (scenario, words.last ?? "")
            default: break
            }
        }
        switch ending {
        case .exited(0): return nil
        case .trapped: return (scenario, Chunk.trap)
        case .exited, .killed: throw Chunk.Untold(description: "nothing is known of '\(scenario)', for \(ending)")
        }
    }
}
