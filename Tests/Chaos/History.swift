// What the clients did and were told. One book for all loads: every write has a value of its own, and a register is a row, or the rows
// of a bank, which are one because they are only ever written as one.

import Client
import Model
import SimulationKit
import Synchronization
import LoadLedger

final class History: Sendable {
    /// Sends a write, each time under the same key (rule R8).
    typealias Write = @Sendable () async throws(ClientError) -> CoxswainClient.Receipt

    /// A write of which nobody has said yet what became of it.
    fileprivate struct OpenWrite: Sendable {
        let value: UInt64
        let key: String
        /// Where its call stands.
        let index: Int
        let write: Write
    }

    fileprivate struct State {
        var calls: [Call] = []
        var ledger = Ledger()
        var registers: [String: Int] = [:]
        var lastValue: UInt64 = 0
        var failedReads = 0
        var strange: [String] = []
        var acknowledgedAt: [Int64] = []
        /// Where acknowledged writes stand, by their values.
        var positions: [UInt64: Position] = [:]
        /// Of each key, acknowledgements in the order of time, with the furthest until then.
        var acknowledgements: [String: [(at: LogicalInstant, furthest: Position)]] = [:]
        var openWrites: [OpenWrite] = []
        var resolved = 0
        var copyReads: [CopyRead] = []
    }

    private let state = Mutex(State())
    private let clock: @Sendable () -> LogicalInstant

    init(clock: @escaping @Sendable () -> LogicalInstant) { self.clock = clock }

    convenience init() {
        let start = ContinuousClock.now
        self.init { LogicalInstant(microseconds: Int64((ContinuousClock.now - start) / .microseconds(1))) }
    }

    var now: LogicalInstant { clock() }

    /// A value that no other write has.
    func nextValue() -> UInt64 {
        state.withLock { state in
            state.lastValue += 1
            return state.lastValue
        }
    }

    func strange(_ what: String) { state.withLock { $0.strange.append(what) } }

    // MARK: - Writes and reads

    /// Does a write and notes what became of it. Where nobody says so, `resolve` asks again.
    func write(_ value: UInt64, to key: String, as client: Int, _ write: @escaping Write) async {
        let (text, called) = (String(value), now)
        state.withLock { $0.ledger.note(.sent(key: key, value: text)) }
        let result: Result<CoxswainClient.Receipt, ClientError>
        do throws(ClientError) { result = .success(try await write()) } catch { result = .failure(error) }
        let returned = now
        state.withLock { state in
            let register = state.register(key)
            func call(_ returned: LogicalInstant?) -> Call {
                Call(client: client, key: register, operation: .write(value), called: called, returned: returned)
            }
            switch result {
            case .success(let receipt):
                state.acknowledged(value, of: key, at: receipt, returned)
                state.calls.append(call(returned))
            case .failure(.outcomeUnknown), .failure(.unexpectedAnswer):
                state.openWrites.append(OpenWrite(value: value, key: key, index: state.calls.count, write: write))
                state.calls.append(call(nil))
            case .failure(.refused(let problem)):
                // Nothing changed, they say: then nobody may ever see it.
                state.ledger.note(.refused(key: key, value: text))
                if !problem.isRetryable, problem.status != 421 { state.strange.append("a write of \(key): \(problem)") }
            case .failure(.unreachable): state.ledger.note(.refused(key: key, value: text))
            case .failure(.invalid(let why)): state.strange.append("a write of \(key): \(why)")
            }
        }
    }

    /// Asks once for each write of unknown outcome what became of it. Who is answered may have had it done just now: it is an acknowledged
    /// write from then on, and takes effect between its first call and that answer.
    /// - Returns: how many are open still.
    @discardableResult
    func resolve() async -> Int {
        let open = state.withLock { state in
            defer { state.openWrites = [] }
            return state.openWrites
        }
        await withTaskGroup(of: Void.self) { group in
            for one in open { group.addTask { [self] in await resolve(one) } }
        }
        return state.withLock { $0.openWrites.count }
    }

