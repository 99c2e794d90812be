import Model

/// Whose rumours still have to be spread, each a limited number of times. Least told first; of those, good news before bad, the newest
/// first. A rumour is what we hold of its subject when it is told, so there is one per member, and a newer one takes the older's place.
struct GossipQueue: Hashable, Sendable {
    /// Ourselves; others are their slots.
    static let ourselves = -1

    private struct Key: Hashable, Sendable, Comparable {
        var told: Int
        let status: MemberStatus
        let number: UInt64
        let subject: Int

        /// Less means later, and dropped sooner.
        static func < (a: Self, b: Self) -> Bool {
            (b.told, b.status.rawValue, a.number) < (a.told, a.status.rawValue, b.number)
        }
    }

    /// The next one is the last.
    private var keys: [Key] = []
    /// Looked up only.
    private var key: [Int: Key] = [:]
    private var nextNumber: UInt64 = 0

    var isEmpty: Bool { keys.isEmpty }
    var count: Int { keys.count }
    /// Whether there is news that nobody was told yet.
    var isFresh: Bool { keys.last?.told == 0 }

    mutating func insert(_ subject: Int, _ status: MemberStatus) {
        forget(subject)
        nextNumber += 1
        add(Key(told: 0, status: status, number: nextNumber, subject: subject))
        if keys.count > SwimLimits.rumours { key[keys.removeFirst().subject] = nil }
    }

    mutating func forget(_ subject: Int) {
        guard let old = key.removeValue(forKey: subject) else { return }
        keys.remove(at: place(of: old))
    }

    /// Takes what fits into `budget` bytes, and counts each as told once more; those told `limit` times are dropped.
    /// - Parameters:
    ///   - counts: false when the listener may be gone: then it is as if nobody had been told.
    ///   - except: a subject that is told of anyway.
    mutating func take(
        budget: Int, limit: Int, counts: Bool, except: NodeID?, from table: MemberTable, ourselves: MemberRecord,
        into rumours: inout [MemberRecord]
    ) {
        var left = budget
        var told: [Key] = []
        var index = keys.count
        while index > 0, left >= SwimLimits.leastWeight, told.count < SwimLimits.rumoursOfMessage {
            index -= 1
            let key = keys[index]
            let record = key.subject == Self.ourselves ? ourselves : table[key.subject]?.record
            guard let record, record.node != except, record.weight <= left else { continue }
            left -= record.weight
            rumours.append(record)
            told.append(key)
        }
        guard counts else { return }
        for var next in told {
            forget(next.subject)
            next.told += 1
            if next.told < limit { add(next) }
        }
    }

    private mutating func add(_ new: Key) {
        keys.insert(new, at: place(of: new))
        key[new.subject] = new
    }

    private func place(of wanted: Key) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
