// When a partition is to be split: it holds too much, or too much is asked of it, and has been so for a while.
//
// A split is cheap, for no row moves, but what comes of it is two partitions for ever, unless somebody merges them. So a peak
// is no reason: what is measured must lie above a limit for some time, and a dip that stays close below it does not begin the
// time anew. And one node asks for one split at a time, with a pause after each: what a split has brought shows in the next
// measurements only. A partition that it has asked for and that is still there was not split, for whatever reason: it rests,
// twice as long each time.

package import Model

/// How much a partition that is led here holds, and how much is asked of it.
package struct PartitionLoad: Hashable, Sendable {
    package let partition: PartitionID
    /// Of keys and values.
    package let bytes: UInt64
    /// Reads and writes.
    package let operationsPerSecond: Double

    package init(partition: PartitionID, bytes: UInt64, operationsPerSecond: Double) {
        self.partition = partition
        self.bytes = bytes
        self.operationsPerSecond = operationsPerSecond
    }
}

/// What one partition may hold, and what may be asked of it, before it is to be split; zero: any amount.
package struct SplitLimits: Hashable, Sendable {
    package let bytes: UInt64
    package let operationsPerSecond: Double

    package init(bytes: UInt64, operationsPerSecond: Double) {
        self.bytes = bytes
        self.operationsPerSecond = operationsPerSecond
    }

    /// How many times the limit is what was measured of a partition.
    fileprivate func excess(of load: PartitionLoad, for cause: SplitCause) -> Double {
        switch cause {
        case .size: bytes == 0 ? 0 : Double(load.bytes) / Double(bytes)
        case .load: operationsPerSecond > 0 ? load.operationsPerSecond / operationsPerSecond : 0
        }
    }
}

/// Why a partition is to be split, and so what its halves are to share out evenly.
package enum SplitCause: String, Hashable, Sendable, CaseIterable {
    /// It holds too much.
    case size
    /// Too much is asked of it.
    case load
}

package struct SplitWatch: Hashable, Sendable {
    package struct Settings: Hashable, Sendable {
        /// How long a partition must have been above a limit.
        package var evidence: Span = .seconds(10)
        /// What is below this share of a limit begins the time anew.
        package var relief = 0.8
        /// Between two requests of this node, whatever became of the first.
        package var pause: Span = .seconds(60)
        /// How long a partition is left alone that no key would halve.
        package var rest: Span = .seconds(600)
        /// How long a partition at most is left alone of which splits came to nothing: `pause` after the first, then twice as
        /// long after each.
        package var longestRest: Span = .seconds(3_600)

        package init() {}
    }

    private struct Excess: Hashable, Sendable {
        let partition: PartitionID
        let cause: SplitCause
        let since: LogicalInstant
    }

    /// A partition that was asked for, and is still there.
    private struct Rest: Hashable, Sendable {
        /// Before it is asked for again, counted from when whatever was under way with it was over.
        var length: Span
        var until: LogicalInstant
        /// When it last could have been split.
        var seen: LogicalInstant
    }

    private let settings: Settings
    private var excesses: [Excess] = []
    private var lookedAt: LogicalInstant?
    private var pausedUntil: LogicalInstant?
    private var rests: [PartitionID: Rest] = [:]

    package init(settings: Settings = Settings()) { self.settings = settings }

    /// Takes what was measured, at intervals, of all partitions that could be split here; one that is missing is as good as new.
    ///
    /// - Returns: the one to be split next, if it is time: of several, the one that is furthest above its limit.
    package mutating func look(
        _ loads: [PartitionLoad], limits: SplitLimits, at now: LogicalInstant
    ) -> (partition: PartitionID, cause: SplitCause)? {
        // Nobody knows what was in between.
        if let lookedAt, now - lookedAt > settings.evidence { excesses = [] }
        lookedAt = now
        keepRests(of: Set(loads.map(\.partition)), at: now)
        var next: [Excess] = []
        var worst: (excess: Double, partition: PartitionID, cause: SplitCause)?
        for load in loads.sorted(by: { $0.partition < $1.partition }) {
            for cause in SplitCause.allCases {
                let excess = limits.excess(of: load, for: cause)
                let known = excesses.first { $0.partition == load.partition && $0.cause == cause }
                guard excess > 1 || known != nil && excess >= settings.relief else { continue }
                let since = known?.since ?? now
                next.append(Excess(partition: load.partition, cause: cause, since: since))
                let isDue = excess > 1 && now - since >= settings.evidence && !isResting(load.partition, at: now)
                if isDue, excess > worst?.excess ?? 0 { worst = (excess, load.partition, cause) }
            }
        }
        excesses = next
        guard let worst, pausedUntil.map({ now >= $0 }) ?? true else { return nil }
        pausedUntil = now + settings.pause
        let length = rests[worst.partition].map { min(settings.longestRest, $0.length * 2) } ?? settings.pause
        rests[worst.partition] = Rest(length: length, until: now + length, seen: now)
        return (worst.partition, worst.cause)
    }

    /// No key would halve it: it is not asked for again soon, so that others get their turn.
    package mutating func rest(_ partition: PartitionID, at now: LogicalInstant) {
        let known = rests[partition] ?? Rest(length: settings.pause, until: now, seen: now)
        rests[partition] = Rest(length: known.length, until: max(known.until, now + settings.rest), seen: now)
    }

    private func isResting(_ partition: PartitionID, at now: LogicalInstant) -> Bool {
        rests[partition].map { now < $0.until } ?? false
    }

    /// What was split is gone for good, what is busy comes back; what has been left in peace for long enough begins anew.
    private mutating func keepRests(of splittable: Set<PartitionID>, at now: LogicalInstant) {
        for (id, rest) in rests {
            if splittable.contains(id) {
                rests[id] = now - rest.until < settings.longestRest ? rest : nil
                rests[id]?.seen = now
            } else {
                rests[id] = now - rest.seen < settings.longestRest ? rest : nil
                rests[id]?.until = max(rest.until, now + rest.length)
            }
        }
    }
}