    private func resolve(_ open: OpenWrite) async {
        let result: Result<CoxswainClient.Receipt, ClientError>
        do throws(ClientError) { result = .success(try await open.write()) } catch { result = .failure(error) }
        let returned = now
        state.withLock { state in
            switch result {
            case .success(let receipt):
                let receipt = CoxswainClient.Receipt(
                    partition: receipt.partition, position: receipt.position, mayBeEarlier: true)
                state.acknowledged(open.value, of: open.key, at: receipt, returned)
                state.resolved += 1
                let call = state.calls[open.index]
                state.calls[open.index] = Call(
                    client: call.client, key: call.key, operation: call.operation, called: call.called, returned: returned)
            // Too old to be told of: it stays open in the ledger.
            case .failure(.refused(let problem)) where problem.code == "IDEMPOTENCY_KEY_EXPIRED": break
            case .failure(.refused(let problem)) where !problem.isRetryable && problem.status != 421:
                state.strange.append("a write of \(open.key), asked for again: \(problem)")
            // This try did nothing; the first may have.
            case .failure: state.openWrites.append(open)
            }
        }
    }

    /// Does a strong read and notes what it saw; zero for nothing.
    /// - Returns: what it saw; nil where it was not answered.
    @discardableResult
    func read(_ key: String, as client: Int, _ read: () async throws -> UInt64) async -> UInt64? {
        let called = now
        guard let seen = await answer(of: key, read) else { return nil }
        let returned = now
        state.withLock { state in
            state.calls.append(
                Call(client: client, key: state.register(key), operation: .read(seen), called: called, returned: returned))
        }
        return seen
    }

    /// Does a read that any copy may answer, and notes what it saw; zero for nothing.
    /// - Parameter bound: how old the answer may be; nil for as old as it likes.
    func readCopy(_ key: String, within bound: Span?, _ read: () async throws -> UInt64) async {
        let called = now
        guard let seen = await answer(of: key, read) else { return }
        state.withLock { $0.copyReads.append(CopyRead(key: key, value: seen, bound: bound, called: called)) }
    }

    /// What a read saw; nil where it was not answered, or was refused as it may be for a while. No other refusal is due to any trouble.
    private func answer(of key: String, _ read: () async throws -> UInt64) async -> UInt64? {
        do { return try await read() } catch {
            state.withLock { state in
                state.failedReads += 1
                guard case .refused(let problem)? = error as? ClientError, !problem.isRetryable, problem.status != 421 else {
                    return
                }
                state.strange.append("a read of \(key): \(problem)")
            }
            return nil
        }
    }

    // MARK: - What it says

    var ledger: Ledger { state.withLock { $0.ledger } }
    var strange: [String] { state.withLock { $0.strange } }
    var failedReads: Int { state.withLock { $0.failedReads } }
    /// Writes of which nobody said at first what became of them, and somebody did when he was asked again.
    var resolvedCount: Int { state.withLock { $0.resolved } }
    var copyReadCount: Int { state.withLock { $0.copyReads.count } }
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
    func judge(limit: Int = 5_000_000) -> Linearizability.Verdict {
        let (calls, positions) = state.withLock { ($0.calls, $0.positions) }
        var seen: [Int: Set<UInt64>] = [:]
        for call in calls { if case .read(let value) = call.operation { seen[call.key, default: []].insert(value) } }
        // A write of unknown outcome that nobody saw needs no place, and would only be tried at each.
        let telling = calls.filter { call in
            guard call.returned == nil, case .write(let value) = call.operation else { return true }
            return seen[call.key]?.contains(value) == true
        }
        return Linearizability.check(Self.narrowed(telling, by: positions).calls, limit: limit)
    }

    /// Pairs of writes of which the first was acknowledged before the second was called, and stands behind it.
    var disorders: [String] {
        let (calls, positions) = state.withLock { ($0.calls, $0.positions) }
        return Self.narrowed(calls, by: positions).disorders.map { "\(name(of: $0.key)): \($0) stands out of its time" }
    }

