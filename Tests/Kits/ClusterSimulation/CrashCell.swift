// One cell of the matrix: at which step of which operation who dies, and what came of it.

package import Model

package enum CrashSide: String, CaseIterable, Sendable {
    /// In the event before the one that is the step.
    case before
    case after
}

package enum CrashAbsence: String, CaseIterable, Sendable {
    /// Whoever died starts again before anybody has declared it failed.
    case short
    /// It starts again when the operation has ended without it.
    case long
}

package struct CrashCell: Hashable, Sendable, CustomStringConvertible {
    package let operation: CrashOperation
    /// All that come in one event.
    package let steps: [CrashStep]
    package let party: CrashParty
    package let side: CrashSide
    package let absence: CrashAbsence

    /// How the steps are told.
    package var step: String { steps.map(\.description).joined(separator: " + ") }
    package var description: String {
        "\(operation.rawValue): \(party.rawValue) \(side.rawValue) '\(step)', \(absence.rawValue)"
    }
}

package enum CrashOutcome: String, Sendable {
    case before, after
}

/// What a cell came to, where every promise held.
package struct CrashResult: Hashable, Sendable {
    package let outcome: CrashOutcome
    /// The longest time without an acknowledged write.
    package let pause: Span
    /// The longest time for which a fence stood while a coordinator led and its holder lived.
    package let fence: Span
}
