// What members of a crowd believe of each other, whoever made them.

import Synchronization

/// What one member came to believe of another.
package enum Belief: Hashable, Sendable {
    case up, suspected, down, left
}

package struct Sighting: Hashable, Sendable, CustomStringConvertible {
    package let observer: Int
    package let subject: Int
    package let belief: Belief
    package let at: ContinuousClock.Instant

    package init(observer: Int, subject: Int, belief: Belief, at: ContinuousClock.Instant) {
        self.observer = observer
        self.subject = subject
        self.belief = belief
        self.at = at
    }

    package var description: String { "\(observer): \(subject) \(belief)" }
}

/// What all members of a crowd have come to believe, and what each believes now.
package final class Sightings: Sendable {
    private struct State {
        var all: [Sighting] = []
        var now: [[Belief?]]
    }

    private let state: Mutex<State>

    package init(members count: Int) {
        state = Mutex(State(now: [[Belief?]](repeating: [Belief?](repeating: nil, count: count), count: count)))
    }

    package func note(_ sighting: Sighting) {
        state.withLock { state in
            state.all.append(sighting)
            state.now[sighting.observer][sighting.subject] = sighting.belief
        }
    }

    /// A member has ended: what it believed is of no account.
    package func forget(observer: Int) {
        state.withLock { state in state.now[observer] = state.now[observer].map { _ in nil } }
    }

    package func since(_ start: ContinuousClock.Instant) -> [Sighting] {
        state.withLock { state in state.all.filter { $0.at >= start } }
    }

    /// Whether each of `observers` now holds `belief` about each of `subjects` but itself.
    package func all(_ observers: [Int], hold belief: Belief, of subjects: [Int]) -> Bool {
        state.withLock { state in
            observers.allSatisfy { observer in
                subjects.allSatisfy { $0 == observer || state.now[observer][$0] == belief }
            }
        }
    }

    /// Whether each of `members` believes every other to be up.
    package func isWhole(_ members: [Int]) -> Bool { all(members, hold: .up, of: members) }

    /// When each of `observers` first held `belief` about `subject`, in order; nil until all of them have.
    package func times(
        _ belief: Belief, of subject: Int, by observers: [Int], since start: ContinuousClock.Instant
    ) -> [Double]? {
        var first = [Int: Double]()
        for sighting in since(start) where sighting.subject == subject && sighting.belief == belief {
            first[sighting.observer] = first[sighting.observer] ?? (sighting.at - start) / .seconds(1)
        }
        let times = observers.compactMap { first[$0] }
        return times.count == observers.count ? times.sorted() : nil
    }

    /// What was held down since `start` that was not one of `fallen`, by whoever was not.
    package func falseVerdicts(except fallen: Set<Int> = [], since start: ContinuousClock.Instant) -> [Sighting] {
        since(start).filter { $0.belief == .down && !fallen.contains($0.subject) && !fallen.contains($0.observer) }
    }
}
