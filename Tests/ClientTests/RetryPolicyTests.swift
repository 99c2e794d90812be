import Client
import Model
import Testing

@Suite struct RetryPolicyTests {
    private func decide(
        _ outcome: RetryPolicy.Outcome, attempt: Int = 0, hasRenewedToken: Bool = false, seed: UInt64 = 1
    ) -> RetryPolicy.Decision {
        var random = SeededGenerator(seed: seed)
        return RetryPolicy().decide(outcome, attempt: attempt, hasRenewedToken: hasRenewedToken, random: &random)
    }

    private func answered(_ status: Int, _ code: String = "", retryable: Bool = false, after: Int64? = nil)
        -> RetryPolicy.Outcome
    {
        .answered(status: status, code: code, isRetryable: retryable, retryAfterMilliseconds: after)
    }

    @Test("what was sent and not answered may have happened, and is asked for again elsewhere")
    func unanswered() {
        for outcome in [.unanswered, answered(504, "OUTCOME_UNKNOWN"), answered(504)] {
            #expect(outcome.mayHaveHappened)
            if case .refresh = decide(outcome) {} else { Issue.record("\(outcome) is not asked again") }
        }
        for outcome in [.notSent, answered(503, "RECOVERING", retryable: true), answered(409)] {
            #expect(!outcome.mayHaveHappened)
        }
    }

    @Test("a request that was never sent is sent to whoever holds the rows now")
    func notSent() {
        if case .refresh = decide(.notSent) {} else { Issue.record("not asked again") }
    }

    @Test("when the time is up, who was never answered is told that nobody answers, and not that somebody refused")
    func timeIsUp() {
        let silence = Problem(status: 0, body: .object(["detail": .string("10.0.0.1: connection refused")]))
        for outcome in [RetryPolicy.Outcome.notSent, .unanswered] {
            #expect(RetryPolicy().failure(after: outcome, silence) == .unreachable("10.0.0.1: connection refused"))
        }
        let fence = Problem(status: 503, body: .object(["code": .string("PARTITION_FENCED")]))
        #expect(RetryPolicy().failure(after: answered(503, "PARTITION_FENCED"), fence) == .refused(fence))
    }

    @Test("a refusal by the wrong node mends the route")
    func misdirected() {
        guard case .mend(let wait) = decide(answered(421, "NOT_HERE")) else {
            Issue.record("not mended")
            return
        }
        #expect(wait > .zero)
    }

    @Test("an owner that has just begun is asked again soon, and somebody else is asked when it takes long")
    func recovering() {
        for attempt in 0..<5 {
            guard case .again(let wait) = decide(answered(503, "RECOVERING", retryable: true, after: 20), attempt: attempt)
            else {
                Issue.record("not asked again")
                return
            }
            #expect(wait <= .milliseconds(10))
        }
        guard case .refresh = decide(answered(503, "RECOVERING", retryable: true, after: 20), attempt: 5) else {
            Issue.record("nobody else is asked")
            return
        }
    }

    @Test("a fence is waited out at the same node, for about as long as it asks")
    func fenced() {
        guard case .again(let wait) = decide(answered(503, "PARTITION_FENCED", retryable: true, after: 20)) else {
            Issue.record("not waited for")
            return
        }
        #expect(wait >= .milliseconds(10) && wait <= .milliseconds(20))
    }

    @Test("a replica that is too far behind leads to the primary, at once the first time")
    func tooStale() {
        #expect(decide(answered(503, "TOO_STALE", retryable: true)) == .askPrimary(wait: .zero))
        guard case .askPrimary(let wait) = decide(answered(503, "TOO_STALE", retryable: true), attempt: 1) else {
            Issue.record("somebody else is asked")
            return
        }
        #expect(wait > .zero)
    }

    @Test("a token is renewed once; what is refused after that is refused")
    func tokens() {
        #expect(decide(answered(401)) == .renewToken)
        #expect(decide(answered(401), hasRenewedToken: true) == .refuse)
        #expect(decide(answered(403)) == .refuse)
    }

    @Test("what is wrong with the request itself is not tried again")
    func wrong() {
        for status in [400, 404, 409, 413, 422] { #expect(decide(answered(status)) == .refuse) }
    }

    @Test("pauses grow and are bounded")
    func pauses() {
        for attempt in 0..<200 {
            guard case .refresh(let wait) = decide(.notSent, attempt: attempt) else {
                Issue.record("no pause")
                return
            }
            #expect(wait >= .milliseconds(5) && wait <= .milliseconds(200))
        }
    }

    @Test("callers that failed together do not come back together, whatever it is that they wait for")
    func jitter() {
        for (outcome, attempt) in [
            (.notSent, 0), (.unanswered, 9), (answered(504), 0), (answered(421, "NOT_HERE"), 0),
            (answered(503, "PARTITION_FENCED", retryable: true, after: 20), 0),
            (answered(503, "PARTITION_FENCED", retryable: true), 0), (answered(429, "TOO_MANY_REQUESTS", after: 50), 0),
            (answered(503, "TOO_STALE", retryable: true), 1), (answered(503, "RECOVERING", retryable: true), 0),
            (answered(503, "RECOVERING", retryable: true), 5), (answered(503, "UNAVAILABLE", retryable: true), 0),
        ] as [(RetryPolicy.Outcome, Int)] {
            let decisions = Set((1...10).map { decide(outcome, attempt: attempt, seed: $0) })
            // A pause has thousands of microseconds to choose from.
            #expect(decisions.count >= 9, "\(outcome): \(decisions)")
        }
    }
}
