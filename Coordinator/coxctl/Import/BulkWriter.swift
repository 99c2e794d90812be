// Many rows into a table: in batches of one partition each, of a bounded size, a bounded number of them on their way.
//
// One log record and one fsync at each replica then carry hundreds of rows instead of one. A batch is atomic, so a row that the
// table does not take refuses its batch: the refusal names the row, which is left out and reported, and the rest goes again. A
// batch that a split has cut in two meanwhile is halved until its parts fit; its rows are in key order, so that this ends soon.

import Client
import KeyEncoding
import Model

struct BulkWriter: Sendable {
    struct Entry: Hashable, Sendable {
        /// A JSON array of the key columns' values.
        let key: String
        /// The row as JSON text.
        let row: String
        /// Where in the input it stands, from 1.
        let line: Int
    }

    /// A row that the table does not take.
    struct Refusal: Hashable, Sendable {
        let line: Int
        let reason: String
    }

    /// Rows of one batch: enough to share an fsync, few enough for a short answer.
    static let batchRows = 500
    /// Bytes of one batch's rows as JSON; the log's form is smaller.
    static let batchBytes = 512 * 1_024
    /// How often a batch of unknown outcome is sent again. The rows are the same each time, so whichever arrives does no harm.
    static let repeats = 10

    let client: CoxswainClient
    let table: String
    /// Batches on their way at the same time.
    var parallel = 8

    /// - Returns: the rows that the table does not take. All others are acknowledged.
    /// - Throws: `ClientError` when something else keeps a row from being written. Then some rows are written and some are not.
    func write(_ entries: [Entry]) async throws -> [Refusal] {
        var refusals: [Refusal] = []
        var left = entries
        while !left.isEmpty {
            let route = try await client.route(of: table)
            let refused = try await send(try Self.batches(of: left, by: route))
            refusals += refused
            left = try Self.uncovered(by: refused, among: left, route)
        }
        return refusals.sorted { $0.line < $1.line }
    }

    private func send(_ batches: [[Entry]]) async throws -> [Refusal] {
        try await withThrowingTaskGroup(of: [Refusal].self) { group in
            var refusals: [Refusal] = []
            for (number, batch) in batches.enumerated() {
                if number >= parallel, let part = try await group.next() { refusals += part }
                group.addTask { try await send(batch) }
            }
            for try await part in group { refusals += part }
            return refusals
        }
    }

    /// The lines for which a later one of the same key was to stand, which the table did not take.
    static func uncovered(
        by refused: [Refusal], among entries: [Entry], _ route: TableRoute
    ) throws(ClientError) -> [Entry] {
        guard !refused.isEmpty else { return [] }
        let lines = Set(refused.map(\.line))
        var keys: Set<Key> = []
        for entry in entries where lines.contains(entry.line) { keys.insert(try key(of: entry, route)) }
        var uncovered: [Entry] = []
        for entry in entries where !lines.contains(entry.line) {
            if keys.contains(try key(of: entry, route)) { uncovered.append(entry) }
        }
        return uncovered
    }

    private static func key(of entry: Entry, _ route: TableRoute) throws(ClientError) -> Key {
        do throws(KeyTextError) { return try route.layout.key(text: entry.key) } catch {
            throw .invalid("line \(entry.line): key: \(error)")
        }
    }

    /// Of lines with the same key the last counts, as if they had been written one after another.
    ///
    /// The batches of different partitions alternate, so that all primaries have work.
    static func batches(of entries: [Entry], by route: TableRoute) throws(ClientError) -> [[Entry]] {
        var placed: [(key: Key, entry: Entry)] = []
        placed.reserveCapacity(entries.count)
        for entry in entries { placed.append((try key(of: entry, route), entry)) }
        placed.sort { ($0.key, $0.entry.line) < ($1.key, $1.entry.line) }
        var byPartition: [[[Entry]]] = []
        var partition: PartitionRoute?
        var bytes = 0
        for (index, (key, entry)) in placed.enumerated() {
            if index + 1 < placed.count, placed[index + 1].key == key { continue }
            let size = entry.row.utf8.count
            let isElsewhere = byPartition.isEmpty || partition?.contains(key) != true
            if isElsewhere {
                partition = route.partition(of: key)
                byPartition.append([[entry]])
                bytes = size
                continue
            }
            let (last, batch) = (byPartition.count - 1, byPartition[byPartition.count - 1].count - 1)
            bytes += size
            if byPartition[last][batch].count < batchRows, bytes <= batchBytes {
                byPartition[last][batch].append(entry)
            } else {
                byPartition[last].append([entry])
                bytes = size
            }
        }
        let rounds = byPartition.map(\.count).max() ?? 0
        return (0..<rounds).flatMap { round in byPartition.compactMap { round < $0.count ? $0[round] : nil } }
    }

    private func send(_ batch: [Entry]) async throws -> [Refusal] {
        var refusals: [Refusal] = []
        var left = [batch]
        var attempts = 0
        while let part = left.popLast(), let first = part.first {
            do throws(ClientError) {
                _ = try await client.batch(part.map { "{\"op\":\"put\",\"row\":\($0.row)}" }, firstKey: first.key, in: table)
            } catch {
                switch error {
                case .refused(let problem) where problem.code == "CROSS_PARTITION" && part.count > 1:
                    left += [Array(part[(part.count / 2)...]), Array(part[..<(part.count / 2)])]
                case .refused(let problem) where [400, 413, 422].contains(problem.status):
                    if part.count == 1 {
                        refusals.append(Refusal(line: first.line, reason: "\(problem.code): \(problem.detail)"))
                    } else if let index = Self.operation(named: problem.field), part.indices.contains(index) {
                        refusals.append(Refusal(line: part[index].line, reason: "\(problem.code): \(problem.detail)"))
                        left.append(Array(part[..<index] + part[(index + 1)...]))
                    } else {
                        left += [Array(part[(part.count / 2)...]), Array(part[..<(part.count / 2)])]
                    }
                case .outcomeUnknown where attempts < Self.repeats:
                    attempts += 1
                    left.append(part)
                default: throw error
                }
            }
        }
        return refusals
    }

    /// The index in `body.operations[7].row.size`.
    static func operation(named field: String?) -> Int? {
        guard let field, field.hasPrefix("body.operations["), let end = field.firstIndex(of: "]") else { return nil }
        return Int(field.dropFirst("body.operations[".count)[..<end])
    }
}
