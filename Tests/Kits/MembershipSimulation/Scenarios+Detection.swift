import Membership
import Model
import SimulationKit

// Who is dead, how soon, and who is not.
extension Scenario {
    static let detection: [Scenario] = [
        Scenario(
            "C1",
            "a killed process is dead for all of a hundred members in 0.5 s where links are refused, and in 2.1 s without them",
            killed),
        Scenario("C1-lan", "with the lan profile a killed process is dead for all of a hundred members in 10.2 s", killedLan),
        Scenario(
            "C2", "a host that vanishes is dead for all of a hundred members in 2.5 s, and in 10.6 s in the lan profile",
            blackHole),
        Scenario("C3", "a stall of a second (five in the lan profile) kills nobody and accuses nobody", shortStall),
        Scenario("C4", "who stalls for half a minute is dead, is back for all within 0.6 s, and accuses nobody", longStall),
        Scenario("C5", "a machine that slept for an hour is back for all within 0.6 s, and accuses nobody", suspend),
        Scenario(
            "C6", "members that freeze and thaw in turns kill nobody who is well, nor do those who miss most of what is said",
            freezeGrid),
        Scenario("C7", "members that all starve together pass no verdicts, and know each other again soon after", starved),
        Scenario("C8", "every fifth datagram lost kills nobody, two of five hardly anybody", lossy),
        Scenario("C9", "who cannot receive, or cannot send, is dead for all once, kills nobody, and is back soon", oneWay),
        Scenario("C11", "a cut between two members alone kills neither", pairwise),
        Scenario("C26", "a member whose datagrams do not leave knows that it is alone, and judges nobody", alone),
        Scenario(
            "C26-back", "who could not send for a minute suspects nobody of a hundred any more soon after it can", aloneAndBack),
    ]

    /// Kills one after the other, and starts each anew. How soon one of them is probed is exponentially distributed, so only the median of
    /// many says something.
    private static func kills(
        _ trial: inout Trial, _ tuning: SwimTuning, _ times: Int = 24, refusing: Bool, limit: Span
    ) throws(Violation) -> (first: Span, all: Span) {
        var world = try trial.cluster(100, tuning)
        world.hasLinks = refusing
        for index in 0..<100 {
            for step in [1, 7, 31] { world.link(index, (index + step) % 100) }
        }
        world.run(for: .seconds(2))
        var first: [Span] = []
        var all: [Span] = []
        for victim in (0..<times).map({ (3 + 8 * $0) % 100 }) {
            world.forgetWhatWas()
            let at = world.now
            if refusing { world.kill(victim, refusing: true) } else { world.kill(victim, refusing: false) }
            let time = world.run(atMost: limit * 2) { $0.all(see: victim, as: .dead) }
            all.append(try trial.require(time, within: limit * 2, "the death of \(victim)"))
            first.append((world.verdicts.first?.at ?? world.now) - at)
            world.run(for: .seconds(1))
            try trial.require(world.falseVerdicts.isEmpty, "held dead and alive: \(world.falseVerdicts.count)")
            world.start(victim, seeds: [0, 1, 2])
            let back = world.run(atMost: .seconds(5)) { $0.isWhole }
            _ = try trial.require(back, within: .seconds(5), "the return of \(victim)")
            world.run(for: tuning.youth)
        }
        trial.close(world)
        return (median(first), median(all))
    }

    private static func killed(_ trial: inout Trial) throws(Violation) {
        let fast = try kills(&trial, .fast, refusing: true, limit: .seconds(3))
        trial.note("refused: first dead", fast.first)
        trial.note("refused: all dead", fast.all)
        let silent = try kills(&trial, .fast, refusing: false, limit: .seconds(3))
        trial.note("silent: first dead", silent.first)
        trial.note("silent: all dead", silent.all)
        _ = try trial.require(fast.all, within: .milliseconds(500), "all dead, with refused links")
        _ = try trial.require(silent.all, within: .milliseconds(2_100), "all dead, in silence")
    }

    private static func killedLan(_ trial: inout Trial) throws(Violation) {
        let silent = try kills(&trial, .lan, 96, refusing: false, limit: .seconds(15))
        trial.note("first dead", silent.first)
        trial.note("all dead", silent.all)
        _ = try trial.require(silent.all, within: .milliseconds(10_200), "all dead")
    }

    private static func blackHole(_ trial: inout Trial) throws(Violation) {
        try vanish(&trial, .fast, "fast", within: .milliseconds(2_500))
        try vanish(&trial, .lan, "lan", within: .milliseconds(10_600))
    }

