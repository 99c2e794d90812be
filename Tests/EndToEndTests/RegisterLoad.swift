import Foundation
import Model
import NIOHTTP1
import SimulationKit
import Synchronization

/// Clients that write and read a few registers (configuration entries) through any member, and remember what they were told.
final class RegisterLoad: Sendable {
    private static let keys = 3
    private static let patienceForOne = Duration.seconds(30)

    private struct State {
        var calls: [SimulationKit.Call] = []
        var lastValue: UInt64 = 0
        var isStopped = false
        var unanswered: [String] = []
    }

    private let group: CoordinatorGroup
    private let state = Mutex(State())
    private let start = ContinuousClock.now

    private init(_ group: CoordinatorGroup) { self.group = group }

    /// What was seen while `body` ran: every call, and the writes to which no answer came for half a minute of asking again.
    static func during(
        _ group: CoordinatorGroup, _ body: () async throws -> Void
    ) async throws -> (calls: [SimulationKit.Call], unanswered: [String]) {
        let load = RegisterLoad(group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in 0..<6 {
                tasks.addTask { client.isMultiple(of: 2) ? await load.write(as: client) : await load.read(as: client) }
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            load.state.withLock { $0.isStopped = true }
            try await tasks.waitForAll()
            try result.get()
        }
        return load.state.withLock { ($0.calls, $0.unanswered) }
    }

    private var now: LogicalInstant {
        LogicalInstant(microseconds: Int64((ContinuousClock.now - start) / .microseconds(1)))
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Writes one value after the other. The same request is asked again, at the next member, until somebody says that it was done: it
    /// is applied once all the same.
    private func write(as client: Int) async {
        var round = client
        while !isStopped {
            let value = state.withLock { state in
                state.lastValue += 1
                return state.lastValue
            }
            let (key, called) = (Int(value) % Self.keys, now)
            let deadline = ContinuousClock.now + Self.patienceForOne
            var (isDone, last) = (false, "")
            while !isDone, ContinuousClock.now < deadline {
                round += 1
                let names = group.names
                do {
                    let answer = try await group.operators.send(
                        .PUT, group.api(names[round % names.count]) + "/config/global/entries/app.register-\(key)",
                        body: "{\"value\":\(value)}", headers: [("idempotency-key", "write-\(value)")], within: 2)
                    isDone = answer.status == 200
                    last = "\(answer.status) \(answer.text)"
                } catch { last = "\(error)" }
                if !isDone { try? await Task.sleep(for: .milliseconds(20)) }
            }
            note(client, key, .write(value), since: called, isAnswered: isDone)
            if !isDone { state.withLock { $0.unanswered.append("write of \(value): \(last)") } }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Reads at one member after the other; what is not answered tells nothing.
    private func read(as client: Int) async {
        var round = client
        while !isStopped {
            round += 1
            let (names, key, called) = (group.names, round % Self.keys, now)
            let url = group.api(names[(round / Self.keys) % names.count]) + "/config/global/entries/app.register-\(key)"
            if let answer = try? await group.operators.send(.GET, url, within: 2) {
                if answer.status == 404 { note(client, key, .read(0), since: called, isAnswered: true) }
                if answer.status == 200, let value = answer.json["value"]?.number {
                    note(client, key, .read(UInt64(value)), since: called, isAnswered: true)
                }
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private func note(_ client: Int, _ key: Int, _ operation: RegisterOperation, since called: LogicalInstant, isAnswered: Bool)
    {
        let call = SimulationKit.Call(
            client: client, key: key, operation: operation, called: called, returned: isAnswered ? now : nil)
        state.withLock { $0.calls.append(call) }
    }
}
