// Is the simulator worth anything? Each known bug can be planted by itself; a seed must notice it.

package import Consensus

/// One planted bug, wherever it is planted.
package enum PlantedBug: Hashable, Sendable, CustomStringConvertible {
    case shell(ShellMutant)
    /// Only in a build with the condition MUTANTS.
    case core(Mutant)

    package static var all: [PlantedBug] {
        #if MUTANTS
            ShellMutant.allCases.map(PlantedBug.shell) + Mutant.allCases.map(PlantedBug.core)
        #else
            ShellMutant.allCases.map(PlantedBug.shell)
        #endif
    }

    package var description: String {
        switch self {
        case .shell(let mutant): "shell.\(mutant.rawValue)"
        case .core(let mutant): "core.\(mutant.rawValue)"
        }
    }

    package init?(_ text: String) {
        guard let bug = Self.all.first(where: { $0.description == text }) else { return nil }
        self = bug
    }
}
