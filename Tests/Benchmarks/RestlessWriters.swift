import Client
import KeyEncoding
import Synchronization

/// Writers that never stop while something else is done, and remember when each of their writes was sent and acknowledged.
final class RestlessWriters: Sendable {
    /// One write of a writer, whose `turn` is counted from zero; throws when it is not acknowledged.
    typealias Write = @Sendable (_ writer: Int, _ turn: Int) async throws -> Void

    private struct State {
        var acknowledged: [(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)] = []
        var failures = 0
        var firstFailure: String?
        var lastFailure: String?
        var hasStopped = false
    }

    private let state = Mutex(State())
    private let count: Int
    private let pause: Duration
    private let write: Write

    /// - Parameter pause: how long who failed waits: a member without a leader may answer at once.
    init(_ count: Int, pause: Duration, write: @escaping Write) {
        self.count = count
        self.pause = pause
        self.write = write
    }

    func around<Result: Sendable>(_ work: () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for writer in 0..<count { tasks.addTask { [self] in await keepWriting(writer) } }
            defer { state.withLock { $0.hasStopped = true } }
            return try await work()
        }
    }

    private func keepWriting(_ writer: Int) async {
        for turn in 0... {
            if state.withLock({ $0.hasStopped }) { return }
            let sent = ContinuousClock.now
            do {
                try await write(writer, turn)
                state.withLock { $0.acknowledged.append((sent, .now)) }
            } catch {
                let failure = "after \((.now - sent).inMilliseconds) ms: \(error)"
                state.withLock { state in
                    state.failures += 1
                    state.firstFailure = state.firstFailure ?? failure
                    state.lastFailure = failure
                }
                if pause > .zero { try? await Task.sleep(for: pause) }
            }
        }
    }

    // MARK: - What was seen

    /// Answers other than success, and answers that never came.
    var failures: Int { state.withLock { $0.failures } }
    /// The first of them in words.
    var firstFailure: String? { state.withLock { $0.firstFailure } }
    var lastFailure: String? { state.withLock { $0.lastFailure } }

    /// The longest time without an acknowledgement between two instants, in milliseconds.
    func longestGap(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Double {
        let inside = state.withLock { $0.acknowledged.map(\.at) }.filter { $0 > start && $0 < end }.sorted()
        let marks = [start] + inside + [end]
        return zip(marks, marks.dropFirst()).map { ($1 - $0).inMilliseconds }.max() ?? 0
    }

    /// When the first write was acknowledged of those that were sent after `instant`.
    func firstAcknowledged(sentAfter instant: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        state.withLock { $0.acknowledged.lazy.filter { $0.sent >= instant }.map(\.at).min() }
    }
}

// MARK: - What they write

extension RestlessWriters {
    /// Rows of `table`, each writer under other ones of `keys`.
    convenience init(_ count: Int, rows keys: [String], of table: String, _ client: CoxswainClient) {
        self.init(count, pause: .zero) { writer, turn in
            let key = keys[(writer + turn * count) % keys.count]
            let row = JSONValue.object(["id": .string(key), "body": .string("\(turn)")])
            _ = try await client.put(row, key: JSONValue.array([.string(key)]).text, in: table)
        }
    }

    /// Four writers of configuration entries, each asking another of these members of the group by turns.
    convenience init(entriesAt endpoints: [String], _ calls: HTTPCalls) {
        self.init(4, pause: .milliseconds(5)) { writer, turn in
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
        self.init(4, pause: .milliseconds(5)) { writer, turn in
            let answer = try await group.ask(
                group.put("w\(writer)", "\(turn)"), at: members[(writer + turn) % members.count], milliseconds: patience)
            guard answer.status == 200 else { throw BenchFailure("\(answer.status) \(answer.body?.text ?? "")") }
        }
    }
}
