import Model
import Synchronization

/// How far each replica's engine is behind its log, in time: how long its oldest entry that is not applied has been seen here.
///
/// It sees what is shown to it, so its figures are as fine as the readings are frequent.
final class LagMeter: Sendable {
    private struct Mark {
        let sequence: UInt64
        let at: LogicalInstant
    }

    /// Rising sequences that were last in the log when they were seen, and are not applied.
    private let marks = Mutex<[PartitionID: [Mark]]>([:])
    /// Enough for a minute of readings; a replica that is further behind than that is as far behind as the oldest says.
    private static let kept = 128

    /// Takes one reading of all replicas; those not in it are gone.
    func note(_ replicas: [(partition: PartitionID, last: UInt64, applied: UInt64)], at now: LogicalInstant) {
        marks.withLock { marks in
            var next: [PartitionID: [Mark]] = [:]
            for replica in replicas {
                var list = (marks[replica.partition] ?? []).filter {
                    $0.sequence > replica.applied && $0.sequence <= replica.last
                }
                if replica.last > replica.applied, list.last.map({ $0.sequence < replica.last }) ?? true, list.count < Self.kept
                {
                    list.append(Mark(sequence: replica.last, at: now))
                }
                if !list.isEmpty { next[replica.partition] = list }
            }
            marks = next
        }
    }

    /// Never below zero: who asks may have looked at the clock before a reading that came in meanwhile.
    func lag(of partition: PartitionID, at now: LogicalInstant) -> Span {
        marks.withLock { $0[partition]?.first }.map { max(.zero, now - $0.at) } ?? .zero
    }
}
