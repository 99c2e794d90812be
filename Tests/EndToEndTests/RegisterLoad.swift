import Foundation
import Model
import NIOHTTP1
import SimulationKit
import Synchronization

/// Clients that write and read configuration entries through any member, and remember what they were told.
///
/// Some write registers that all write and read: what they saw must have an order. One writes each entry of a ledger for itself: what it
/// was told was done must stand there at the end, done once. A write is asked again, under the same name, until somebody says that it
/// was done.
final class RegisterLoad: Sendable {
    /// What was seen while a story was told, and what was found afterwards.
    struct Report: Sendable {
        fileprivate(set) var calls: [SimulationKit.Call] = []
        /// Writes that nobody answered for half a minute of asking again.
        fileprivate(set) var unanswered: [String] = []
        /// What is not as it was acknowledged, when all was over.
        fileprivate(set) var lost: [String] = []
        fileprivate(set) var writes = 0
        fileprivate(set) var reads = 0
        /// Answers to a write other than that it was done.
        fileprivate(set) var refusals: [String: Int] = [:]
        fileprivate(set) var longestWrite = Duration.zero
    }

    private static let registers = 3
    /// The clients go on to new registers after so many writes, for the longer one's history is, the longer its judge takes.
    private static let valuesOfRegisters: UInt64 = 1_000
    private static let ledgerEntries: UInt64 = 2_000
    private static let patienceForOne = Duration.seconds(30)
    /// Writes, and reads, that are done at the least: however short a story is, it is told under load.
    private static let share = 100

    private struct Acknowledged: Hashable {
        let value: UInt64
        /// The index of the log's entry that did it.
        let version: UInt64
    }

    private struct State {
        var report = Report()
        var lastValue: UInt64 = 0
        var isStopped = false
        /// When the last write began of those that were acknowledged.
        var newestBeginning = ContinuousClock.now
        var ledger: [String: Acknowledged] = [:]
        /// The versions of registers' values, as writers were told and as readers were.
        var versions: [UInt64: Set<UInt64>] = [:]
    }

    private let group: CoordinatorGroup
    private let state = Mutex(State())
    private let start = ContinuousClock.now

    private init(_ group: CoordinatorGroup) { self.group = group }

    /// Runs `story` while the clients work, then looks at what became of what they did. Every member must be up by then.
    static func during(
        _ group: CoordinatorGroup, _ story: (RegisterLoad) async throws -> Void
    ) async throws -> Report {
        let load = RegisterLoad(group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in 0..<4 { tasks.addTask { await load.writeRegisters(as: client) } }
            tasks.addTask { await load.writeLedger(as: 4) }
            for client in 5..<9 { tasks.addTask { await load.read(as: client) } }
            let result: Result<Void, any Error>
            do {
                try await story(load)
                try await expectEventually("the clients did their share", within: 20) {
                    load.state.withLock { $0.report.writes >= Self.share && $0.report.reads >= Self.share }
                }
                result = .success(())
            } catch { result = .failure(error) }
            load.state.withLock { $0.isStopped = true }
            try await tasks.waitForAll()
            try result.get()
        }
        for name in group.names { try await load.audit(at: name) }
        return load.state.withLock { $0.report }
    }

    /// Waits for nothing in particular: the clients go on, and what is wrong has time to show in what they are answered.
    func letItRun(for span: Duration, since start: ContinuousClock.Instant = .now) async throws {
        try await Task.sleep(until: start + span, clock: .continuous)
    }

    /// Waits until a write is done that was begun after now.
    /// - Returns: how long that took.
    @discardableResult
    func nextWrite(within seconds: Double = 15, _ occasion: String) async throws -> Duration {
        let asked = ContinuousClock.now
        try await expectEventually("a write is done: \(occasion)", within: seconds) {
            state.withLock { $0.newestBeginning > asked }
        }
        return ContinuousClock.now - asked
    }

    // MARK: - Clients

