// The commands that wait at one member, and how many of them may end a fence: counted as they come and go, for whoever is
// refused because too many wait is refused at once, however many they are.

import Consensus
import Model

struct WaitingCommands: Sendable {
    /// Those that wait for a leader, in the order in which they came.
    private(set) var queue: [Coordinator.Waiting] = []
    /// Those that wait for another member's answer, by the number under which they went there.
    private(set) var passedOn: [UInt64: Coordinator.HandedOn] = [:]
    /// Of both, those that may end a fence.
    private var endingFences = 0

    var isEmpty: Bool { queue.isEmpty && passedOn.isEmpty }
    var count: Int { queue.count + passedOn.count }

    /// How many of them may end a fence, or may not.
    func count(endingFences isEnd: Bool) -> Int { isEnd ? endingFences : count - endingFences }

    mutating func append(_ item: Coordinator.Waiting) {
        queue.append(item)
        note(item, 1)
    }

    /// All that wait for a leader; none does then.
    mutating func takeQueue() -> [Coordinator.Waiting] {
        for item in queue { note(item, -1) }
        defer { queue = [] }
        return queue
    }

    /// Those that have waited for a leader for too long.
    mutating func takeOverdue(at now: LogicalInstant) -> [Coordinator.Waiting] {
        let overdue = queue.filter { $0.until <= now }
        guard !overdue.isEmpty else { return [] }
        queue.removeAll { $0.until <= now }
        for item in overdue { note(item, -1) }
        return overdue
    }

    mutating func passOn(_ item: Coordinator.Waiting, as number: UInt64, in term: Term) {
        passedOn[number] = Coordinator.HandedOn(item: item, term: term)
        note(item, 1)
    }

    /// It is answered, or nobody will answer it.
    mutating func takeBack(_ number: UInt64) -> Coordinator.HandedOn? {
        guard let handed = passedOn.removeValue(forKey: number) else { return nil }
        note(handed.item, -1)
        return handed
    }

    private mutating func note(_ item: Coordinator.Waiting, _ change: Int) {
        if item.command.command.mayEndFence { endingFences += change }
    }
}
