// What will happen, by the time at which it will; of two at one time, the one that was put in first comes first.

import HeapModule
package import Model

/// A heap with a running number, so that the order is the same in every process. Only small keys move in it: the events, of
/// whatever type, wait in slots.
package struct EventQueue<Event> {
    private var keys = Heap<Key>()
    private var slots: [Event?] = []
    private var free: [Int] = []
    private var number: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { keys.isEmpty }
    package var nextAt: LogicalInstant? { keys.min.map { LogicalInstant(microseconds: $0.at) } }

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
        keys.insert(Key(at: instant.microseconds, number: number, slot: slot))
    }

    package mutating func pop() -> (at: LogicalInstant, event: Event)? {
        guard let key = keys.popMin(), let event = slots[key.slot].take() else { return nil }
        free.append(key.slot)
        return (LogicalInstant(microseconds: key.at), event)
    }
}

private struct Key: Comparable {
    let at: Int64
    let number: UInt64
    let slot: Int

    static func < (a: Self, b: Self) -> Bool { (a.at, a.number) < (b.at, b.number) }
}
