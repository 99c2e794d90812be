package import Model

// Every tick of every member asks the table something, so nothing that it asks may cost more in a larger cluster: members have slots
// that stay theirs, counts and the short lists are kept, not searched, and who is wanted at random is drawn, not filtered. The slots
// lie in pages, so that copies of a table share all pages but those that differ.

/// Other members by slot. A slot is given to another only after its member was forgotten.
package struct MemberTable: Hashable, Sendable {
    /// Small: among thousands, those in whom two tables differ lie scattered.
    private static let pageSize = 8

    private var pages: [[Member?]] = []
    /// Looked up only.
    private var index: [NodeID: Int] = [:]
    private var vacant: [Int] = []
    /// Its own, whose table this is: named by the index, and empty.
    private var leftOut: Int?
    /// Slots ever used: all are below this.
    private(set) var slots = 0

    /// How many there are of each status, by its rank.
    private var counts = [Int](repeating: 0, count: MemberStatus.allCases.count)
    /// How many the roster names, without those that said good-bye.
    private(set) var expected = 0
    /// How many the roster does not name.
    private(set) var strangers = 0
    /// Who should be there and is not: called from time to time.
    private(set) var missing = SlotList()
    /// Dead or gone and not in the roster: forgotten in time.
    private(set) var gone = SlotList()
    /// Who is held alive, in short: equal for two members that hold the same.
    private(set) var digest = TableDigest.Sums()

    init() {}

    /// A table of members that have all been heard of, to be shared by simulated members: each differs from it in a few pages.
    package init(of records: [MemberRecord], at now: LogicalInstant) {
        for record in records { insert(Member(record: record, at: now, heard: true, inRoster: true)) }
    }

    var activeCount: Int { count(of: .alive) + count(of: .suspect) }
    func count(of status: MemberStatus) -> Int { counts[Int(status.rawValue) - 1] }

    /// Asked for every rumour, so no member is copied for it.
    func slot(of node: NodeID) -> Int? {
        guard let slot = index[node], slot != leftOut else { return nil }
        return slot
    }

    subscript(slot: Int) -> Member? { pages[slot / Self.pageSize][slot % Self.pageSize] }
    subscript(node: NodeID) -> Member? { slot(of: node).flatMap { self[$0] } }

    @discardableResult
    mutating func insert(_ member: Member) -> Int {
        precondition(slot(of: member.node) == nil, "\(member.node) has a slot already")
        let slot = vacant.popLast() ?? slots
        if slot == slots {
            if slot % Self.pageSize == 0 { pages.append(Array(repeating: nil, count: Self.pageSize)) }
            slots += 1
        }
        index[member.node] = slot
        pages[slot / Self.pageSize][slot % Self.pageSize] = member
        tally(member, slot, 1)
        return slot
    }

    mutating func update(_ slot: Int, _ change: (inout Member) -> Void) {
        guard var member = self[slot] else { return }
        tally(member, slot, -1)
        change(&member)
        tally(member, slot, 1)
        pages[slot / Self.pageSize][slot % Self.pageSize] = member
    }

    mutating func remove(_ slot: Int) {
        guard let member = self[slot] else { return }
        tally(member, slot, -1)
        pages[slot / Self.pageSize][slot % Self.pageSize] = nil
        index[member.node] = nil
        vacant.append(slot)
    }

    /// Leaves out the one whose table this is. The index keeps its name, and stays shared.
    mutating func leaveOut(_ node: NodeID) {
        guard let slot = slot(of: node), let member = self[slot] else { return }
        leftOut = slot
        tally(member, slot, -1)
        pages[slot / Self.pageSize][slot % Self.pageSize] = nil
    }

    /// In the order of slots.
    func forEach(_ body: (Int, Member) -> Void) {
        for slot in 0..<slots {
            if let member = self[slot] { body(slot, member) }
        }
    }

    var all: [Member] { (0..<slots).compactMap { self[$0] } }

    private mutating func tally(_ member: Member, _ slot: Int, _ change: Int) {
        counts[Int(member.status.rawValue) - 1] += change
        if member.inRoster, member.status != .left { expected += change }
        if !member.inRoster { strangers += change }
        if member.isMissing { missing.set(slot, change > 0) }
        if !member.isActive, !member.inRoster { gone.set(slot, change > 0) }
        if member.isActive, member.heard { digest.toggle(member.node, member.record.life) }
    }

    /// Up to `count` slots whose members meet `condition`, by luck and without repetition. Draws; only when hardly anybody meets it
    /// are all looked at.
    func pick(
        _ count: Int, using generator: inout SeededGenerator, where condition: (Member) -> Bool
    ) -> [Int] {
        guard slots > 0, count > 0 else { return [] }
        var picked: [Int] = []
        for _ in 0..<8 * count {
            let slot = Int.random(in: 0..<slots, using: &generator)
            guard let member = self[slot], condition(member), !picked.contains(slot) else { continue }
            picked.append(slot)
            if picked.count == count { return picked }
        }
        var others = (0..<slots).filter { slot in !picked.contains(slot) && self[slot].map(condition) ?? false }
        while picked.count < count, !others.isEmpty {
            picked.append(others.remove(at: Int.random(in: 0..<others.count, using: &generator)))
        }
        return picked
    }
}

/// A few slots, in order.
struct SlotList: Hashable, Sendable {
    private(set) var slots: [Int] = []

    mutating func set(_ slot: Int, _ isIn: Bool) {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle] < slot { low = middle + 1 } else { high = middle }
        }
        let found = low < slots.count && slots[low] == slot
        if isIn, !found { slots.insert(slot, at: low) }
        if !isIn, found { slots.remove(at: low) }
    }

    func random(using generator: inout SeededGenerator) -> Int? { slots.randomElement(using: &generator) }
}
