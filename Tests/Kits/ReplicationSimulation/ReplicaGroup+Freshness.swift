// What followers say of how old their rows may be, held against what was acknowledged when.

import Model
import Replication

extension ReplicaGroup {
    /// Acknowledgements in the order of time, with the furthest until then.
    struct AcknowledgedUntil {
        private var steps: [(at: LogicalInstant, furthest: UInt64)] = []

        mutating func note(_ sequence: UInt64, at now: LogicalInstant) {
            steps.append((now, max(sequence, steps.last?.furthest ?? 0)))
        }

        /// The furthest that was acknowledged before `instant`.
        func furthest(before instant: LogicalInstant) -> UInt64 {
            var (low, high) = (0, steps.count)
            while low < high {
                let middle = (low + high) / 2
                if steps[middle].at < instant { low = middle + 1 } else { high = middle }
            }
            return low > 0 ? steps[low - 1].furthest : 0
        }
    }

    /// Whoever says "as of then" has applied all that was acknowledged before then.
    func checkFreshness(of node: Node) {
        guard let asOf = node.replica.asOf, asOf != node.checkedAsOf else { return }
        node.checkedAsOf = asOf
        vouched += 1
        let furthest = acknowledgedUntil.furthest(before: asOf)
        guard node.replica.applied < furthest else { return }
        violations.append("\(node.id) has applied \(node.replica.applied) and says it has all of \(asOf): \(furthest)")
    }
}
