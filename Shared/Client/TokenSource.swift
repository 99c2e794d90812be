// Data tokens, asked of the coordinators before they are needed.
//
// A token is renewed when two thirds of its life are over, so that the coordinators may be away for the last third. While the old
// one is still good, one request of many tries to renew it, and only for a moment: coordinators that are down slow nobody. Tokens
// that are needed by many at once are asked for once.

actor TokenSource {
    typealias Issue = @Sendable (_ table: String, _ milliseconds: Int64) async throws(ClientError) -> String

    private struct Held {
        let text: String
        var renewAt: ContinuousClock.Instant
        let expiresAt: ContinuousClock.Instant
    }

    /// How long a request may be held up by the renewal of a token that is still good.
    static let renewalMilliseconds: Int64 = 500
    /// How long after a renewal that failed the next is tried.
    static let pause = Duration.seconds(5)
    /// How long a request waits for a token without which it cannot go.
    static let firstMilliseconds: Int64 = 10_000

    private let lifetime: Duration
    private let issue: Issue
    private let now: @Sendable () -> ContinuousClock.Instant
    private var held: [String: Held] = [:]
    private let questions = SharedQuestions<String>()

    /// - Parameters:
    ///   - seconds: the life of the tokens that `issue` gives.
    ///   - now: replaced in tests.
    init(
        seconds: Int, now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }, issue: @escaping Issue
    ) {
        lifetime = .seconds(seconds)
        self.now = now
        self.issue = issue
    }

    /// A token for `table` that is good as far as we know.
    ///
    /// - Parameter milliseconds: how long the caller can wait for it at most.
    /// - Throws: what the coordinators answered, or that none did, and there is no older token either.
    func token(for table: String, within milliseconds: Int64 = TokenSource.firstMilliseconds) async throws(ClientError)
        -> String
    {
        let time = now()
        guard let known = held[table], time < known.expiresAt else {
            do throws(ClientError) { return try await ask(table, min(milliseconds, Self.firstMilliseconds)) } catch {
                // Its clock may be slower than ours, and it is all that we have: the agents decide.
                guard let known = held[table], error.isNobodyThere else { throw error }
                return known.text
            }
        }
        guard time >= known.renewAt else { return known.text }
        held[table]?.renewAt = time + Self.pause
        do throws(ClientError) { return try await ask(table, min(milliseconds, Self.renewalMilliseconds)) } catch {
            return known.text
        }
    }

    /// `text` was refused: it is not used again.
    func discard(_ text: String, for table: String) {
        if held[table]?.text == text { held[table] = nil }
    }

    private func ask(_ table: String, _ milliseconds: Int64) async throws(ClientError) -> String {
        let (issue, time) = (issue, now())
        return try await questions.ask(table, until: .now + .milliseconds(milliseconds)) {
            [self] () async throws(ClientError) in
            let text = try await issue(table, milliseconds)
            await hold(text, for: table, since: time)
            return text
        }
    }

    private func hold(_ text: String, for table: String, since time: ContinuousClock.Instant) {
        held[table] = Held(text: text, renewAt: time + lifetime * 2 / 3, expiresAt: time + lifetime)
    }
}

extension ClientError {
    /// The coordinators cannot be reached, or none of them leads.
    var isNobodyThere: Bool {
        switch self {
        case .unreachable: true
        case .refused(let problem): problem.status == 503 || problem.status == 429
        case .outcomeUnknown, .unexpectedAnswer, .invalid: false
        }
    }
}
