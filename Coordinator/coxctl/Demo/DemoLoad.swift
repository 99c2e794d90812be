// The demo's clients: they write and read without pause, and remember every answer, so that at the end nothing can be claimed
// that is not so. YCSB A: half updates, half reads, keys by Zipf's law. Both tables are under load, so that whichever agent dies,
// each partition that it led has somebody who waits for it.

import Client
import Model
import Synchronization
import LoadLedger

/// Rows that the load may write, and what it was promised of them.
struct LoadTable: Sendable {
    let subject: LedgerSubject
    /// In key order. Those in front are asked for most.
    let keys: [String]
    /// The row of a key, with a value in it.
    let row: @Sendable (_ number: Int, _ value: String) -> JSONValue
    let book = LedgerBook()

    func keyText(_ number: Int) -> String { JSONValue.array([.string(keys[number])]).text }
}

final class DemoLoad: Sendable {
    /// One acknowledged write.
    struct Acknowledgement: Sendable {
        let at: Int64
        let table: String
        let number: Int
        let receipt: CoxswainClient.Receipt
    }

    struct Progress: Sendable {
        var acknowledged = 0
        var reads = 0
        /// Reads that gave what no write could have left.
        var wrong: [String] = []
        var lastFailure: String?
    }

    private struct State {
        var progress = Progress()
        var acknowledgements: [Acknowledgement] = []
        var isStopped = false
        var isPaused = false
        /// Requests on their way.
        var busy = 0
    }

    static let workers = 16
    /// Of ten requests, how many go to the first table.
    private static let firstTable = 7

    let tables: [LoadTable]
    private let client: CoxswainClient
    private let state = Mutex(State())

    /// - Parameter tables: two of them, the first being the one that is asked most.
    init(client: CoxswainClient, tables: [LoadTable]) {
        precondition(tables.count == 2, "the load knows what to do with two tables, not \(tables.count)")
        self.client = client
        self.tables = tables
    }

    var current: Progress { state.withLock { $0.progress } }
    var acknowledgements: [Acknowledgement] { state.withLock { $0.acknowledgements } }
    func stop() { state.withLock { $0.isStopped = true } }

    /// Writes every key of one table once. Not part of the load, but of its ledger.
    func fill(_ table: LoadTable) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<Self.workers {
                group.addTask { [self] in
                    for number in stride(from: worker, to: table.keys.count, by: Self.workers) {
                        guard try await put(table, number, value: "first-\(number)") != nil else {
                            throw DemoFailure("loading \(table.keys[number]): \(current.lastFailure ?? "no reason given")")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Runs until `stop()`.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<Self.workers { group.addTask { [self] in try await work(worker) } }
            try await group.waitForAll()
        }
    }

    /// Reads back everything that was acknowledged, while the load stands still.
    func audit() async throws -> LedgerAudit {
        try await pause()
        defer { state.withLock { $0.isPaused = false } }
        var whole = LedgerAudit()
        for table in tables {
            let ledger = table.book.current
            whole.merge(
                try await LedgerAudit.run(ledger, of: table.subject, by: client, readers: Self.workers) { key, value in
                    table.keys.firstIndex(of: key).map { table.row($0, value) } ?? table.subject.row(key, value)
                })
            guard ledger.conflicts.isEmpty else {
                throw DemoFailure("two writes were acknowledged at one place: \(ledger.conflicts[0])")
            }
        }
        guard whole.undecided.isEmpty else { throw DemoFailure(whole.undecidedWords) }
        return whole
    }

    private func pause() async throws {
        state.withLock { $0.isPaused = true }
        while state.withLock({ $0.busy > 0 }) { try await Task.sleep(for: .milliseconds(5)) }
    }

    // MARK: - One request after another

    /// Each key has one worker, so that what a read may find is known exactly.
    private func work(_ worker: Int) async throws {
        var random = SeededGenerator(seed: UInt64(worker + 1))
        let own = tables.map { table in Array(stride(from: worker, to: table.keys.count, by: Self.workers)) }
        let ranks = own.map { Zipfian(items: UInt64(max(1, $0.count))) }
        var turn = 0
        while try await takeTurn() {
            defer { state.withLock { $0.busy -= 1 } }
            turn += 1
            let place = Int.random(in: 0..<10, using: &random) < Self.firstTable || own[1].isEmpty ? 0 : 1
            let (table, number) = (tables[place], own[place][Int(ranks[place].rank(&random))])
            if Bool.random(using: &random) {
                guard let receipt = try await put(table, number, value: "w\(worker)-\(turn)") else { continue }
                let now = BootTime.now()
                state.withLock {
                    $0.progress.acknowledged += 1
                    $0.acknowledgements.append(
                        Acknowledgement(at: now, table: table.subject.table, number: number, receipt: receipt))
                }
            } else {
                await read(table, number)
            }
        }
    }

    /// - Returns: false when the load is over.
    private func takeTurn() async throws -> Bool {
        while true {
            let answer: Bool? = state.withLock { state in
                if state.isStopped { return false }
                if state.isPaused { return nil }
                state.busy += 1
                return true
            }
            if let answer { return answer }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// - Returns: nil when it was not acknowledged.
    private func put(_ table: LoadTable, _ number: Int, value: String) async throws -> CoxswainClient.Receipt? {
        let key = table.keys[number]
        let once = CoxswainClient.onceKey()
        try table.book.note(.sent(key: key, value: value, once: once))
        do throws(ClientError) {
            let receipt = try await Ledger.asking { () async throws(ClientError) in
                try await client.put(
                    table.row(number, value), key: table.keyText(number), in: table.subject.table, once: once)
            }
            try? table.book.note(.acknowledged(key: key, value: value, at: receipt))
            return receipt
        } catch {
            state.withLock { $0.progress.lastFailure = "\(error)" }
            switch error {
            case .outcomeUnknown, .unexpectedAnswer: break
            case .refused, .unreachable, .invalid: try table.book.note(.refused(key: key, value: value))
            }
            return nil
        }
    }

    private func read(_ table: LoadTable, _ number: Int) async {
        let key = table.keys[number]
        do throws(ClientError) {
            let row = try await client.get(key: table.keyText(number), in: table.subject.table)
            let found = row?[table.subject.valueColumn]?.string
            let finding = table.book.judge(key, found: found)
            state.withLock {
                $0.progress.reads += 1
                if case .lost = finding { $0.progress.wrong.append("\(key) held \(found ?? "nothing")") }
            }
        } catch {
            state.withLock { $0.progress.lastFailure = "\(error)" }
        }
    }

    // MARK: - What the acknowledgements tell

    /// The longest time between two acknowledged writes to such rows of the first table that both fall into the time given.
    func longestGap(from start: Int64, to end: Int64, among contains: (Int) -> Bool) -> Int64 {
        let table = tables[0].subject.table
        let times = acknowledgements.filter { $0.at >= start && $0.at <= end && $0.table == table && contains($0.number) }
            .map(\.at).sorted()
        guard let first = times.first else { return end - start }
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? (end - first)
    }

    /// For each partition, when a write to it was first acknowledged in an epoch above the one given.
    func firstAcknowledged(above epochs: [UInt64: UInt64]) -> [UInt64: Int64] {
        var first: [UInt64: Int64] = [:]
        for one in acknowledgements {
            guard let epoch = epochs[one.receipt.partition], one.receipt.position.epoch.number > epoch else { continue }
            first[one.receipt.partition] = min(first[one.receipt.partition] ?? .max, one.at)
        }
        return first
    }
}
