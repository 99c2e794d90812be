// The three counters by which everything is ordered: epochs fence ownership, positions order writes, revisions order topology.

/// Counts the ownership changes of one partition; raised by exactly one by each committed change (rule E1).
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let number: UInt64

    package init(_ number: UInt64) { self.number = number }
    package var next: Epoch { Epoch(number + 1) }
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    package var description: String { "e\(number)" }
}

/// A place in one partition's order of changes (rule R1). `(epoch, run)` names who ordered the entry, as a term does in Raft: one
/// primary, one life of it. Two logs that hold the same `(epoch, run)` at a sequence are equal up to it.
package struct Position: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let epoch: Epoch
    package let run: UInt64
    package let sequence: UInt64

    package init(epoch: Epoch, run: UInt64, sequence: UInt64) {
        self.epoch = epoch
        self.run = run
        self.sequence = sequence
    }

    /// Before the first entry of a new partition.
    package static let zero = Position(epoch: Epoch(0), run: 0, sequence: 0)

    package static func < (a: Self, b: Self) -> Bool {
        (a.epoch.number, a.run, a.sequence) < (b.epoch.number, b.run, b.sequence)
    }

    package var description: String { "\(epoch).\(run).\(sequence)" }
}

/// The version of the cluster's topology (rules T1, T3): a restored coordinator group starts a new, larger `history`.
package struct Revision: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let history: UInt64
    /// The Raft index of the last topology change.
    package let index: UInt64

    package init(history: UInt64, index: UInt64) {
        self.history = history
        self.index = index
    }

    /// Older than every real revision.
    package static let none = Revision(history: 0, index: 0)

    package static func < (a: Self, b: Self) -> Bool { (a.history, a.index) < (b.history, b.index) }
    package var description: String { "\(history):\(index)" }
}