    private var now: LogicalInstant {
        LogicalInstant(microseconds: Int64((ContinuousClock.now - start) / .microseconds(1)))
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private static func register(of value: UInt64) -> Int {
        Int(value / valuesOfRegisters) * registers + Int(value) % registers
    }

    private func nextValue() -> UInt64 {
        state.withLock { state in
            state.lastValue += 1
            return state.lastValue
        }
    }

    private func writeRegisters(as client: Int) async {
        var member = client
        while !isStopped {
            let (value, called) = (nextValue(), now)
            let register = Self.register(of: value)
            let version = await write(value, to: "app.register-\(register)", at: &member)
            let call = SimulationKit.Call(
                client: client, key: register, operation: .write(value), called: called,
                returned: version == nil ? nil : now)
            state.withLock { state in
                state.report.calls.append(call)
                if let version { state.versions[value, default: []].insert(version) }
            }
        }
    }

    private func writeLedger(as client: Int) async {
        var member = client
        while !isStopped {
            let value = nextValue()
            let key = "app.ledger-\(value % Self.ledgerEntries)"
            guard let version = await write(value, to: key, at: &member) else {
                // It may yet come to be, so nothing is known of this entry any more.
                state.withLock { $0.ledger[key] = nil }
                continue
            }
            state.withLock { $0.ledger[key] = Acknowledged(value: value, version: version) }
        }
    }

    /// Asks one member after the other for a write, until one says that it was done.
    ///
    /// - Parameter member: whom to ask first. It stays for as long as it answers, but every so often another's turn comes anyway.
    /// - Returns: the version that it gave; nil when nobody said so in time.
    private func write(_ value: UInt64, to key: String, at member: inout Int) async -> UInt64? {
        defer { state.withLock { $0.report.writes += 1 } }
        let began = ContinuousClock.now
        var last = ""
        if value.isMultiple(of: 16) { member += 1 }
        while ContinuousClock.now < began + Self.patienceForOne {
            let names = group.names
            do {
                let answer = try await group.operators.send(
                    .PUT, group.api(names[member % names.count]) + "/config/global/entries/\(key)",
                    body: "{\"value\":\(value)}", headers: [("idempotency-key", "write-\(value)")], within: 2)
                if answer.status == 200, let version = answer.json["version"]?.number {
                    state.withLock { state in
                        state.newestBeginning = max(state.newestBeginning, began)
                        state.report.longestWrite = max(state.report.longestWrite, ContinuousClock.now - began)
                    }
                    try? await Task.sleep(for: .milliseconds(5))
                    return UInt64(version)
                }
                last = "\(answer.status) \(answer.code)"
            } catch { last = "\(error)" }
            state.withLock { $0.report.refusals[last, default: 0] += 1 }
            member += 1
            try? await Task.sleep(for: .milliseconds(20))
        }
        state.withLock { $0.report.unanswered.append("write of \(value): \(last)") }
        return nil
    }

    /// Reads at one member for as long as it answers, and then at the next; what is not answered tells nothing.
    private func read(as client: Int) async {
        var (round, member) = (client, client)
        while !isStopped {
            round += 1
            if round.isMultiple(of: 16) { member += 1 }
            let newest = state.withLock { $0.lastValue }
            let (names, register) = (group.names, Self.register(of: newest / 3 * 3 + UInt64(round % 3)))
            if await !read(register, at: names[member % names.count], as: client) { member += 1 }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// - Returns: whether it was answered.
    private func read(_ register: Int, at name: String, as client: Int) async -> Bool {
        let called = now
        let url = group.api(name) + "/config/global/entries/app.register-\(register)"
        guard let answer = try? await group.operators.send(.GET, url, within: 2) else { return false }
        var seen: UInt64 = 0
        switch answer.status {
        case 404: break
        case 200:
            guard let value = answer.json["value"]?.number, let version = answer.json["version"]?.number else { return false }
            seen = UInt64(value)
            state.withLock { _ = $0.versions[seen, default: []].insert(UInt64(version)) }
        default: return false
        }
        let call = SimulationKit.Call(client: client, key: register, operation: .read(seen), called: called, returned: now)
        state.withLock { state in
            state.report.calls.append(call)
            state.report.reads += 1
        }
        return true
    }

    // MARK: - Audit

    /// Asks one member for everything, when nothing goes on any more.
    private func audit(at name: String) async throws {
        let newest = state.withLock { Self.register(of: $0.lastValue) / Self.registers }
        for register in newest * Self.registers..<(newest + 1) * Self.registers {
            try await expectEventually("\(name) answers at the end", within: 10) { await read(register, at: name, as: 9) }
        }
        let answer = try await group.operators.send(.GET, group.api(name) + "/config/global", within: 5)
        guard answer.status == 200 else { throw Failure("\(name) shows no entries: \(answer.status) \(answer.text)") }
        let entries = answer.json
        state.withLock { state in
            for (key, told) in state.ledger.sorted(by: { $0.key < $1.key }) {
                let found = entries[key]?.number.map { UInt64($0) }
                let version = entries["_versions"]?[key]?.number.map { UInt64($0) }
                guard found != told.value || version != told.version else { continue }
                state.report.lost.append(
                    "\(key) at \(name): \(told) was acknowledged, \(found, default: "nothing") of \(version, default: "-") is there"
                )
            }
            // One version each: a write was done once, however often it was asked for.
            for (value, versions) in state.versions.sorted(by: { $0.key < $1.key }) where versions.count > 1 {
                state.report.lost.append("\(value) was written more than once: \(versions.sorted())")
            }
        }
    }
}
