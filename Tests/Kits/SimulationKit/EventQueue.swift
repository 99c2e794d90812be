// What will happen, by the time at which it will; of two at one time, the one that was put in first comes first.

package import Model

/// A binary heap with a running number, so that the order is the same in every process. Only small keys move in it: the events, of
/// whatever type, wait in slots.
package struct EventQueue<Event> {
    private var keys = KeyHeap()
    private var slots: [Event?] = []
    private var free: [Int] = []
    private var number: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { keys.items.isEmpty }
    package var nextAt: LogicalInstant? { keys.items.first.map { LogicalInstant(microseconds: $0.at) } }

    package mutating func push(_ event: Event, at instant: LogicalInstant) {
        number += 1
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = event
        } else {
            slot = slots.count
            slots.append(event)
        }
        keys.push(KeyHeap.Key(at: instant.microseconds, number: number, slot: slot))
    }

    package mutating func pop() -> (at: LogicalInstant, event: Event)? {
        guard let key = keys.pop(), let event = slots[key.slot].take() else { return nil }
        free.append(key.slot)
        return (LogicalInstant(microseconds: key.at), event)
    }
}

private struct KeyHeap {
    struct Key {
        let at: Int64
        let number: UInt64
        let slot: Int

        func isBefore(_ other: Key) -> Bool { (at, number) < (other.at, other.number) }
    }

    private(set) var items: [Key] = []

    mutating func push(_ key: Key) {
        items.append(key)
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child].isBefore(items[parent]) else { break }
            items.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Key? {
        guard let first = items.first else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return first }
        items[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1...2 * parent + 2 where child < items.count && items[child].isBefore(items[least]) {
                least = child
            }
            guard least != parent else { return first }
            items.swapAt(parent, least)
            parent = least
        }
    }
}