    /// Acknowledged writes of a register take effect in the order of their positions: none before one that stands earlier was called, and none
    /// after one that stands later was answered. So what was answered late has hardly more places to be tried at than what was not.
    /// - Returns: the calls, and those for which no time is left.
    private static func narrowed(_ calls: [Call], by positions: [UInt64: Position]) -> (calls: [Call], disorders: [Call]) {
        var (calls, disorders) = (calls, [Call]())
        var placed: [Int: [(position: Position, index: Int)]] = [:]
        for (index, call) in calls.enumerated() {
            guard case .write(let value) = call.operation, let position = positions[value], call.returned != nil else {
                continue
            }
            placed[call.key, default: []].append((position, index))
        }
        for (_, writes) in placed.sorted(by: { $0.key < $1.key }) {
            let order = writes.sorted { ($0.position, $0.index) < ($1.position, $1.index) }.map { $0.index }
            var earliest = order.map { calls[$0].called }
            for place in order.indices.dropFirst() { earliest[place] = max(earliest[place], earliest[place - 1]) }
            var latest: LogicalInstant?
            for (place, index) in zip(order.indices, order).reversed() {
                let call = calls[index]
                guard let returned = call.returned else { continue }
                let end = min(returned, latest ?? returned)
                latest = end
                guard earliest[place] <= end else {
                    disorders.append(call)
                    continue
                }
                calls[index] = Call(
                    client: call.client, key: call.key, operation: call.operation, called: earliest[place], returned: end)
            }
        }
        return (calls, disorders)
    }

    /// Answers of copies that may not be: of what was never written or was refused, or older than their bound; and how many hang on a
    /// write whose place nobody knows. The time counts from before the question, by a clock that may drift as rule L2 allows.
    func judgeCopies() -> (wrong: [String], undecided: Int) {
        let (reads, calls, registers, acknowledgements, positions) = state.withLock {
            ($0.copyReads, $0.calls, $0.registers, $0.acknowledgements, $0.positions)
        }
        // Refused ones are not among the calls.
        var written: [UInt64: Int] = [:]
        for call in calls { if case .write(let value) = call.operation { written[value] = call.key } }
        var (wrong, undecided) = ([String](), 0)
        for read in reads {
            guard read.value == 0 || (written[read.value] != nil && written[read.value] == registers[read.key]) else {
                wrong.append("a copy answered \(read.key) with \(read.value), which was never written there")
                continue
            }
            guard let bound = read.bound else { continue }
            let limit = read.called - bound * 101 / 100 - .milliseconds(1)
            guard let due = acknowledgements[read.key]?.last(where: { $0.at < limit })?.furthest else { continue }
            guard read.value == 0 || positions[read.value] != nil else {
                undecided += 1
                continue
            }
            let found = positions[read.value] ?? .zero
            if found < due {
                wrong.append(
                    "a copy answered \(read.key), asked at \(read.called) for what is \(bound) old at most, with \(read.value) at "
                        + "\(found), and \(due) was acknowledged before")
            }
        }
        return (wrong, undecided)
    }
}

/// A read that was answered without the promise of a strong one.
private struct CopyRead: Sendable {
    let key: String
    let value: UInt64
    let bound: Span?
    /// Before it was sent.
    let called: LogicalInstant
}

extension History.State {
    fileprivate mutating func register(_ key: String) -> Int {
        if let known = registers[key] { return known }
        registers[key] = registers.count
        return registers.count - 1
    }

    fileprivate mutating func acknowledged(
        _ value: UInt64, of key: String, at receipt: CoxswainClient.Receipt, _ now: LogicalInstant
    ) {
        ledger.note(.acknowledged(key: key, value: String(value), at: receipt))
        acknowledgedAt.append(now.microseconds)
        positions[value] = receipt.position
        let before = acknowledgements[key]?.last?.furthest ?? .zero
        if before < receipt.position { acknowledgements[key, default: []].append((now, receipt.position)) }
    }
}
