import HeapModule
import Model

/// Whose rumours still have to be spread, each a limited number of times. Least told first; of those, good news before bad, the newest
/// first. A rumour is what we hold of its subject when it is told, so there is one per member, and a newer one takes the older's place.
///
/// While half of a large cluster falls, every datagram takes a dozen of thousands: so a heap, in which what was replaced stays until it
/// comes up.
struct GossipQueue: Hashable, Sendable {
    /// Ourselves; others are their slots.
    static let ourselves = -1

    private struct Key: Hashable, Comparable, Sendable {
        var told: Int
        let status: MemberStatus
        let number: UInt64
        let subject: Int

        static func < (a: Self, b: Self) -> Bool {
            (a.told, a.status.rawValue, b.number) < (b.told, b.status.rawValue, a.number)
        }
    }

    /// The least is the next, and is never one that was replaced.
    private var keys = Heap<Key>()
    /// Those that count. Looked up only.
    private var key: [Int: Key] = [:]
    private var nextNumber: UInt64 = 0

    var isEmpty: Bool { key.isEmpty }
    var count: Int { key.count }
    /// Whether there is news that nobody was told yet.
    var isFresh: Bool { keys.min?.told == 0 }

    /// Where in the heap they stand, and which that were replaced still do, makes no difference.
    static func == (a: Self, b: Self) -> Bool { a.key == b.key && a.nextNumber == b.nextNumber }
    func hash(into hasher: inout Hasher) { hasher.combine(key) }

    mutating func insert(_ subject: Int, _ status: MemberStatus) {
        nextNumber += 1
        add(Key(told: 0, status: status, number: nextNumber, subject: subject))
        tidy()
    }

    mutating func forget(_ subject: Int) {
        key[subject] = nil
        tidy()
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
        var passed: [Key] = []
        while left >= SwimLimits.leastWeight, told.count < SwimMessage.mostRumours, passed.count < SwimLimits.passedOver,
            let next = pop()
        {
            let record = next.subject == Self.ourselves ? ourselves : table[next.subject]?.record
            guard let record, record.node != except, record.weight <= left else {
                passed.append(next)
                continue
            }
            left -= record.weight
            rumours.append(record)
            told.append(next)
        }
        for next in passed { add(next) }
        for var next in told {
            if counts { next.told += 1 }
            if next.told < limit { add(next) } else { key[next.subject] = nil }
        }
        tidy()
    }

    // MARK: - The heap

    private func isCurrent(_ candidate: Key) -> Bool { key[candidate.subject] == candidate }

    /// Whatever was held of its subject counts no more.
    private mutating func add(_ new: Key) {
        key[new.subject] = new
        keys.insert(new)
    }

    /// The next that counts.
    private mutating func pop() -> Key? {
        while let first = keys.popMin() {
            if isCurrent(first) { return first }
        }
        return nil
    }

    /// Keeps the first one that counts in front, the heap not much longer than what counts in it, and that within its bound: the worst
    /// go.
    private mutating func tidy() {
        while key.count > SwimLimits.rumours, let worst = keys.popMax() {
            if isCurrent(worst) { key[worst.subject] = nil }
        }
        if keys.count > 2 * key.count + 64 { keys = Heap(keys.unordered.filter(isCurrent)) }
        while let first = keys.min, !isCurrent(first) { keys.removeMin() }
    }
}
