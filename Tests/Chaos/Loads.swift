// Clients that never rest: rows as YCSB A asks for them, and banks whose accounts are only ever written together.

import Client
import KeyEncoding
import Model
import Synchronization
import LoadLedger

/// When the clients shall end.
final class Stopping: Sendable {
    private let state = Mutex(false)
    var isAsked: Bool { state.withLock { $0 } }
    func ask() { state.withLock { $0 = true } }
}

/// Half reads, half updates, of keys of which few are asked for often. Now and then all clients turn to fresh keys: the old ones stay
/// and are audited at the end, and no register's history grows so long that nobody can judge it.
struct RowLoad: Sendable {
    static let table = "usertable"
    static let items: UInt64 = 1_000
    private static let generation = Duration.seconds(15)
    private static let bounds = [Span.milliseconds(300), .seconds(2)]
    private static let filler = String(repeating: "x", count: 100)

    let history: History
    let stopping: Stopping

    static func key(_ item: UInt64, generation: Int64) -> String {
        "u\(digits(item, 4))-g\(digits(UInt64(generation), 4))"
    }

    /// Where the table may be split: between any two items.
    static func bound(_ item: UInt64) -> String { "u\(digits(item, 4))" }

    private static func digits(_ number: UInt64, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }

    func run(as number: Int, _ client: CoxswainClient, _ seeded: SeededGenerator) async {
        var random = seeded
        let zipfian = Zipfian(items: Self.items)
        while !stopping.isAsked {
            let generation = history.now.microseconds / Int64(Self.generation / .microseconds(1))
            let key = Self.key(zipfian.item(&random), generation: generation)
            if Bool.random(using: &random) {
                await read(key, as: number, client)
            } else {
                await update(key, as: number, client)
            }
        }
    }

    /// Some clients are content with what any copy knows, or with what was so a while ago.
    private func read(_ key: String, as number: Int, _ client: CoxswainClient) async {
        switch number % 6 {
        case 4:
            await history.readCopy(key, within: nil) { try await Self.read(key, client, .eventual) }
        case 5:
            let bound = Self.bounds[number / 6 % Self.bounds.count]
            await history.readCopy(key, within: bound) { try await Self.read(key, client, .bounded, within: bound) }
        default: await history.read(key, as: number) { try await Self.read(key, client) }
        }
    }

    private func update(_ key: String, as number: Int, _ client: CoxswainClient) async {
        let value = history.nextValue()
        let row = JSONValue.object(["id": .string(key), "value": .string(String(value)), "filler": .string(Self.filler)])
        let once = CoxswainClient.onceKey()
        await history.write(value, to: key, as: number) { () async throws(ClientError) in
            try await client.put(row, key: JSONValue.array([.string(key)]).text, in: Self.table, once: once)
        }
    }

    /// What a row holds; zero for none.
    static func read(
        _ key: String, _ client: CoxswainClient, _ consistency: RowConsistency = .strong, within bound: Span? = nil
    ) async throws -> UInt64 {
        let row = try await client.get(
            key: JSONValue.array([.string(key)]).text, in: table, consistency: consistency, maxStaleness: bound)
        guard let row else { return 0 }
        guard let value = row["value"]?.unsigned else { throw ChaosFailure("\(key) has no value: \(row.text)") }
        return value
    }
}

/// Each transfer moves an amount between two accounts of a bank and writes all of them in one batch, with its own number in each. So
/// whoever reads a bank strongly sees one number, and the total that the bank has always had.
struct BankLoad: Sendable {
    static let table = "bank"
    static let banks: UInt64 = 8
    private static let accounts = 10
    private static let opening = 1_000

    let history: History
    let stopping: Stopping

    static func name(_ bank: UInt64) -> String { "b\(bank)" }

    /// Beside the accounts of each bank, out of the range that is read of it: old papers, that nobody asks for and every copy carries. With
    /// them a partition of four banks is large enough to be copied page by page, as long as it is alone in its storage.
    static func papers(of bank: UInt64) -> [JSONValue] {
        (0..<10).map { paper in
            .object(["id": .string("\(name(bank))/\(paper)"), "value": .string(String(repeating: "\(paper)", count: 900_000))])
        }
    }

    func run(as number: Int, _ client: CoxswainClient, _ seeded: SeededGenerator) async {
        var random = seeded
        var balances: [UInt64: [Int]] = [:]
        while !stopping.isAsked {
            let bank = UInt64.random(in: 0..<Self.banks, using: &random)
            if Bool.random(using: &random) {
                await history.read(Self.name(bank), as: number) { try await Self.read(bank, client, history) }
            } else {
                var known = balances[bank] ?? Array(repeating: Self.opening, count: Self.accounts)
                let (from, to) = (
                    Int.random(in: 0..<Self.accounts, using: &random), Int.random(in: 0..<Self.accounts, using: &random)
                )
                let amount = Int.random(in: 0...max(0, known[from]), using: &random)
                known[from] -= amount
                known[to] += amount
                balances[bank] = known
                await transfer(bank, known, as: number, client)
            }
        }
    }

    private func transfer(_ bank: UInt64, _ balances: [Int], as number: Int, _ client: CoxswainClient) async {
        let value = history.nextValue()
        let operations = balances.enumerated().map { account, balance in
            let row = JSONValue.object([
                "id": .string("\(Self.name(bank))-\(account)"), "value": .string(String(value)),
                "balance": .number(balance),
            ])
            return JSONValue.object(["op": .string("put"), "row": row]).text
        }
        let once = CoxswainClient.onceKey()
        await history.write(value, to: Self.name(bank), as: number) { () async throws(ClientError) in
            try await client.batch(
                operations, firstKey: JSONValue.array([.string("\(Self.name(bank))-0")]).text, in: Self.table, once: once)
        }
    }

    /// The number of the transfer that a bank shows; zero before the first one. What no transfer can have left is noted.
    static func read(_ bank: UInt64, _ client: CoxswainClient, _ history: History) async throws -> UInt64 {
        let name = name(bank)
        let page = try await client.scan(
            table, from: JSONValue.array([.string("\(name)-")]).text, to: JSONValue.array([.string("\(name).")]).text,
            limit: 100)
        guard let first = page.rows.first else { return 0 }
        let total = page.rows.reduce(0) { $0 + Int($1["balance"]?.unsigned ?? 0) }
        let values = Set(page.rows.compactMap { $0["value"]?.unsigned })
        guard page.rows.count == accounts, values.count == 1, total == accounts * opening, let value = values.first else {
            history.strange(
                "\(name) was torn: \(page.rows.count) accounts, total \(total), of transfers \(values.sorted()), first \(first.text)"
            )
            throw ChaosFailure("torn")
        }
        return value
    }
}
