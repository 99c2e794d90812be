// The proof that the stories see: each rule of the protocol, turned off by itself, makes one of them fail.

import Membership
import MembershipSimulation
import SimulationKit

struct Mutants {
    let seed: UInt64

    func hunt(_ name: String) -> Bool {
        #if MUTANTS
            let mutants = SwimMutant.allCases.filter { name.isEmpty || $0.rawValue.contains(name) }
            var caught = 0
            for mutant in mutants {
                let failure = failure(under: mutant)
                if failure != nil { caught += 1 }
                let text = mutant.rawValue + String(repeating: " ", count: max(0, 22 - mutant.rawValue.count))
                say(String("\(text)  \(failure ?? "nothing fails")".replacing("\n", with: " ").prefix(160)))
            }
            say("\(mutants.count) rules turned off, \(caught) noticed")
            return caught == mutants.count
        #else
            say("simulate-members: rules can be turned off only in a build with -DMUTANTS; see `make sim-swim-mutants`")
            return false
        #endif
    }

    #if MUTANTS
        private func failure(under mutant: SwimMutant) -> String? {
            let first = Self.guards[mutant] ?? []
            let stories = first.compactMap(Scenario.named) + Scenario.all.filter { !first.contains($0.label) }
            for scenario in stories {
                do throws(Violation) { _ = try scenario.run(seed: seed, mutant: mutant) } catch { return "\(error)" }
            }
            return nil
        }

        /// The stories that are told first, because they are about this rule.
        private static let guards: [SwimMutant: [String]] = [
            .refutesNothing: ["C19"], .hidesAccusations: ["buddy"], .sendsNoNacks: ["C1", "C1-lan"],
            .ignoresOwnHealth: ["C26", "C7"], .needsNoConfirmation: ["lone-accuser"],
            .countsDeafEars: ["deaf-ears"], .confirmsByLuck: ["C31-nearest"], .looksNowhereElse: ["C31"],
            .waitsInDoubt: ["C31-missed"], .asksOnce: ["C31-missed"], .asksTheDeaf: ["C31-missed"],
            .asksForNoOthers: ["C10-missed"],
            .ignoresLateness: ["C5", "C4", "C7"], .keepsProbeOverPause: ["own-pause"],
            .keepsRefusalsOverPause: ["own-pause"], .keepsDeadlinesOverPause: ["own-pause"], .staysWellOverPause: ["own-pause"],
            .waitsToCompare: ["early-sync"], .gossipsOnProbesAlone: ["C30", "C13"], .countsThePresent: ["roster-budget"],
            .tellsZombiesAlways: ["C15"], .looksIntoAllRefusals: ["storm"], .reportsTheSettled: ["F2", "F7"],
            .sparesNoLatecomers: ["unheard"],
            .judgesUnheard: ["C26"], .blamesOthersForItsCut: ["C26-back", "C9"], .believesVerdicts: ["C10"],
            .believesUncalled: ["heard-verdict"],
            .callsOnce: ["heard-verdict"], .judgesWhenSick: ["sick-judge"],
            .ignoresGenerations: ["C14", "C13"], .acceptsOldNews: ["C18"], .neverCompares: ["C12", "C13"],
            .forgetsTheDead: ["C10"], .neverReaps: ["C27"], .remindsOfTheDead: ["C27"], .asksNoLink: ["link"],
            .asksNoHelpers: ["C25"], .ignoresRefusals: ["C1"], .trustsOneRefusal: ["fast-path"], .sparesNoYouth: ["C12-youth"],
            .changesProfiles: ["C30"], .ignoresDisputes: ["C16"], .tellsNoZombies: ["C15"],
            .believesNoLeap: ["C19"], .outlivesNothing: ["C19"], .keepsToTheCopy: ["C16"],
            .diesWithItsCopy: ["C16-later"], .believesFarewells: ["farewell"], .takesAnyStranger: ["C27-strangers"],
            .looksOnceAtRefusals: ["fast-path"], .needsNoHelpers: ["fast-path-cut"],
            .ignoresTombstones: ["C17-tombstone"], .ignoresBudget: ["C21"], .reportsAtOnce: ["F7"], .reportsRumours: ["F2"],
            .reportsSingly: ["C31"], .takesLeavingForDeath: ["C17"], .hidesRevision: ["T2"],
        ]
    #endif
}
