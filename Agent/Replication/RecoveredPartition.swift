// What the node's log says of one partition after a restart.

package import Model

/// Folds one partition's records, in log order, into its log and its hard state. Older records may be missing as far as a
/// checkpoint covers them.
package struct RecoveredPartition: Hashable, Sendable {
    package private(set) var hard = HardState()
    private var base: LogPoint?
    private var entries: [Entry] = []
    /// The data of this partition was given up here: what stood before no longer counts.
    package private(set) var isDropped = false

    package init() {}

    /// What a copy that the engine does not give back must not lose, beside its entries.
    package var remnant: Remnant { Remnant(base: base, hard: hard) }
    /// Whether a record says where the log starts.
    package var hasBase: Bool { base != nil }
    /// Whether nothing is in the log, nor was before its start: as after everything was given up for a snapshot.
    package var isEmpty: Bool { entries.isEmpty && (base ?? .start) == .start }

    /// Why a partition's records do not make a log. The replica is damaged: it must leave every in-sync set (rule E4).
    package enum Damage: Error, Hashable, Sendable, CustomStringConvertible {
        /// An entry is missing between these two sequences.
        case hole(after: UInt64, found: UInt64)
        /// The chain breaks at this entry.
        case brokenChain(at: Position)
        /// The engine holds more than the log ever had.
        case engineAhead(applied: UInt64, last: UInt64)
        /// The log starts after the engine's position.
        case logAhead(applied: UInt64, base: UInt64)
        /// Where the engine stands, the log holds another entry: it has lost the record that took it back, and with it whatever came
        /// after.
        case otherHistory(applied: Position, logged: Position)

        package var description: String {
            switch self {
            case .hole(let last, let found): "its log has entry \(found) after \(last)"
            case .brokenChain(let position): "the entry at \(position) in its log does not follow the one before it"
            case .engineAhead(let applied, let last): "its log ends at \(last), and the engine has applied \(applied)"
            case .logAhead(let applied, let base): "its log begins after \(base), and the engine has applied \(applied)"
            case .otherHistory(let applied, let logged): "the engine has applied \(applied), and its log has \(logged) there"
            }
        }
    }

    package mutating func add(_ record: PartitionRecord) {
        switch record {
        case .entry(_, let entry):
            isDropped = false
            while let last = entries.last, last.sequence >= entry.sequence { entries.removeLast() }
            entries.append(entry)
        case .cut(_, let through):
            while let last = entries.last, last.sequence > through { entries.removeLast() }
        case .reset(_, let point):
            isDropped = false
            base = point
            entries = []
        case .hardState(_, let state):
            isDropped = false
            hard = state
        case .checkpoint(_, let point, let state):
            isDropped = false
            base = point
            entries.removeAll { $0.sequence <= point.sequence }
            hard = state
        case .dropped:
            self = RecoveredPartition()
            isDropped = true
        case .beat: break
        }
    }

    /// The log, checked entry by entry, as it stands beside an engine that has applied `position`.
    package func log(origin: LogPoint, applied position: Position) throws(Damage) -> ReplicaLog {
        let applied = position.sequence
        var log = ReplicaLog(base: base ?? origin)
        guard applied >= log.base.sequence else { throw .logAhead(applied: applied, base: log.base.sequence) }
        for entry in entries where entry.sequence > log.base.sequence {
            guard entry.sequence == log.lastSequence + 1 else {
                throw .hole(after: log.lastSequence, found: entry.sequence)
            }
            guard entry.follows(log.last) else { throw .brokenChain(at: entry.position) }
            log.append(entry)
        }
        guard let point = log.point(at: applied) else { throw .engineAhead(applied: applied, last: log.lastSequence) }
        guard point.position == position else { throw .otherHistory(applied: position, logged: point.position) }
        return log
    }
}

/// What stands in the node's log for a copy that cannot be read, until another has taken its place (rule R9). Its entries stay where they
/// are: some may be in no engine.
package struct Remnant: Hashable, Sendable {
    /// Nil: the log has it from the first entry on.
    package let base: LogPoint?
    package let hard: HardState

    /// The sequence up to which entries are in the engine, wherever that is.
    package var forgotten: UInt64 { base?.sequence ?? 0 }

    /// The record that stands for it when older ones are dropped from the node's log.
    package func checkpoint(of id: PartitionID) -> PartitionRecord {
        base.map { .checkpoint(id, $0, hard) } ?? .hardState(id, hard)
    }
}
