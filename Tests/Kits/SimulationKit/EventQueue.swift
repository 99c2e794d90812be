// What will happen, by the time at which it will; of two at one time, the one that was put in first comes first.

package import Model

/// A binary heap with a running number, so that the order is the same in every process.
package struct EventQueue<Event> {
    private struct Item {
        let at: Int64
        let number: UInt64
        let event: Event

        func isBefore(_ other: Item) -> Bool { (at, number) < (other.at, other.number) }
    }

    private var items: [Item] = []
    private var number: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { items.isEmpty }
    package var nextAt: LogicalInstant? { items.first.map { LogicalInstant(microseconds: $0.at) } }

    package mutating func push(_ event: Event, at instant: LogicalInstant) {
        number += 1
        items.append(Item(at: instant.microseconds, number: number, event: event))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child].isBefore(items[parent]) else { break }
            items.swapAt(child, parent)
            child = parent
        }
    }

    package mutating func pop() -> (at: LogicalInstant, event: Event)? {
        guard let first = items.first else { return nil }
        let last = items.removeLast()
        if !items.isEmpty {
            items[0] = last
            sink()
        }
        return (LogicalInstant(microseconds: first.at), first.event)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && items[child].isBefore(items[least]) {
                least = child
            }
            guard least != parent else { return }
            items.swapAt(parent, least)
            parent = least
        }
    }
}
