import Client
import KeyEncoding
import Synchronization

/// Clients that never stop while something else is done, and remember when each of their requests was sent and acknowledged.
final class RestlessClients: Sendable {
    /// One request of a client, whose `turn` is counted from zero; throws when it is not acknowledged.
    typealias Request = @Sendable (_ client: Int, _ turn: Int) async throws -> Void

    /// When a client asks next.
    enum Pace {
        /// When the last is answered; who failed waits so long first: a member without a leader may answer at once.
        case whenAnswered(afterFailure: Duration)
        /// Each so often, all of them spread over that time; who is late asks at once until it is not.
        case every(Duration)
    }

    private struct State {
        /// By client.
        var acknowledged: [[(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)]]
        var failures = 0
        var firstFailure: String?
        var lastFailure: String?
        var hasStopped = false
    }

    private let state: Mutex<State>
    private let count: Int
    private let pace: Pace
    private let request: Request

    init(_ count: Int, _ pace: Pace, request: @escaping Request) {
        state = Mutex(State(acknowledged: Array(repeating: [], count: count)))
        self.count = count
        self.pace = pace
        self.request = request
    }

    func around<Result: Sendable>(_ work: () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            let start = ContinuousClock.now
            for client in 0..<count { tasks.addTask { [self] in await keepAsking(client, from: start) } }
            defer { state.withLock { $0.hasStopped = true } }
            return try await work()
        }
    }

    private func keepAsking(_ client: Int, from start: ContinuousClock.Instant) async {
        for turn in 0... {
            if case .every(let interval) = pace {
                let due = start + interval * turn + interval * client / count
                if due > .now { try? await Task.sleep(until: due, clock: .continuous) }
            }
            if state.withLock({ $0.hasStopped }) { return }
            let sent = ContinuousClock.now
            do {
                try await request(client, turn)
                state.withLock { $0.acknowledged[client].append((sent, .now)) }
            } catch {
                let failure = "after \((.now - sent).inMilliseconds) ms: \(error)"
                state.withLock { state in
                    state.failures += 1
                    state.firstFailure = state.firstFailure ?? failure
                    state.lastFailure = failure
                }
                if case .whenAnswered(let pause) = pace, pause > .zero { try? await Task.sleep(for: pause) }
            }
        }
    }

    // MARK: - What was seen

    /// Answers other than success, and answers that never came.
    var failures: Int { state.withLock { $0.failures } }
    /// The first of them in words.
    var firstFailure: String? { state.withLock { $0.firstFailure } }
    var lastFailure: String? { state.withLock { $0.lastFailure } }

    /// How many requests were acknowledged between two instants, in a second.
    func rate(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Double {
        let count = state.withLock { $0.acknowledged.joined().count { $0.at > start && $0.at < end } }
        return Double(count) / (end - start).inSeconds
    }

    /// The longest time without an acknowledgement between two instants, in milliseconds.
    ///
    /// - Parameter clients: whose are looked at; those of all where none are named.
    func longestGap(
        from start: ContinuousClock.Instant, to end: ContinuousClock.Instant, of clients: [Int]? = nil
    ) -> Double {
        let seen = state.withLock { state in (clients ?? Array(0..<count)).map { state.acknowledged[$0] } }
        let inside = seen.joined().map(\.at).filter { $0 > start && $0 < end }.sorted()
        let marks = [start] + inside + [end]
        return zip(marks, marks.dropFirst()).map { ($1 - $0).inMilliseconds }.max() ?? 0
    }

    /// When the first request was acknowledged of those that were sent after `instant`.
    func firstAcknowledged(sentAfter instant: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        (0..<count).compactMap { firstAcknowledged(sentAfter: instant, by: $0) }.min()
    }

    /// The same of the requests of one client.
    func firstAcknowledged(
        sentAfter instant: ContinuousClock.Instant, by client: Int
    ) -> ContinuousClock.Instant? {
        state.withLock { $0.acknowledged[client].first { $0.sent >= instant }?.at }
    }
}

// MARK: - What they ask for

extension RestlessClients {
    /// A writer for each of `places`, of the keys that it lists.
    convenience init(_ pace: Pace, writing places: [[String]], of table: String, _ client: CoxswainClient) {
        self.init(places.count, pace) { place, turn in
            try await Self.put(places[place][turn % places[place].count], turn, table, client)
        }
    }

    /// A strong reader for each of `places`, of the keys that it lists.
    convenience init(_ pace: Pace, reading places: [[String]], of table: String, _ client: CoxswainClient) {
        self.init(places.count, pace) { place, turn in
            let key = places[place][turn % places[place].count]
            _ = try await client.get(key: JSONValue.array([.string(key)]).text, in: table)
        }
    }

    private static func put(_ key: String, _ turn: Int, _ table: String, _ client: CoxswainClient) async throws {
        let row = JSONValue.object(["id": .string(key), "body": .string("\(turn)")])
        _ = try await client.put(row, key: JSONValue.array([.string(key)]).text, in: table)
    }

    /// Four writers of configuration entries, each asking another of these members of the group by turns.
    convenience init(entriesAt endpoints: [String], _ calls: HTTPCalls) {
        self.init(4, .whenAnswered(afterFailure: .milliseconds(5))) { writer, turn in
            let endpoint = endpoints[(writer + turn) % endpoints.count]
            let answer = try await calls.call(
                .put, "\(endpoint)/api/v1/config/global/entries/app.failover-\(writer)",
                body: JSONValue.object(["value": .number(turn)]).text, milliseconds: 300)
            guard answer.status == 200 else { throw BenchFailure("\(answer.status)") }
        }
    }

    /// Four writers, each asking another of these members by turns.
    ///
    /// - Parameter patience: milliseconds that a write waits for its answer.
    convenience init(_ group: any ComparedGroup, at members: [GroupMember], patience: Int64) {
        self.init(4, .whenAnswered(afterFailure: .milliseconds(5))) { writer, turn in
            let answer = try await group.ask(
                group.put("w\(writer)", "\(turn)"), at: members[(writer + turn) % members.count], milliseconds: patience)
            guard answer.status == 200 else { throw BenchFailure("\(answer.status) \(answer.body?.text ?? "")") }
        }
    }
}