    /// Hosts vanish one after the other, for good. Who vanishes runs on, and has its own view of it.
    private static func vanish(
        _ trial: inout Trial, _ tuning: SwimTuning, _ name: String, within limit: Span
    ) throws(Violation) {
        var all: [Span] = []
        var world = try trial.cluster(100, tuning)
        for victim in stride(from: 5, to: 98, by: 8) {
            world.forgetWhatWas()
            let gone = victim
            let before = world.passes
            world.passes = { from, to in from != gone && to != gone && before(from, to) }
            world.setUnwell(victim, until: LogicalInstant(microseconds: .max))
            let time = world.run(atMost: limit * 5 / 2) { world in
                world.running.allSatisfy { other in
                    other == gone || world.swim(other)?.member(World.node(gone))?.status == .dead
                        || world.swim(other)?.isIsolated(at: world.now) == true
                }
            }
            all.append(try trial.require(time, within: limit * 5 / 2, "\(name): the death of \(victim)"))
            try trial.require(world.falseVerdicts.isEmpty, "\(name): held dead and alive: \(world.falseVerdicts.count)")
            world.kill(victim, refusing: false)
        }
        trial.note("\(name): all dead", median(all))
        _ = try trial.require(median(all), within: limit, "\(name): all dead")
        trial.close(world)
    }

    private static func stalls(
        _ trial: inout Trial, _ tuning: SwimTuning, _ count: Int, _ span: Span
    ) throws(Violation) {
        var world = try trial.cluster(count, tuning)
        for victim in 0..<min(6, count) {
            world.forgetWhatWas()
            world.freeze(victim)
            world.run(for: span)
            world.thaw(victim)
            let woke = world.now
            world.run(for: tuning.probeInterval * 6)
            try trial.require(
                world.verdicts.isEmpty, "\(count) members, \(span): \(world.verdicts.count) hold \(victim) or another dead")
            let accused = world.accusations.count { $0.by == victim && $0.at >= woke }
            try trial.require(accused == 0, "\(count) members, \(span): who wakes accuses \(accused)")
        }
        trial.close(world)
    }

    private static func shortStall(_ trial: inout Trial) throws(Violation) {
        for count in [5, 10, 30, 100] {
            for milliseconds in [200, 500, 1_000] as [Int64] { try stalls(&trial, .fast, count, .milliseconds(milliseconds)) }
        }
        for count in [30, 100] { try stalls(&trial, .lan, count, .seconds(5)) }
    }

    private static func longStall(_ trial: inout Trial) throws(Violation) {
        var back: [Span] = []
        for seconds in [10, 20, 30] as [Int64] {
            var world = try trial.cluster(30)
            try sleeps(&trial, &world, 3, .seconds(seconds), isSuspend: false, &back)
            trial.close(world)
        }
        trial.note("back for all, the latest", back.max() ?? .zero)
    }

    private static func suspend(_ trial: inout Trial) throws(Violation) {
        var back: [Span] = []
        var world = try trial.cluster(10)
        try sleeps(&trial, &world, 3, .seconds(3_600), isSuspend: true, &back)
        trial.note("back for all", back[0])
        trial.close(world)
    }

    private static func sleeps(
        _ trial: inout Trial, _ world: inout World, _ victim: Int, _ span: Span, isSuspend: Bool, _ back: inout [Span]
    ) throws(Violation) {
        world.forgetWhatWas()
        // It has just asked somebody, and will not be there for the answer.
        world.run(untilPingOf: victim)
        world.freeze(victim)
        world.run(for: span)
        try trial.require(world.all(see: victim, as: .dead), "after \(span) it is not dead for all")
        world.thaw(victim, afterSuspend: isSuspend)
        let woke = world.now
        let time = world.run(atMost: .seconds(40)) { $0.isWhole }
        back.append(try trial.require(time, within: .milliseconds(600), "back after \(span)"))
        world.run(for: .seconds(3))
        let accused = world.accusations.count { $0.by == victim && $0.at >= woke }
        try trial.require(accused == 0, "who wakes accuses \(accused)")
        try trial.require(world.falseVerdicts.isEmpty, "\(world.falseVerdicts.count) false verdicts")
    }

    /// What Lifeguard's own experiment counts: verdicts on the living, and suspicions of those who are well.
    private struct Alarms {
        var anywhere = 0
        var atHealthy = 0
        var suspicions = 0
    }

