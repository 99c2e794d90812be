import Foundation
import GossipKit
import Membership
import Model
import ProcessKit
import Synchronization
import Testing
import Transport

/// What real sockets show of a crowd of members in this process: each has a socket and a thread of its own, and talks to the others over
/// loopback. How long that takes to the hundredth is the bench's affair; here it is who is held dead, and who is not.
enum CrowdStory {
    /// `make test-long` takes its time, and has more of them.
    static let isLong = ProcessInfo.processInfo.environment["LONG"] == "1"
    static let size = isLong ? 100 : 30

    /// Deadlines find what hangs. A machine that does other things as well may be several times slower than the one they were thought of on.
    static let patience = 60.0

    /// What the design allows may take so many times as long, beside what the machine itself was slower meanwhile (see `Pulse`): thirty
    /// members, each with a thread, share two processors here.
    static let allowance = 3.0

    /// Lets all others join through the first, and has the story begin when they have known each other for a while.
    static func tell(
        _ count: Int = size, _ tuning: SwimTuning = .fast, linked: Bool = false, _ story: (GossipCrowd) async throws -> Void
    ) async throws {
        try await GossipCrowd.with({ try GossipCrowd(ports: Ports.free(count), tuning, linked: linked) }) { crowd in
            try await crowd.gather()
            // Members who have just met have longer to refute.
            try await crowd.goesOn(probes: Int(tuning.youth.microseconds / tuning.probeInterval.microseconds) + 4)
            try await story(crowd)
        }
    }

    struct TooLate: Error, CustomStringConvertible {
        let description: String
    }
}

/// How much later than it asked a thread of this process goes on, while this lives: on a machine that has other work, so much longer does
/// everything take that consists of waiting and of being woken.
final class Pulse: Sendable {
    private static let nap: UInt32 = 5_000
    private let state = Mutex<(naps: Int, isOver: Bool)>((0, false))
    private let start = ContinuousClock.now

    init() {
        Thread.detachNewThread { [weak self] in
            while true {
                usleep(Self.nap)
                let isOver = self?.beat() ?? true
                if isOver { return }
            }
        }
    }

    private func beat() -> Bool {
        state.withLock { state in
            state.naps += 1
            return state.isOver
        }
    }

    func end() { state.withLock { $0.isOver = true } }

    /// One, where each nap is as long as it should be.
    var slowness: Double {
        let naps = state.withLock { $0.naps }
        let time = (ContinuousClock.now - start) / .microseconds(1)
        return max(1, time / (Double(max(1, naps)) * Double(Self.nap)))
    }

    /// Seconds of the design, as they may be here and now.
    func allows(_ seconds: Double) -> Double { seconds * CrowdStory.allowance * slowness }
}

extension GossipCrowd {
    /// - Returns: seconds from the start of the others until everybody sees everybody.
    @discardableResult
    func gather() async throws -> Double {
        try start(0)
        try await wait("the first to be there") { service(0)?.port != nil }
        let start = ContinuousClock.now
        for member in everybody(but: 0) { try self.start(member) }
        try await wait("all to have joined") { sightings.isWhole(everybody) }
        return (ContinuousClock.now - start) / .seconds(1)
    }

    /// - Throws: when `condition` does not come to hold.
    func wait(_ what: String, within seconds: Double = CrowdStory.patience, _ condition: () -> Bool) async throws {
        let isMet = try await awaited(within: seconds) { condition() ? true : nil }
        if isMet == nil { throw CrowdStory.TooLate(description: "waited \(seconds) s for \(what)") }
    }

    /// Every member that runs has probed so many others since now.
    /// - Parameter slow: who probes so seldom, for all that it cannot hear, that it is not waited for.
    func goesOn(probes: Int, but slow: Int? = nil) async throws {
        let members = everybody.filter { $0 != slow }
        let goals = members.map { member in service(member).map { $0.protocolCounters.probes + UInt64(probes) } }
        try await wait("\(probes) more probes by each", within: CrowdStory.patience * 3) {
            zip(members, goals).allSatisfy { member, goal in
                guard let service = service(member), let goal else { return true }
                return service.protocolCounters.probes >= goal
            }
        }
    }

    /// - Returns: seconds from `start` until all others held `belief` about a member, as each did of its own.
    @discardableResult
    func wait(for belief: Belief, of member: Int, since start: ContinuousClock.Instant) async throws -> Double {
        let others = everybody(but: member).filter { service($0) != nil }
        try await wait("\(member) to be \(belief) for all") {
            sightings.times(belief, of: member, by: others, since: start) != nil
        }
        return sightings.times(belief, of: member, by: others, since: start)?.last ?? .nan
    }

    func waitUntilWhole() async throws {
        try await wait("everybody to see everybody") { sightings.isWhole(everybody) }
    }

    /// What a member was the first to hold against others.
    func accusations(by member: Int, since start: ContinuousClock.Instant) -> [Sighting] {
        let all = sightings.since(start).filter { $0.belief == .down || $0.belief == .suspected }
        return all.filter { own in
            own.observer == member
                && !all.contains { $0.observer != member && $0.subject == own.subject && $0.at <= own.at }
        }
    }
}
