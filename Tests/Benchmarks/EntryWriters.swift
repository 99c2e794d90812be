import Client
import KeyEncoding
import Synchronization

/// Four writers that set configuration entries without pause, at these members of the group, and remember every acknowledgement.
final class EntryWriters: Sendable {
    private struct State {
        var acknowledged: [(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)] = []
        var hasStopped = false
    }

    private let state = Mutex(State())
    private let calls: HTTPCalls
    private let endpoints: [String]

    init(_ calls: HTTPCalls, endpoints: [String]) {
        self.calls = calls
        self.endpoints = endpoints
    }

    /// In the order in which they came.
    var acknowledgements: [(sent: ContinuousClock.Instant, at: ContinuousClock.Instant)] { state.withLock { $0.acknowledged } }

    func around<Result: Sendable>(_ work: @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 { group.addTask { [self] in await write(writer) } }
            defer { state.withLock { $0.hasStopped = true } }
            return try await work()
        }
    }

    private func write(_ writer: Int) async {
        var turn = writer
        while !state.withLock({ $0.hasStopped }) {
            turn += 1
            let url = "\(endpoints[turn % endpoints.count])/api/v1/config/global/entries/app.failover-\(writer)"
            let sent = ContinuousClock.now
            let body = JSONValue.object(["value": .number(turn)]).text
            if let answer = try? await calls.call(.put, url, body: body, milliseconds: 300), answer.status == 200 {
                state.withLock { $0.acknowledged.append((sent, .now)) }
            } else {
                // A member without a leader answers at once.
                try? await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}
