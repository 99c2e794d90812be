import Model

/// Rumours that still have to be spread, each a limited number of times. Least told first; of those, good news before bad, the
/// newest first. One rumour per member: a newer one takes the place of the older.
struct GossipQueue: Hashable, Sendable {
    private struct Entry: Hashable, Sendable {
        var record: MemberRecord
        var told: Int
        let number: UInt64
    }

    private var entries: [Entry] = []
    private var nextNumber: UInt64 = 0

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    mutating func insert(_ record: MemberRecord) {
        entries.removeAll { $0.record.node == record.node }
        nextNumber += 1
        entries.append(Entry(record: record, told: 0, number: nextNumber))
    }

    mutating func forget(_ node: NodeID) { entries.removeAll { $0.record.node == node } }

    /// Takes what fits into `budget` bytes, and counts each as told once more; those told `limit` times are dropped.
    mutating func take(budget: Int, limit: Int, except: [NodeID] = []) -> [MemberRecord] {
        guard !entries.isEmpty else { return [] }
        entries.sort { a, b in
            if a.told != b.told { return a.told < b.told }
            if a.record.status != b.record.status { return a.record.status < b.record.status }
            return a.number > b.number
        }
        var left = budget
        var taken: [MemberRecord] = []
        for index in entries.indices where !except.contains(entries[index].record.node) {
            let weight = entries[index].record.weight
            guard weight <= left else { continue }
            left -= weight
            entries[index].told += 1
            taken.append(entries[index].record)
        }
        entries.removeAll { $0.told >= limit }
        return taken
    }
}
