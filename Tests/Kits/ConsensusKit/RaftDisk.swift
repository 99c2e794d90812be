package import Consensus

/// What a member's disk holds for certain, and the writes that are under way to it, in order.
package struct RaftDisk: Sendable {
    package private(set) var hardState = HardState()
    package private(set) var snapshot: Snapshot
    package private(set) var entries: [Entry] = []
    package private(set) var underWay: [Persist] = []

    package init(_ founding: MemberConfiguration) { snapshot = .founding(founding) }

    package mutating func begin(_ write: Persist) { underWay.append(write) }

    /// Makes the oldest write durable; nil when none is under way.
    package mutating func finishOldest() -> Persist? {
        guard !underWay.isEmpty else { return nil }
        let write = underWay.removeFirst()
        hardState = write.hardState
        if let newer = write.snapshot {
            if write.replacesLog { entries = [] }
            snapshot = newer
            entries.removeAll { $0.id.index <= newer.id.index }
        }
        if let first = write.entries.first {
            entries.removeAll { $0.id.index >= first.id.index }
            entries += write.entries.filter { $0.id.index > snapshot.id.index }
        }
        return write
    }

    /// The machine has lost its power: what was under way is gone.
    package mutating func loseWrites() { underWay = [] }

    /// Whether what stands at `id`, or a snapshot of it, would be read back.
    package func holds(_ id: EntryID) -> Bool {
        id.index <= snapshot.id.index || entries.contains { $0.id == id }
    }
}
