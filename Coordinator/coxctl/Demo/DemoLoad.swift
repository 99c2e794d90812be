// The demo's clients: they write and read without pause, and remember every answer, so that at the end nothing can be claimed
// that is not so. YCSB A: half updates, half reads, keys by Zipf's law.

import Client
import Model
import Synchronization

/// Rows of `usertable`, their numbers, and who writes them.
struct DemoKeys: Sendable {
    let count: Int
    let workers: Int

    func name(_ number: Int) -> String {
        let digits = String(number)
        return "user" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    func keyText(_ number: Int) -> String { JSONValue.array([.string(name(number))]).text }

    /// Each key has one writer, so that what a key may hold is known exactly.
    func number(_ local: Int, of worker: Int) -> Int { min(count - 1, local * workers + worker) }
}

/// Numbers by Zipf's law with YCSB's exponent 0.99.
struct Zipf: Sendable {
    private let cumulative: [Double]

    init(_ count: Int) {
        var sum = 0.0
        cumulative = (1...max(1, count)).map { rank in
            sum += 1 / Self.power(Double(rank))
            return sum
        }
    }

    func draw(_ random: inout some RandomNumberGenerator) -> Int {
        let point = Double.random(in: 0..<(cumulative.last ?? 1), using: &random)
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > point { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// `rank^0.99`, by its neighbour: within a hundredth for every rank in use here.
    private static func power(_ rank: Double) -> Double { rank / (1 + 0.01 * naturalLogarithm(rank)) }

    private static func naturalLogarithm(_ value: Double) -> Double {
        var (mantissa, exponent) = (value, 0.0)
        while mantissa > 1.5 {
            mantissa /= 2
            exponent += 1
        }
        let z = (mantissa - 1) / (mantissa + 1)
        return exponent * 0.693_147_180_559_945 + 2 * (z + z * z * z / 3 + z * z * z * z * z / 5)
    }
}

final class DemoLoad: Sendable {
    /// What one key may hold.
    struct Held: Sendable {
        /// The newest value whose write was acknowledged.
        var acknowledged: String?
        /// Values whose writes had no known outcome.
        var unknown: Set<String> = []

        func admits(_ value: String?) -> Bool { value == acknowledged || value.map(unknown.contains) ?? false }
    }

    struct Totals: Sendable {
        var acknowledged = 0
        var unknown = 0
        var refused = 0
        var reads = 0
        /// Reads that gave what no write could have left.
        var wrong: [String] = []
        /// When each write was acknowledged, and of which key.
        var times: [(at: Int64, key: Int)] = []
        var held: [Int: Held] = [:]
        var lastFailure: String?
    }

    let keys: DemoKeys
    private let client: CoxswainClient
    private let totals = Mutex(Totals())
    private let stopped = Mutex(false)
    private static let table = "usertable"

    init(client: CoxswainClient, keys: DemoKeys) {
        self.client = client
        self.keys = keys
    }

    var current: Totals { totals.withLock { $0 } }
    func stop() { stopped.withLock { $0 = true } }
    private var isStopped: Bool { stopped.withLock { $0 } }

    /// Writes every key once.
    func fill() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<keys.workers {
                group.addTask { [self] in
                    for number in stride(from: worker, to: keys.count, by: keys.workers) {
                        await write(number, value: "first-\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        let done = current
        guard done.acknowledged == keys.count else {
            throw DemoFailure("loaded \(done.acknowledged) of \(keys.count) rows: \(done.lastFailure ?? "no reason given")")
        }
    }

    /// Runs until `stop()`.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<keys.workers { group.addTask { [self] in await work(worker) } }
        }
    }

    private func work(_ worker: Int) async {
        var random = SeededGenerator(seed: UInt64(worker + 1))
        let zipf = Zipf(keys.count / keys.workers)
        var turn = 0
        while !isStopped {
            turn += 1
            let number = keys.number(zipf.draw(&random), of: worker)
            if Bool.random(using: &random) {
                await write(number, value: "w\(worker)-\(turn)")
            } else {
                await read(number)
            }
        }
    }

    private func write(_ number: Int, value: String) async {
        let row = JSONValue.object(["id": .string(keys.name(number)), "field0": .string(value)])
        // Noted before it is sent: an answer may never come.
        totals.withLock { _ = $0.held[number, default: Held()].unknown.insert(value) }
        do throws(ClientError) {
            _ = try await client.put(row, key: keys.keyText(number), in: Self.table)
            let now = BootTime.now()
            totals.withLock {
                $0.acknowledged += 1
                $0.held[number]?.acknowledged = value
                $0.held[number]?.unknown.remove(value)
                $0.times.append((now, number))
            }
        } catch {
            totals.withLock {
                $0.lastFailure = "\(error)"
                if case .outcomeUnknown = error {
                    $0.unknown += 1
                    return
                }
                $0.refused += 1
                $0.held[number]?.unknown.remove(value)
            }
        }
    }

    private func read(_ number: Int) async {
        do throws(ClientError) {
            let value = try await client.get(key: keys.keyText(number), in: Self.table)?["field0"]?.string
            totals.withLock {
                $0.reads += 1
                if !($0.held[number] ?? Held()).admits(value) {
                    $0.wrong.append("\(keys.name(number)) held \(value ?? "nothing")")
                }
            }
        } catch {
            totals.withLock { $0.lastFailure = "\(error)" }
        }
    }

    /// Reads every key that was ever written, strongly, and counts those that hold something else than they must.
    func audit() async throws -> (rows: Int, lost: [String]) {
        let held = current.held
        return try await withThrowingTaskGroup(of: [String].self) { group in
            for worker in 0..<keys.workers {
                group.addTask { [self] in
                    var lost: [String] = []
                    for number in held.keys.sorted() where number % keys.workers == worker {
                        let value = try await client.get(key: keys.keyText(number), in: Self.table)?["field0"]?.string
                        if let admitted = held[number], !admitted.admits(value) {
                            lost.append("\(keys.name(number)): \(value ?? "nothing") for \(admitted.acknowledged ?? "nothing")")
                        }
                    }
                    return lost
                }
            }
            return (held.count, try await group.reduce(into: []) { $0 += $1 })
        }
    }

    /// The longest time between two acknowledged writes of `keys` that both fall into the time given.
    func longestGap(from start: Int64, to end: Int64, among contains: (Int) -> Bool) -> Int64 {
        var times: [Int64] = []
        for entry in current.times where entry.at >= start && entry.at <= end && contains(entry.key) { times.append(entry.at) }
        times.sort()
        guard let first = times.first else { return end - start }
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? (end - first)
    }

    /// When the first write of such a key was acknowledged after `start`.
    func firstAcknowledged(after start: Int64, among contains: (Int) -> Bool) -> Int64? {
        var first: Int64?
        for entry in current.times where entry.at > start && contains(entry.key) { first = min(first ?? .max, entry.at) }
        return first
    }
}