    private static func freezeGrid(_ trial: inout Trial) throws(Violation) {
        let alarms = try freezes(&trial, .fast, [1, 4, 16])
        trial.note("false verdicts, at anybody", alarms.anywhere)
        trial.note("at who is well", alarms.atHealthy)
        trial.note("suspicions of who is well", alarms.suspicions)
        try trial.require(alarms.atHealthy <= 1, "\(alarms.atHealthy) false verdicts at members that are well, in 12 settings")
        try trial.require(alarms.anywhere <= 42, "\(alarms.anywhere) false verdicts, in 12 settings")
        // Without Lifeguard's own rules the others hold: a member that was away judges nothing by that time.
        var plain = SwimTuning.fast
        plain.healthCeiling = 0
        plain.confirmations = 0
        plain.suspicionStretch = 1
        let without = try freezes(&trial, plain, [16])
        trial.note("16 of them, without Lifeguard: false verdicts, at anybody", without.anywhere)
        trial.note("16 of them, without Lifeguard: at who is well", without.atHealthy)
        // What Lifeguard is for here: who runs, and misses most of what is said.
        let aided = try missesMost(&trial, .fast)
        let unaided = try missesMost(&trial, plain)
        trial.note("most is missed: false verdicts, at anybody", "\(aided.anywhere), without Lifeguard \(unaided.anywhere)")
        trial.note("most is missed: at who is well", "\(aided.atHealthy), without Lifeguard \(unaided.atHealthy)")
        trial.note("most is missed: suspicions of who is well", "\(aided.suspicions), without Lifeguard \(unaided.suspicions)")
        try trial.require(
            aided.atHealthy == 0, "\(aided.atHealthy) false verdicts at members that are well, of who misses most")
        try trial.require(
            unaided.anywhere >= 10 * max(1, aided.anywhere),
            "\(aided.anywhere) false verdicts, and \(unaided.anywhere) without Lifeguard: the experiment shows nothing")
    }

    /// Sixteen of 64, whom no link helps, miss nine of ten datagrams that are sent to them, for a minute.
    private static func missesMost(_ trial: inout Trial, _ tuning: SwimTuning) throws(Violation) -> Alarms {
        let deaf = 16
        var world = try trial.cluster(64, tuning)
        world.hasLinks = false
        world.forgetWhatWas()
        for index in 0..<deaf { world.deafen(index, by: 900) }
        world.run(for: .seconds(60))
        let alarms = Alarms(
            anywhere: world.falseVerdicts.count, atHealthy: world.falseVerdicts.count(where: \.byHealthy),
            suspicions: world.accusations.count { $0.of >= deaf })
        trial.close(world)
        return alarms
    }

    /// Lifeguard's own experiment: some of 64 are frozen and thawed for a tenth of a second, in cycles, for a minute.
    private static func freezes(
        _ trial: inout Trial, _ tuning: SwimTuning, _ counts: [Int]
    ) throws(Violation) -> Alarms {
        var alarms = Alarms()
        for frozen in counts {
            for seconds in [2, 8, 16, 32] as [Int64] {
                var world = try trial.cluster(64, tuning)
                world.forgetWhatWas()
                let end = world.now + .seconds(66)
                while world.now < end {
                    for index in 0..<frozen { world.freeze(index) }
                    world.run(for: .seconds(seconds))
                    for index in 0..<frozen { world.thaw(index) }
                    // A tenth of a second is not enough to be well.
                    for index in 0..<frozen { world.setUnwell(index, until: LogicalInstant(microseconds: .max)) }
                    world.run(for: .milliseconds(100))
                }
                alarms.anywhere += world.falseVerdicts.count
                alarms.atHealthy += world.falseVerdicts.count(where: \.byHealthy)
                alarms.suspicions += world.accusations.count { $0.of >= frozen }
                trial.close(world)
            }
        }
        return alarms
    }

    private static func starved(_ trial: inout Trial) throws(Violation) {
        for steps in [2_000, 1_000, 500] as [Int64] {
            var world = try trial.cluster(100)
            world.forgetWhatWas()
            // Idle, a hundred members take 5,600 steps a second.
            world.starve(Array(0..<100), stepsPerSecond: steps)
            world.run(for: .seconds(60))
            trial.note("verdicts at \(steps) steps a second", world.verdicts.count)
            let verdicts = world.verdicts.count
            world.feed()
            let time = world.run(atMost: .seconds(40)) { $0.isWhole }
            try trial.require(verdicts == 0, "\(verdicts) verdicts at \(steps) steps a second")
            _ = try trial.require(time, within: .seconds(10), "a full view after \(steps) steps a second")
            trial.close(world)
        }
    }

    private static func lossy(_ trial: inout Trial) throws(Violation) {
        for (loss, links, limit) in [(50, true, 0), (200, true, 0), (400, true, 5), (50, false, 0), (200, false, 1)]
            as [(UInt64, Bool, Int)]
        {
            var world = try trial.cluster(50)
            world.forgetWhatWas()
            world.loss = loss
            world.hasLinks = links
            world.run(for: .seconds(60))
            // Each by whom somebody is held dead counts.
            let wrong = world.verdicts.count
            trial.note(
                "\(loss / 10) % lost, links \(links ? "up" : "none")", "\(wrong) verdicts, \(world.accusations.count) accused")
            try trial.require(wrong <= limit, "\(wrong) verdicts at \(loss / 10) % loss, links \(links)")
            trial.close(world)
        }
    }

