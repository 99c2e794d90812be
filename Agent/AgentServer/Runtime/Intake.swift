// What a node takes in: every entry must go through the node's one log, so all that comes, for all partitions and from everybody,
// has one bound in bytes. It is kept at the door, since what the core has decided the log cannot refuse any more.

import AgentCore
import Replication
import Synchronization

/// Bounds the bytes of entries that wait for the core or for the log's disk.
final class Intake: Sendable {
    /// Who brings entries. Callers are stopped first: they hear of it at once, and a primary whose followers take nothing would have
    /// to leave them behind.
    enum Source {
        case callers, peers
    }

    private let limit: Int
    private let unwritten: @Sendable () -> Int
    private let waiting = Atomic<Int>(0)

    /// - Parameters:
    ///   - limit: of the log; a quarter of it stays for what follows from things already taken in.
    ///   - unwritten: bytes that the log has, and not yet on disk.
    init(limit: Int, unwritten: @escaping @Sendable () -> Int) {
        self.limit = limit
        self.unwritten = unwritten
    }

    /// Counts them in, unless too much waits already; where nothing does, whatever comes is taken.
    ///
    /// - Returns: whether they may come in; then `release` follows once the log has them.
    func take(_ bytes: Int, for source: Source) -> Bool {
        guard bytes > 0 else { return true }
        let share = source == .callers ? limit / 2 : limit / 4 * 3
        let before = waiting.add(bytes, ordering: .relaxed).oldValue + unwritten()
        if before == 0 || before + bytes <= share { return true }
        release(bytes)
        return false
    }

    func release(_ bytes: Int) { waiting.subtract(bytes, ordering: .relaxed) }
}

extension AgentInput {
    /// Bytes that would go to the node's log with it.
    var entryBytes: Int {
        switch self {
        case .write(_, _, _, let payload, _): payload.count
        case .received(.replication(let message), _):
            if case .prepare(let prepare) = message.body {
                prepare.entries.reduce(0) { $0 + $1.body.byteCount }
            } else {
                0
            }
        default: 0
        }
    }
}
