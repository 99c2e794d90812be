import Client
import Synchronization

/// Four writers that never stop, each at another of these members by turns, and remember every acknowledgement.
final class GroupWriters: Sendable {
    private struct State {
        var acknowledged: [(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)] = []
        var failures = 0
        var firstFailure: String?
        var hasStopped = false
    }

    private let state = Mutex(State())
    private let group: any ComparedGroup
    private let members: [GroupMember]
    private let patience: Int64

    /// - Parameter patience: milliseconds that a write waits for its answer.
    init(_ group: any ComparedGroup, at members: [GroupMember], patience: Int64) {
        self.group = group
        self.members = members
        self.patience = patience
    }

    func around<Result: Sendable>(_ work: () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for writer in 0..<4 { tasks.addTask { [self] in await write(writer) } }
            defer { state.withLock { $0.hasStopped = true } }
            return try await work()
        }
    }

    private func write(_ writer: Int) async {
        var turn = writer
        while !state.withLock({ $0.hasStopped }) {
            turn += 1
            let sent = ContinuousClock.now
            let refusal: String
            do {
                let answer = try await group.ask(
                    group.put("w\(writer)", "\(turn)"), at: members[turn % members.count], milliseconds: patience)
                guard answer.status != 200 else {
                    state.withLock { $0.acknowledged.append((sent, .now)) }
                    continue
                }
                refusal = "\(answer.status) \(answer.body?.text ?? "")"
            } catch { refusal = "\(error)" }
            state.withLock { state in
                state.failures += 1
                state.firstFailure = state.firstFailure ?? "after \((.now - sent).inMilliseconds) ms: \(refusal)"
            }
            // A member without a leader may answer at once.
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Answers other than success, and answers that never came.
    var failures: Int { state.withLock { $0.failures } }
    /// The first of them in words.
    var firstFailure: String? { state.withLock { $0.firstFailure } }

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
