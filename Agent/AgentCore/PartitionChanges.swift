import Model

/// When each partition last changed, and which have since a revision: every peer that asks for a lease wants to know that, and few change
/// between two leases.
struct PartitionChanges: Sendable {
    private struct Change: Sendable {
        let partition: PartitionID
        let revision: Revision
    }

    private var latest: [PartitionID: Revision] = [:]
    /// In order. A change that another of the same partition has followed counts for nothing; at most half of them are such ones.
    private var changes: [Change] = []

    /// The partitions that ever changed.
    var count: Int { latest.count }

    subscript(id: PartitionID) -> Revision? { latest[id] }

    /// - Precondition: nothing was noted at a later revision.
    mutating func note(_ ids: some Sequence<PartitionID>, at revision: Revision) {
        precondition(changes.last.map { $0.revision <= revision } ?? true, "changes of \(revision) follow later ones")
        for id in ids where latest.updateValue(revision, forKey: id) != revision {
            changes.append(Change(partition: id, revision: revision))
        }
        if changes.count > 2 * latest.count { changes.removeAll { [latest] in latest[$0.partition] != $0.revision } }
    }

    /// Each partition that has changed after `revision`, those that changed last first.
    func since(_ revision: Revision) -> some Sequence<PartitionID> {
        changes.lazy.reversed().prefix { $0.revision > revision }.filter { latest[$0.partition] == $0.revision }
            .map(\.partition)
    }
}
