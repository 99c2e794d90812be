// What the clients did and were told. One book for all loads: every write has a value of its own, and a register is a row, or the rows
// of a bank, which are one because they are only ever written as one.

import Client
import Model
import SimulationKit
import Synchronization
import LoadLedger

final class History: Sendable {
    fileprivate struct State {
        var calls: [Call] = []
        var ledger = Ledger()
        var registers: [String: Int] = [:]
        var lastValue: UInt64 = 0
        var failedReads = 0
        var strange: [String] = []
        var acknowledgedAt: [Int64] = []
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    var now: LogicalInstant {
        LogicalInstant(microseconds: Int64((ContinuousClock.now - start) / .microseconds(1)))
    }

    /// A value that no other write has.
    func nextValue() -> UInt64 {
        state.withLock { state in
            state.lastValue += 1
            return state.lastValue
        }
    }

    func strange(_ what: String) { state.withLock { $0.strange.append(what) } }

    // MARK: - Writes and reads

    /// Does a write and notes what became of it.
    func write(
        _ value: UInt64, to key: String, as client: Int, _ write: () async throws(ClientError) -> CoxswainClient.Receipt
    ) async {
        let (text, called) = (String(value), now)
        state.withLock { $0.ledger.note(.sent(key: key, value: text)) }
        let result: Result<CoxswainClient.Receipt, ClientError>
        do throws(ClientError) { result = .success(try await write()) } catch { result = .failure(error) }
        let returned = now
        state.withLock { state in
            let register = state.register(key)
            switch result {
            case .success(let receipt):
                state.ledger.note(.acknowledged(key: key, value: text, at: receipt))
                state.acknowledgedAt.append(returned.microseconds)
                state.calls.append(
                    Call(client: client, key: register, operation: .write(value), called: called, returned: returned))
            case .failure(.outcomeUnknown), .failure(.unexpectedAnswer):
                state.calls.append(
                    Call(client: client, key: register, operation: .write(value), called: called, returned: nil))
            case .failure(.refused(let problem)):
                // Nothing changed, they say: then nobody may ever see it.
                state.ledger.note(.refused(key: key, value: text))
                if !problem.isRetryable, problem.status != 421 { state.strange.append("a write of \(key): \(problem)") }
            case .failure(.unreachable): state.ledger.note(.refused(key: key, value: text))
            case .failure(.invalid(let why)): state.strange.append("a write of \(key): \(why)")
            }
        }
    }

    /// Does a strong read and notes what it saw; zero for nothing.
    /// - Returns: what it saw; nil where it was not answered.
    @discardableResult
    func read(_ key: String, as client: Int, _ read: () async throws -> UInt64) async -> UInt64? {
        let called = now
        guard let seen = try? await read() else {
            state.withLock { $0.failedReads += 1 }
            return nil
        }
        let returned = now
        state.withLock { state in
            state.calls.append(
                Call(client: client, key: state.register(key), operation: .read(seen), called: called, returned: returned))
        }
        return seen
    }

    // MARK: - What it says

    var ledger: Ledger { state.withLock { $0.ledger } }
    var strange: [String] { state.withLock { $0.strange } }
    var failedReads: Int { state.withLock { $0.failedReads } }
    var readCount: Int {
        state.withLock { state in
            state.calls.count { if case .read = $0.operation { true } else { false } }
        }
    }

    /// The longest time in which no write was acknowledged anywhere, and when it began.
    var longestSilence: (began: Span, length: Span) {
        let times = state.withLock { $0.acknowledgedAt }.sorted()
        let gap = zip(times, times.dropFirst()).max { $0.1 - $0.0 < $1.1 - $1.0 }
        return (.microseconds(gap?.0 ?? 0), .microseconds(gap.map { $0.1 - $0.0 } ?? 0))
    }

    /// The history with the keys' names, of one key or of all.
    func text(of register: Int? = nil) -> String {
        let (calls, registers) = state.withLock { ($0.calls, $0.registers) }
        let names = Dictionary(uniqueKeysWithValues: registers.map { ($1, $0) })
        return calls.filter { register == nil || $0.key == register }.map { "\(names[$0.key] ?? "?") \($0)\n" }.joined()
    }

    func name(of register: Int) -> String {
        state.withLock { state in state.registers.first { $0.value == register }?.key ?? "?" }
    }

    /// Whether all strong operations of each key have an order that explains what was seen.
    func judge() -> Linearizability.Verdict {
        let calls = state.withLock { $0.calls }
        var seen: [Int: Set<UInt64>] = [:]
        for call in calls { if case .read(let value) = call.operation { seen[call.key, default: []].insert(value) } }
        // A write of unknown outcome that nobody saw needs no place, and would only be tried at each.
        let telling = calls.filter { call in
            guard call.returned == nil, case .write(let value) = call.operation else { return true }
            return seen[call.key]?.contains(value) == true
        }
        return Linearizability.check(telling)
    }
}

extension History.State {
    fileprivate mutating func register(_ key: String) -> Int {
        if let known = registers[key] { return known }
        registers[key] = registers.count
        return registers.count - 1
    }
}
