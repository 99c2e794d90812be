import Foundation
import Synchronization

/// Writers that never stop until told, and the ledger of what was acknowledged to them. Before a writer writes a row again it reads it, so
/// that each acknowledged write is read back, and not the last of a row alone.
final class Load: Sendable {
    /// A time between two acknowledgements to one writer.
    private struct Pause {
        let began: ContinuousClock.Instant
        let ended: ContinuousClock.Instant

        func length(after moment: ContinuousClock.Instant) -> Duration { ended - max(began, moment) }
    }

    private struct Writer {
        var count = 0
        /// Of the latest acknowledgement; of its beginning before there is one.
        var last: ContinuousClock.Instant
        /// Those that no later one is as long as, each shorter than the one before it: enough for the longest since any moment.
        var pauses: [Pause] = []

        mutating func acknowledged(at moment: ContinuousClock.Instant) {
            let pause = Pause(began: last, ended: moment)
            while let newest = pauses.last, newest.ended - newest.began <= moment - last { pauses.removeLast() }
            pauses.append(pause)
            (count, last) = (count + 1, moment)
        }

        /// What has not ended by now counts too.
        func longestGap(after moment: ContinuousClock.Instant, by now: ContinuousClock.Instant) -> Duration {
            let current = Pause(began: last, ended: now)
            // Those that had begun by that moment count from it on only, so any may be the longest.
            return (pauses.filter { $0.ended > moment } + [current]).map { $0.length(after: moment) }.max() ?? .zero
        }
    }

    private struct Book {
        /// The last acknowledged value of each row.
        var acknowledged: [String: Int] = [:]
        /// Rows whose last write has an unknown outcome, with that value.
        var unknown: [String: Int] = [:]
        var writers: [String: Writer] = [:]
        /// Why a writer has ended before it was told to.
        var failure: (any Error)?
    }

    private static let rowsOfWriter = 50

    private let rows: Rows
    private let book = Mutex(Book())
    private let stopping = Mutex(false)

    init(_ rows: Rows) { self.rows = rows }

    /// The longest time since that moment in which one of the writers had no acknowledgement.
    func longestGap(after moment: ContinuousClock.Instant) -> Duration {
        let (writers, now) = (book.withLock(\.writers), ContinuousClock.now)
        return writers.values.map { $0.longestGap(after: moment, by: now) }.max() ?? .zero
    }

    /// Waits until each writer has had so many more writes acknowledged.
    /// - Throws: at once where one of them has failed.
    func goesOn(by count: Int = 10, within seconds: Double = 10) async throws {
        let before = book.withLock { $0.writers.mapValues(\.count) }
        try await expectEventually("\(count) more writes of each writer", within: seconds) {
            book.withLock { book in
                book.failure != nil || book.writers.allSatisfy { $0.value.count >= before[$0.key, default: 0] + count }
            }
        }
        if let failure = book.withLock(\.failure) { throw failure }
    }

    /// Runs `body` while `writers` tasks write, and checks every acknowledged write: before its row is written again, or afterwards.
    /// - Returns: how many rows were checked.
    func during(writers: Int = 8, prefix: String, _ body: () async throws -> Void) async throws -> Int {
        let names = (0..<writers).map { "\(prefix)-\($0)" }
        book.withLock { book in for name in names { book.writers[name] = Writer(last: .now) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in names { group.addTask { try await self.write(name) } }
            do {
                try await body()
            } catch {
                stopping.withLock { $0 = true }
                // A lost write says more than what waited for its writer.
                throw book.withLock(\.failure) ?? error
            }
            stopping.withLock { $0 = true }
            try await group.waitForAll()
        }
        return try await audit()
    }

    /// Each writer owns its rows, so that it knows what each must hold.
    private func write(_ writer: String) async throws {
        do {
            var round = 0
            while !stopping.withLock({ $0 }) {
                round += 1
                let row = "\(writer)-\(round % Self.rowsOfWriter)"
                try await check(row)
                let outcome = try await rows.put(row, round)
                book.withLock { book in
                    switch outcome {
                    case .acknowledged:
                        book.writers[writer]?.acknowledged(at: .now)
                        book.acknowledged[row] = round
                        book.unknown[row] = nil
                    case .unknown: book.unknown[row] = round
                    }
                }
            }
        } catch {
            book.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    private func audit() async throws -> Int {
        let written = book.withLock { Set($0.acknowledged.keys).union($0.unknown.keys) }
        for row in written.sorted() { try await check(row) }
        return book.withLock { $0.acknowledged.count }
    }

    /// Reads a row that was written strongly: it holds what was acknowledged last, or what may have happened since.
    private func check(_ row: String) async throws {
        let (acknowledged, unknown) = book.withLock { ($0.acknowledged[row], $0.unknown[row]) }
        guard acknowledged != nil || unknown != nil else { return }
        let found = try await rows.get(row)
        if let unknown, found == unknown {
            // Who has read it may rely on it.
            book.withLock { book in
                book.acknowledged[row] = unknown
                book.unknown[row] = nil
            }
        } else if found != acknowledged {
            func text(_ value: Int?) -> String { value.map(String.init) ?? "nothing" }
            throw Failure("lost: \(row) holds \(text(found)), acknowledged was \(text(acknowledged))")
        }
    }
}
