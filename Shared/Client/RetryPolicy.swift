// What to do after an answer, as a pure function: the part of a client that is easily wrong.

package import Model

package struct RetryPolicy: Sendable {
    package enum Outcome: Hashable, Sendable {
        case answered(status: Int, code: String, isRetryable: Bool, retryAfterMilliseconds: Int64?)
        case notSent
        case unanswered

        /// Whether what was asked for may have been done, or may be done yet.
        package var mayHaveHappened: Bool {
            switch self {
            case .notSent: false
            case .unanswered: true
            case .answered(let status, let code, _, _): status == 504 || code == "OUTCOME_UNKNOWN"
            }
        }
    }

    package enum Decision: Hashable, Sendable {
        case accept
        /// Nothing changed; say so to the caller.
        case refuse
        /// Take the descriptor from the refusal and ask again: at once if it says something new, and after `wait` if not.
        case mend(wait: Span)
        /// Learn the table's route from somebody else and ask again.
        case refresh(wait: Span)
        /// The owner cannot serve for a moment: ask it again.
        case again(wait: Span)
        /// The replica is too far behind for what was asked; the primary never is.
        case askPrimary(wait: Span)
        /// Get another token, once.
        case renewToken
    }

    /// The first and the longest pause of the growing ones.
    static let pauses = (first: Span.milliseconds(10), longest: Span.milliseconds(200))

    package init() {}

    /// How often an owner that has just begun is asked again soon: a planned hand-over takes it a few milliseconds.
    static let soonAgain = 5

    /// - Parameter attempt: how often this request was tried in vain already, this time not included. A fence does not count, nor
    ///   what came before a refusal that said something new.
    ///
    /// What may have happened is asked for again all the same: a write has a key under which it happens once (rule R8).
    package func decide(
        _ outcome: Outcome, attempt: Int, hasRenewedToken: Bool, random: inout some RandomNumberGenerator
    ) -> Decision {
        switch outcome {
        // Who does not answer may be frozen or cut off, and another one be the primary by now.
        case .notSent, .unanswered: return .refresh(wait: pause(attempt, random: &random))
        case .answered(let status, let code, let isRetryable, let hint):
            if (200..<300).contains(status) { return .accept }
            switch (status, code) {
            case (401, _): return hasRenewedToken ? .refuse : .renewToken
            case (421, _): return .mend(wait: pause(attempt, random: &random))
            case (504, _), (_, "OUTCOME_UNKNOWN"): return .refresh(wait: pause(attempt, random: &random))
            case (503, "PARTITION_FENCED"), (429, _):
                return .again(wait: jittered(.milliseconds(hint ?? 20), random: &random))
            case (503, "TOO_STALE"): return .askPrimary(wait: attempt == 0 ? .zero : pause(attempt, random: &random))
            case (503, "RECOVERING") where attempt < Self.soonAgain: return .again(wait: pause(0, random: &random))
            case (503, _) where isRetryable: return .refresh(wait: pause(attempt, random: &random))
            default: return .refuse
            }
        }
    }

    /// What a caller is told when the time is up after this outcome. Where nobody answered, nobody refused.
    package func failure(after outcome: Outcome, _ problem: Problem) -> ClientError {
        switch outcome {
        case .answered: .refused(problem)
        case .notSent, .unanswered: .unreachable(problem.detail)
        }
    }

    /// Doubles with each attempt, and is spread over half of itself, so that callers do not come back together.
    func pause(_ attempt: Int, random: inout some RandomNumberGenerator) -> Span {
        let grown = Self.pauses.first * (1 << Int64(min(attempt, 10)))
        return jittered(min(grown, Self.pauses.longest), random: &random)
    }

    private func jittered(_ span: Span, random: inout some RandomNumberGenerator) -> Span {
        let half = max(0, span.microseconds / 2)
        return .microseconds(half + Int64.random(in: 0...max(0, half), using: &random))
    }
}
