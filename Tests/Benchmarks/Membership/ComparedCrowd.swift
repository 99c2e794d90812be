// What the comparison of failure detectors asks of a crowd of members, whoever made them.

import Synchronization

/// What one member came to believe of another.
enum Belief: Hashable, Sendable {
    case up, suspected, down, left
}

struct Sighting: Hashable, Sendable {
    let observer: Int
    let subject: Int
    let belief: Belief
    let at: ContinuousClock.Instant
}

/// What all members of a crowd have come to believe, and what each believes now.
final class Sightings: Sendable {
    private struct State {
        var all: [Sighting] = []
        var now: [[Belief?]]
    }

    private let state: Mutex<State>

    init(members count: Int) {
        state = Mutex(State(now: [[Belief?]](repeating: [Belief?](repeating: nil, count: count), count: count)))
    }

    func note(_ sighting: Sighting) {
        state.withLock { state in
            state.all.append(sighting)
            state.now[sighting.observer][sighting.subject] = sighting.belief
        }
    }

    /// A member has ended: what it believed is of no account.
    func forget(observer: Int) {
        state.withLock { state in state.now[observer] = state.now[observer].map { _ in nil } }
    }

    func since(_ start: ContinuousClock.Instant) -> [Sighting] {
        state.withLock { state in state.all.filter { $0.at >= start } }
    }

    /// Whether each of `members` believes every other to be up.
    func isWhole(_ members: [Int]) -> Bool {
        state.withLock { state in
            members.allSatisfy { observer in
                members.allSatisfy { $0 == observer || state.now[observer][$0] == .up }
            }
        }
    }

    /// When each of `observers` first held `belief` about `subject`, in order; nil until all of them have.
    func times(_ belief: Belief, of subject: Int, by observers: [Int], since start: ContinuousClock.Instant) -> [Double]? {
        var first = [Int: Double]()
        for sighting in since(start) where sighting.subject == subject && sighting.belief == belief {
            first[sighting.observer] = first[sighting.observer] ?? (sighting.at - start).inSeconds
        }
        let times = observers.compactMap { first[$0] }
        return times.count == observers.count ? times.sorted() : nil
    }

    /// How often somebody was held down since `start` who was not one of `fallen`, by whoever was not.
    func falseVerdicts(except fallen: Set<Int>, since start: ContinuousClock.Instant) -> Int {
        since(start).count { $0.belief == .down && !fallen.contains($0.subject) && !fallen.contains($0.observer) }
    }
}

/// What a crowd has used since it began, all members together.
struct CrowdUsage: Sendable {
    /// Seconds.
    var processor: Double
    /// UDP, sent.
    var packets: Double
    /// Payload of those; nil where nobody counts it.
    var bytes: Double?
    /// Resident, in MB.
    var memory: Double
}

protocol ComparedCrowd: Sendable {
    var title: String { get }
    var count: Int { get }
    var sightings: Sightings { get }

    /// All but the first find the others through the first.
    func start(_ member: Int) throws
    /// As by `kill -9`: its sockets close, and nobody is told.
    func kill(_ member: Int) async
    /// It says good-bye.
    func leave(_ member: Int) async throws
    /// Neither reads nor sends nor thinks for so long.
    func stall(_ members: [Int], for time: Duration) async throws
    func usage() throws -> CrowdUsage
    func end() async
}

extension ComparedCrowd {
    var everybody: [Int] { Array(0..<count) }

    func everybody(but member: Int) -> [Int] { everybody.filter { $0 != member } }

    /// Waits for what `attempt` gives; nil when it has not come in time.
    func awaited<Value>(within seconds: Double, _ attempt: () -> Value?) async throws -> Value? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            if let value = attempt() { return value }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    /// Seconds until everybody believes everybody else to be up; nil when that does not come.
    func whole(within seconds: Double) async throws -> Double? {
        let start = ContinuousClock.now
        return try await awaited(within: seconds) {
            sightings.isWhole(everybody) ? (ContinuousClock.now - start).inSeconds : nil
        }
    }
}
