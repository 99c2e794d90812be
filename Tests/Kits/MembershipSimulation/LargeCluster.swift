// A cluster as large as a machine can hold, measured: the rows of the table that `make sim-swim` prints.

package import Membership
package import Model
import SimulationKit

package struct LargeCluster {
    package private(set) var world: World
    private let count: Int
    private let isShared: Bool
    /// What all begin with, where they share it.
    private let known: MemberTable
    private let say: (String, String) -> Void

    /// - Parameters:
    ///   - isShared: whether all begin with one table that names everybody, of which each keeps only its differences; if not, each
    ///     begins with three names, and builds a table of its own.
    ///   - say: takes the name of a figure and its value.
    package init(
        _ count: Int, isShared: Bool, seed: UInt64, tuning: SwimTuning = .fast, say: @escaping (String, String) -> Void
    ) {
        self.count = count
        self.isShared = isShared
        self.say = say
        let records = (0..<(isShared ? count : 0)).map { index in
            MemberRecord(
                node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: .alive,
                profile: World.profile(index))
        }
        known = MemberTable(of: records, at: .origin)
        world = World(seed: seed, tuning: tuning)
        world.bufferBytes = 1 << 20
        world.mostVerdicts = 1_000_000
        world.reserve(count - 1)
        if isShared {
            for index in 0..<count {
                world.begin(
                    index,
                    Swim(
                        node: World.node(index), generation: Generation(1), profile: World.profile(index), tuning: tuning,
                        seed: seed &+ UInt64(index) &* 7_919, at: .origin, known: known))
            }
            world.run(for: tuning.youth + .seconds(5))
        } else {
            world.start(count)
        }
    }

    private func seconds(_ span: Span?) -> String { span.map { "\(Double($0.milliseconds) / 1_000) s" } ?? "not in time" }
    /// How often anybody held somebody dead who lives, and of how many that was held.
    private var wrong: String { "\(world.falseVerdicts.count), \(Set(world.falseVerdicts.map(\.of)).count)" }
    private func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

    /// From three names to everybody.
    package mutating func join() {
        let count = count
        let start = world.now
        func share(_ world: World) -> Double {
            let known = world.running.reduce(0) { sum, index in
                sum + (world.swim(index).map { $0.count(of: .alive) - $0.missingCount } ?? 0)
            }
            return Double(known) / Double(count * (count - 1))
        }
        let most = world.run(atMost: .seconds(60)) { share($0) >= 0.99 }
        say("all join at once: 99 % of pairs", seconds(most))
        let all = world.run(atMost: .seconds(120)) { $0.isWhole }
        say("all join at once: all pairs", all == nil ? "not in time" : seconds(world.now - start))
        say("  packets, bytes per member", "\(world.traffic.packets / UInt64(count)), \(world.traffic.bytes / UInt64(count))")
        world.run(for: world.tuning.youth + .seconds(5))
    }

    /// Many processes at once begin a new life, with what they all share for their roster.
    package mutating func restart(_ some: Int) {
        world.forgetWhatWas()
        let start = world.now
        for index in 0..<some { world.kill(index, refusing: true) }
        for index in 0..<some {
            world.begin(
                index,
                Swim(
                    node: World.node(index), generation: Generation(2), profile: World.profile(index), tuning: world.tuning,
                    seed: UInt64(index) &* 104_729, at: world.now, known: known))
        }
        let time = world.run(atMost: .seconds(60)) { $0.agrees }
        say("\(some) of them start anew at once: all pairs", seconds(time.map { _ in world.now - start }))
        say("  packets, bytes per member", "\(world.traffic.packets / UInt64(count)), \(world.traffic.bytes / UInt64(count))")
        world.run(for: world.tuning.youth + .seconds(5))
        say("  held dead though alive: verdicts, members", wrong)
    }

    package mutating func idle(for span: Span, loss: UInt64) {
        world.forgetWhatWas()
        world.loss = loss
        world.run(for: span)
        let shares = Double(count) * span.seconds
        say(
            "idle, \(Double(loss) / 10) % lost: packets, bytes per member and second",
            "\(rounded(Double(world.traffic.packets) / shares)), \(Int(Double(world.traffic.bytes) / shares))")
        say("  asked over a link, of a thousand probes", rounded(Double(world.traffic.streams) * 1_000 / (shares * 4)))
        let years = shares / (365.25 * 86_400)
        let events = world.falseVerdicts.count
        say(
            "  held dead though alive, in \(rounded(years * 1_000)) thousandths of a node-year: verdicts, members",
            "\(wrong); \(events == 0 ? "below " : "")\(Int(Double(max(events, 1)) / years)) verdicts per node-year")
        say("  suspicions", "\(world.accusations.count)")
    }

    package mutating func kill(_ times: Int, refusing: Bool) {
        world.hasLinks = refusing
        var first: [Span] = []
        var most: [Span] = []
        var all: [Span] = []
        for time in 0..<times {
            let victim = (count / times * time + (refusing ? 1 : 2)) % count
            world.forgetWhatWas()
            let start = world.now
            world.kill(victim, refusing: refusing)
            let reached = world.run(atMost: .seconds(20)) { $0.share(seeing: victim, as: .dead) >= 0.99 }
            let end = world.run(atMost: .seconds(40)) { $0.all(see: victim, as: .dead) }
            first.append((world.verdicts.first { $0.of == victim }?.at ?? world.now) - start)
            if let reached { most.append(reached) }
            if end != nil { all.append(world.now - start) }
            world.run(for: .seconds(3))
        }
        world.hasLinks = true
        let name = refusing ? "killed process (links refused)" : "vanished host"
        say(
            "\(name): first dead, 99 %, all",
            "\(seconds(median(first))), \(seconds(median(most))), \(all.count == times ? seconds(all.max()) : "\(all.count) of \(times) in time")"
        )
        say("  held dead though alive: verdicts, members", wrong)
    }

    /// Cuts the first of them off from the others for a while: a half, if not told how many.
    package mutating func split(_ some: Int? = nil, for span: Span) {
        world.forgetWhatWas()
        let half = some ?? count / 2
        world.passes = { from, to in (from < half) == (to < half) }
        world.run(for: span)
        let dead = world.running.allSatisfy { (world.swim($0)?.count(of: .dead) ?? 0) >= ($0 < half ? count - half : half) }
        let apart = world.verdicts.count { ($0.by < half) == ($0.of < half) }
        world.forgetWhatWas()
        world.passes = { _, _ in true }
        let time = world.run(atMost: .seconds(120)) { $0.isWhole }
        world.run(for: .seconds(5))
        let own = world.verdicts.count { ($0.by < half) == ($0.of < half) }
        let stays = world.isWhole
        let name = some.map { "\($0) cut off from the others" } ?? "half/half split"
        say("\(name) for \(span.milliseconds / 1_000) s\(dead ? "" : " (not all dead by then)"): healed", seconds(time))
        say(
            "  verdicts of a half about its own, apart and while meeting; packets per member",
            "\(apart), \(own)\(stays ? "" : ", and it does not stay whole"); \(world.traffic.packets / UInt64(count))")
    }

    /// Half of them are gone at once.
    package mutating func halve(refusing: Bool) {
        world.forgetWhatWas()
        for index in stride(from: 0, to: count, by: 2) { world.kill(index, refusing: refusing) }
        let gone = (count + 1) / 2
        let time = world.run(atMost: .seconds(120)) { world in
            world.running.allSatisfy { world.swim($0)?.count(of: .dead) == gone }
        }
        say("half of them gone at once\(refusing ? " (links refused)" : ""): all dead", seconds(time))
        say(
            "  held dead though alive: verdicts, members; reports, deaths in the largest; packets per member",
            "\(wrong); \(world.reports.count), "
                + "\(world.reports.map(\.report.deaths.count).max() ?? 0); \(world.traffic.packets / UInt64(count - gone))")
    }
}
