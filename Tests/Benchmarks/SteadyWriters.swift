// Writers that never stop, and remember when each of their writes was acknowledged.

import Client
import KeyEncoding
import Model
import Synchronization

final class SteadyWriters: Sendable {
    private struct State {
        /// When the write was sent, and when its acknowledgement came.
        var acknowledged: [(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)] = []
        var lastFailure: String?
        var hasStopped = false
    }

    private let state = Mutex(State())
    private let client: CoxswainClient
    private let table: String

    init(_ client: CoxswainClient, table: String) {
        self.client = client
        self.table = table
    }

    /// Runs `count` writers over `keys` while `work` does its own.
    func around<Result: Sendable>(
        _ count: Int, keys: [String], _ work: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<count { group.addTask { [self] in await write(writer, of: count, keys) } }
            defer { state.withLock { $0.hasStopped = true } }
            return try await work()
        }
    }

    private func write(_ writer: Int, of count: Int, _ keys: [String]) async {
        var turn = writer
        while !state.withLock({ $0.hasStopped }) {
            let key = keys[turn % keys.count]
            turn += count
            let row = JSONValue.object(["id": .string(key), "body": .string("\(turn)")])
            let sent = ContinuousClock.now
            do throws(ClientError) {
                _ = try await client.put(row, key: JSONValue.array([.string(key)]).text, in: table)
                state.withLock { $0.acknowledged.append((sent, .now)) }
            } catch {
                state.withLock { $0.lastFailure = "\(error)" }
            }
        }
    }

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
