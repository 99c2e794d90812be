// Is there an order of all calls, each at one instant between its call and its return, in which a register would have answered the
// same? (Herlihy and Wing 1990.) The search is Wing and Gong's (1993): take any call that began before every call that has not been
// taken returned, and go back when that leads nowhere; with Lowe's memory of the states that were seen (2017), so that none is tried
// twice. Registers are judged one by one, for linearizability is local.

import Model

package enum Linearizability {
    package enum Verdict: Hashable, Sendable {
        case linearizable
        /// The calls of this key have no order; those given are as far as the search came, with the ones it could not place.
        case violated(key: Int, placed: Int, stuck: [Call])
        /// No key is violated as far as is known; of these the limit was reached before an answer.
        case undecided(keys: [Int])
    }

    /// - Parameter limit: of states looked at, for each key.
    package static func check(_ history: [Call], limit: Int = 5_000_000) -> Verdict {
        var undecided: [Int] = []
        for (key, calls) in Dictionary(grouping: history, by: \.key).sorted(by: { $0.key < $1.key }) {
            switch checkOne(key, calls, limit: limit) {
            case .linearizable: break
            case .undecided: undecided.append(key)
            case let violated: return violated
            }
        }
        return undecided.isEmpty ? .linearizable : .undecided(keys: undecided)
    }

    /// The calls and returns of one key in the order of time, as a doubly linked list from which calls are lifted out and put back.
    private struct Events {
        /// The call that an event belongs to; `isReturn` tells its end.
        var call: [Int] = []
        var isReturn: [Bool] = []
        var match: [Int] = []
        var next: [Int] = []
        var previous: [Int] = []
        static let head = 0

        init(_ calls: [Call]) {
            // At one instant calls stand before returns: they overlap.
            let order = calls.indices.flatMap { index -> [(at: Int64, isReturn: Bool, call: Int)] in
                let call = calls[index]
                // A read that nobody saw tells nothing; a write that nobody heard of may still come: its return stands at the end.
                let end = call.returned?.microseconds ?? Int64.max
                return [(call.called.microseconds, false, index), (end, true, index)]
            }.sorted { ($0.at, $0.isReturn ? 1 : 0, $0.call) < ($1.at, $1.isReturn ? 1 : 0, $1.call) }
            call = [-1] + order.map(\.call)
            isReturn = [false] + order.map(\.isReturn)
            match = Array(repeating: 0, count: call.count)
            var place = Array(repeating: 0, count: calls.count)
            for event in 1..<max(call.count, 1) where !isReturn[event] { place[call[event]] = event }
            for event in 1..<max(call.count, 1) where isReturn[event] { match[place[call[event]]] = event }
            next = call.indices.map { $0 + 1 < call.count ? $0 + 1 : -1 }
            previous = call.indices.map { $0 - 1 }
        }

        mutating func lift(_ event: Int) {
            for one in [event, match[event]] {
                next[previous[one]] = next[one]
                if next[one] >= 0 { previous[next[one]] = previous[one] }
            }
        }

        mutating func putBack(_ event: Int) {
            for one in [match[event], event] {
                next[previous[one]] = one
                if next[one] >= 0 { previous[next[one]] = one }
            }
        }
    }

    private struct Seen: Hashable {
        let taken: [UInt64]
        let value: UInt64
    }

    private static func checkOne(_ key: Int, _ all: [Call], limit: Int) -> Verdict {
        let calls = all.filter { call in
            if case .read = call.operation { return call.returned != nil }
            return true
        }
        var events = Events(calls)
        var taken = Array(repeating: UInt64(0), count: calls.count / 64 + 1)
        var value: UInt64 = 0
        var path: [(event: Int, value: UInt64)] = []
        var seen: Set<Seen> = []
        var furthest = 0
        var stuck: [Call] = []
        // Calls that returned; the others need no place.
        var owed = calls.count { $0.returned != nil }
        var event = events.next[Events.head]
        while owed > 0 {
            guard event >= 0 else { return .violated(key: key, placed: furthest, stuck: stuck) }
            if !events.isReturn[event] {
                let call = events.call[event]
                if let after = apply(calls[call].operation, to: value) {
                    var with = taken
                    with[call / 64] |= 1 << UInt64(call % 64)
                    if seen.insert(Seen(taken: with, value: after)).inserted {
                        guard seen.count <= limit else { return .undecided(keys: [key]) }
                        path.append((event, value))
                        (taken, value) = (with, after)
                        if calls[call].returned != nil { owed -= 1 }
                        events.lift(event)
                        event = events.next[Events.head]
                        continue
                    }
                }
                event = events.next[event]
                continue
            }
            // A call that has returned by now was not placed: go back.
            if path.count >= furthest {
                furthest = path.count
                stuck = [calls[events.call[event]]]
            }
            guard let last = path.popLast() else { return .violated(key: key, placed: furthest, stuck: stuck) }
            let call = events.call[last.event]
            taken[call / 64] &= ~(1 << UInt64(call % 64))
            value = last.value
            if calls[call].returned != nil { owed += 1 }
            events.putBack(last.event)
            event = events.next[last.event]
        }
        return .linearizable
    }

    /// The register after an operation, or nil when it could not have ended as it did.
    private static func apply(_ operation: RegisterOperation, to value: UInt64) -> UInt64? {
        switch operation {
        case .write(let new): new
        case .read(let seen): seen == value ? value : nil
        case .swap(let expected, let new, let succeeded):
            switch succeeded {
            case true?: expected == value ? new : nil
            case false?: expected == value ? nil : value
            case nil: expected == value ? new : value
            }
        }
    }
}