    private static func oneWay(_ trial: inout Trial) throws(Violation) {
        for (profile, tuning, limit) in [("fast", .fast, 3_000), ("lan", .lan, 9_000)] as [(String, SwimTuning, Int64)] {
            for isDeaf in [true, false] {
                try hearsOneWay(&trial, tuning, isDeaf: isDeaf, "\(profile), \(isDeaf ? "deaf" : "mute")", .milliseconds(limit))
            }
        }
    }

    private static func hearsOneWay(
        _ trial: inout Trial, _ tuning: SwimTuning, isDeaf: Bool, _ name: String, _ limit: Span
    ) throws(Violation) {
        let count = 30
        var world = try trial.cluster(count, tuning)
        world.forgetWhatWas()
        world.setUnwell(2, until: LogicalInstant(microseconds: .max))
        world.passes = { from, to in isDeaf ? to != 2 : from != 2 }
        let start = world.now
        let time = world.run(atMost: .seconds(20)) { $0.all(see: 2, as: .dead) }
        trial.note("\(name): dead for all", try trial.require(time, within: limit, "\(name): its death"))
        world.run(for: start + .seconds(60) - world.now)
        try trial.require(world.all(see: 2, as: .dead), "\(name): it is not dead in the end")
        // Once for each of the others, and never again.
        let judges = world.verdicts.filter { $0.of == 2 }.map(\.by)
        try trial.require(
            judges.count == count - 1 && Set(judges).count == count - 1,
            "\(name): it flaps: \(judges.count) verdicts of \(Set(judges).count) members")
        let wrong = world.verdicts.count { $0.isFalse && $0.byHealthy }
        try trial.require(wrong == 0, "\(name): \(wrong) false verdicts at members that are well")
        world.passes = { _, _ in true }
        let healed = world.run(atMost: .seconds(60)) { $0.isWhole }
        trial.note("\(name): healed", try trial.require(healed, within: .seconds(35), "\(name): healing"))
        trial.close(world)
    }

    private static func pairwise(_ trial: inout Trial) throws(Violation) {
        for count in [3, 8, 30] {
            var world = try trial.cluster(count)
            world.forgetWhatWas()
            world.passes = { from, to in !(from == 1 && to == 2 || from == 2 && to == 1) }
            world.run(for: .seconds(60))
            try trial.require(world.verdicts.isEmpty, "\(count) members: \(world.verdicts.count) verdicts")
            trial.close(world)
        }
    }

    private static func aloneAndBack(_ trial: inout Trial) throws(Violation) {
        for (name, tuning) in [("fast", .fast), ("lan", .lan)] as [(String, SwimTuning)] {
            var world = try trial.cluster(100, tuning)
            world.setUnwell(4, until: LogicalInstant(microseconds: .max))
            world.passes = { from, _ in from != 4 }
            world.run(for: .seconds(60))
            let suspects = world.swim(4)?.count(of: .suspect) ?? 0
            world.forgetWhatWas()
            world.passes = { _, _ in true }
            let back = world.run(atMost: .seconds(120)) { $0.isWhole }
            trial.note("\(name): whole again, of \(suspects) suspects", back ?? .zero)
            trial.note("\(name): datagrams of a member meanwhile", Int(world.traffic.packets / 100))
            _ = try trial.require(back, within: .seconds(15), "\(name): a full view")
            try trial.require(world.verdicts.isEmpty, "\(name): \(world.verdicts.count) verdicts")
            trial.close(world)
        }
    }

    private static func alone(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(10)
        world.forgetWhatWas()
        world.setUnwell(4, until: LogicalInstant(microseconds: .max))
        world.passes = { from, to in from != 4 && to != 4 }
        world.run(for: .seconds(30))
        let (pings, sent) = (world.pings(of: 4), world.sent(by: 4))
        world.run(for: .seconds(30))
        guard let swim = world.swim(4) else { return }
        // Its own health is as bad as can be, so it asks a ninth of what a healthy one asks, and calls the dead as ever.
        let asked = world.pings(of: 4) - pings
        trial.note("pings in half a minute", asked)
        try trial.require(asked <= 40, "it asks \(asked) times in half a minute")
        let told = world.sent(by: 4) - sent
        trial.note("datagrams in half a minute", told)
        try trial.require(told <= 240, "it sends \(told) datagrams in half a minute")
        try trial.require(swim.isIsolated(at: world.now), "it does not notice")
        try trial.require(!world.verdicts.contains { $0.by == 4 }, "it judges")
        try trial.require(
            swim.count(of: .alive) == 0, "it holds \(swim.count(of: .alive)) alive whom it has not heard for a minute")
        try trial.require(world.reports.allSatisfy { $0.by != 4 }, "it reports")
        trial.close(world)
    }
}
