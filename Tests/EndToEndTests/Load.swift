import Foundation
import Synchronization

/// Writers that never stop until told, and the ledger of what was acknowledged to them.
final class Load: Sendable {
    private struct Book {
        /// The last acknowledged value of each row.
        var acknowledged: [String: Int] = [:]
        /// Rows whose last write has an unknown outcome, with that value.
        var unknown: [String: Int] = [:]
        /// When each write was acknowledged.
        var times: [ContinuousClock.Instant] = []
    }

    private let rows: Rows
    private let book = Mutex(Book())
    private let stopping = Mutex(false)

    init(_ rows: Rows) { self.rows = rows }

    var writes: Int { book.withLock(\.times.count) }
    /// How many writes were acknowledged after that moment.
    func writes(after moment: ContinuousClock.Instant) -> Int { book.withLock { $0.times.count { $0 > moment } } }

    /// The longest time between two acknowledgements, to whomever, since that moment.
    func longestGap(after moment: ContinuousClock.Instant) -> Duration {
        let times = book.withLock { $0.times.filter { $0 > moment }.sorted() }
        return zip([moment] + times, times).map { $1 - $0 }.max() ?? .zero
    }

    /// Runs `body` while `writers` tasks write, and checks every acknowledged write afterwards.
    /// - Returns: how many rows were checked.
    func during(writers: Int = 8, prefix: String, _ body: () async throws -> Void) async throws -> Int {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers { group.addTask { try await self.write("\(prefix)-\(writer)") } }
            do {
                try await body()
            } catch {
                stopping.withLock { $0 = true }
                throw error
            }
            stopping.withLock { $0 = true }
            try await group.waitForAll()
        }
        return try await audit()
    }

    /// Each writer owns its rows, so that it knows what each must hold.
    private func write(_ writer: String) async throws {
        var round = 0
        while !stopping.withLock({ $0 }) {
            round += 1
            let row = "\(writer)-\(round % 50)"
            let outcome = try await rows.put(row, round)
            book.withLock { book in
                switch outcome {
                case .acknowledged:
                    book.times.append(.now)
                    book.acknowledged[row] = round
                    book.unknown[row] = nil
                case .unknown: book.unknown[row] = round
                }
            }
        }
    }

    private func audit() async throws -> Int {
        let (acknowledged, unknown) = book.withLock { ($0.acknowledged, $0.unknown) }
        for (row, value) in acknowledged {
            let found = try await rows.get(row)
            guard found == value || (unknown[row] != nil && found == unknown[row]) else {
                throw Failure("lost: \(row) holds \(found.map(String.init) ?? "nothing"), acknowledged was \(value)")
            }
        }
        return acknowledged.count
    }
}
