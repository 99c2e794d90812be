import Membership
import Model
import SimulationKit

// What the control plane hears.
extension Scenario {
    static let reporting: [Scenario] = [
        Scenario(
            "C31", "ten, or a third, that fall at once are dead for all within 3.7 seconds, and are told in batches", rack),
        Scenario(
            "C31-half",
            "half of a hundred that fall at once are dead for all within 8 seconds, and told by two each, in batches", half),
        Scenario("F2", "a death is reported by two witnesses who have seen it themselves, until it is settled", witnesses),
        Scenario("F7", "few speak of a death at once; the others only if it is not settled by then", damped),
        Scenario("farewell", "who leaves and should be there is reported at once, by two, on its own word", farewell),
        Scenario("T2", "a newer routing revision is known to all within gossip rounds", revision),
        Scenario(
            "fast-path", "a link that is reset while the process lives costs a handshake, and nobody is accused", falseAlarm),
        Scenario(
            "fast-path-cut",
            "who is cut off from two, while its one helper or itself stands still for a moment, is held dead by nobody",
            partialCut),
        Scenario("rtt", "round trips are known per member and per zone", roundTrips),
    ]

    private static func rack(_ trial: inout Trial) throws(Violation) {
        for (count, fallen) in [(100, 10), (99, 33)] {
            for refusing in [false, true] {
                let name = "\(fallen) of \(count)\(refusing ? ", refused" : "")"
                var times: [Span] = []
                var most = 0
                for _ in 0..<4 {
                    let (time, world) = try falls(
                        &trial, name, fallen, of: count, refusing: refusing, within: .milliseconds(3_700))
                    times.append(time)
                    most = max(most, firstTellings(world).max() ?? 0)
                    trial.close(world)
                }
                trial.note("\(name): all dead", list(times))
                // They are found in the course of seconds, and each is told of within a period.
                trial.note("\(name): reports of one with news in them, at most", most)
                try trial.require(
                    fallen < 30 || most <= fallen / 2, "\(name): one tells of them in \(most) reports")
            }
        }
    }

    private static func list(_ times: [Span]) -> String {
        times.sorted().map { "\(Double($0.milliseconds) / 1_000)" }.joined(separator: ", ") + " s"
    }

    /// Of the three helpers of the first probes that fail, every second has fallen too, and is suspected by nobody yet: their silence
    /// makes judges doubt themselves, and a judge of health four waits four times 1.4 s.
    private static func half(_ trial: inout Trial) throws(Violation) {
        for refusing in [false, true] {
            var times: [Span] = []
            var until: [Span] = []
            for _ in 0..<4 {
                let name = "50 of 100\(refusing ? ", refused" : "")"
                let (time, world) = try falls(&trial, name, 50, of: 100, refusing: refusing, within: .seconds(8))
                times.append(time)
                // What makes a failure (rule F2), and when there are more than a third, which stops all copying (rule F4).
                var witnesses: [NodeID: Set<Int>] = [:]
                var failed: [LogicalInstant] = []
                for report in world.reports {
                    for death in report.report.deaths where witnesses[death.node, default: []].insert(report.by).inserted {
                        if witnesses[death.node]?.count == 2 { failed.append(report.at) }
                    }
                }
                try trial.require(failed.count == 50, "\(name): \(failed.count) have two witnesses")
                until.append(failed[33] - failed[0])
                let most = Dictionary(grouping: world.reports, by: \.by).values.map(\.count).max() ?? 0
                let span = (world.reports.last?.at ?? world.now) - (world.reports.first?.at ?? world.now)
                try trial.require(
                    Int64(most - 1) * 125 <= span.milliseconds, "\(name): one of them sends \(most) reports in \(span)")
                trial.close(world)
            }
            trial.note("all dead\(refusing ? ", refused" : "")", list(times))
            trial.note("from the first with two witnesses to more than a third", list(until))
        }
    }

    /// - Returns: when all of them were dead for all others, and the world a second later.
    private static func falls(
        _ trial: inout Trial, _ name: String, _ fallen: Int, of count: Int, refusing: Bool, within limit: Span
    ) throws(Violation) -> (Span, World) {
        var world = try trial.cluster(count)
        world.hasLinks = refusing
        world.forgetWhatWas()
        // A zone's, where it is a third.
        for index in 0..<fallen { world.kill(index * (count / fallen), refusing: refusing) }
        let time = world.run(atMost: .seconds(12)) { world in
            world.running.allSatisfy { world.swim($0)?.count(of: .dead) == fallen }
        }
        let all = try trial.require(time, within: limit, "\(name) dead for all")
        world.run(for: .seconds(1))
        try trial.require(world.falseVerdicts.isEmpty, "\(world.falseVerdicts.count) false verdicts")
        let largest = world.reports.map(\.report.deaths.count).max() ?? 0
        try trial.require(largest > 1, "every death is a report of its own")
        let told = Set(world.reports.flatMap { $0.report.deaths.map(\.node) })
        try trial.require(told.count == fallen, "\(told.count) of \(fallen) are reported")
        return (all, world)
    }

    /// Of each reporter, how many of its reports hold a death that it has not told of before.
    private static func firstTellings(_ world: World) -> [Int] {
        var told: [Int: Set<NodeID>] = [:]
        var reports: [Int: Int] = [:]
        for report in world.reports {
            let known = told[report.by, default: []]
            let all = known.union(report.report.deaths.map(\.node))
            told[report.by] = all
            if all.count > known.count { reports[report.by, default: 0] += 1 }
        }
        return Array(reports.values)
    }

    private static func witnesses(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        world.forgetWhatWas()
        world.kill(7, refusing: false)
        let time = world.run(atMost: .seconds(6)) { Set($0.reports.map(\.by)).count >= 2 }
        trial.note("two witnesses", try trial.require(time, within: .milliseconds(2_500), "two witnesses"))
        for report in world.reports {
            for death in report.report.deaths {
                try trial.require(death.node == World.node(7), "\(death.node) is reported")
                try trial.require(!death.witnesses.isEmpty, "no witness is named")
            }
        }
        world.run(for: .seconds(3))
        let repeated = world.reports.count
        world.run(for: .seconds(3))
        try trial.require(world.reports.count > repeated, "it is not repeated")
        for index in world.running { world.input(.deathsSettled([World.node(7): SessionID(8)]), to: index) }
        world.forgetWhatWas()
        world.run(for: .seconds(5))
        try trial.require(world.reports.isEmpty, "it is repeated though it is settled")
        // The same session has returned: that it is dead is news again.
        for index in world.running { world.input(.deathsSettled([:]), to: index) }
        let again = world.run(atMost: .seconds(6)) { Set($0.reports.map(\.by)).count >= 2 }
        trial.note("two witnesses again", try trial.require(again, within: .seconds(4), "two witnesses of a second death"))
        for index in world.running { world.input(.deathsSettled([World.node(7): SessionID(8)]), to: index) }
        world.forgetWhatWas()
        // Who merely hears of a death, of somebody who lives, says nothing.
        let rumour = MemberRecord(
            node: World.node(9), life: Life(generation: Generation(9), incarnation: 0), status: .dead,
            profile: World.profile(9, address: "m9:7"), accuser: World.node(3))
        world.forgetWhatWas()
        for index in world.running where index != 9 { world.input(gossip([rumour], from: 3), to: index) }
        world.run(for: .milliseconds(100))
        try trial.require(world.reports.isEmpty, "a rumour is reported as a finding")
        trial.close(world)
    }

    private static func farewell(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        let roster = (0..<30).map {
            RosterEntry(node: World.node($0), generation: Generation(1), profile: World.profile($0))
        }
        for index in world.running { world.input(.roster(roster.filter { $0.node != World.node(index) }), to: index) }
        world.run(for: .seconds(1))
        world.forgetWhatWas()
        world.input(.leave, to: 4)
        let time = world.run(atMost: .seconds(2)) { Set($0.reports.map(\.by)).count >= 2 }
        trial.note("two witnesses", try trial.require(time, within: .milliseconds(800), "two witnesses of a farewell"))
        let told = world.reports.flatMap(\.report.deaths)
        let isPlain = told.allSatisfy { $0.node == World.node(4) && $0.witnesses == [World.node(4)] }
        try trial.require(isPlain, "somebody else is reported, or accused")
        try trial.require(world.verdicts.isEmpty, "who left is held dead")
        world.kill(4, refusing: true)
        for index in world.running { world.input(.deathsSettled([World.node(4): SessionID(5)]), to: index) }
        world.forgetWhatWas()
        world.run(for: .seconds(5))
        try trial.require(world.reports.isEmpty, "it is repeated though it is settled")
        // Who is back before anybody has spoken is reported by nobody.
        for index in world.running { world.input(.deathsSettled([:]), to: index) }
        world.start(4, seeds: [0, 1, 2])
        let back = world.run(atMost: .seconds(5)) { $0.isWhole }
        _ = try trial.require(back, within: .seconds(2), "its return")
        world.forgetWhatWas()
        world.run(for: .seconds(5))
        try trial.require(world.reports.isEmpty, "it is reported though it is back")
        // Others say that one has left, which it has not.
        var life = world.swim(9)?.life ?? Life(generation: Generation(1), incarnation: 0)
        life.incarnation += 1
        let rumour = MemberRecord(node: World.node(9), life: life, status: .left, profile: World.profile(9))
        for index in world.running where index != 9 { world.input(gossip([rumour], from: 3), to: index) }
        world.run(for: .seconds(5))
        try trial.require(world.reports.isEmpty, "who is said to have left is reported uncalled")
        try trial.require(world.all(see: 9, as: .alive), "who is said to have left does not say that it is there")
        trial.close(world)
    }

    private static func damped(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(100)
        world.forgetWhatWas()
        world.kill(42, refusing: false)
        _ = try trial.require(
            world.run(atMost: .seconds(6)) { $0.all(see: 42, as: .dead) }, within: .seconds(3), "the death")
        world.run(for: .milliseconds(600))
        let early = Set(world.reports.map(\.by)).count
        trial.note("speakers at first", early)
        try trial.require((2...8).contains(early), "\(early) speak at once")
        for index in world.running { world.input(.deathsSettled([World.node(42): SessionID(43)]), to: index) }
        world.run(for: .seconds(5))
        let all = Set(world.reports.map(\.by)).count
        try trial.require(all == early, "\(all - early) speak after it is settled")
        trial.close(world)
    }

    private static func revision(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        let newest = Revision(history: 1, index: 77)
        world.input(.revisionApplied(newest), to: 3)
        // Nobody else comes to have it: that it exists is told on all the same.
        let start = world.now
        var time: Span?
        while world.now < start + .seconds(10), time == nil {
            world.run(for: .milliseconds(50))
            if world.running.allSatisfy({ world.swim($0)?.newestRevision == newest }) { time = world.now - start }
        }
        trial.note("known to all", try trial.require(time, within: .seconds(2), "a new revision"))
        trial.close(world)
    }

    private static func falseAlarm(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        world.forgetWhatWas()
        // Everybody's link to one is reset: its listener restarts, or a proxy does.
        for index in world.running where index != 4 { world.input(.linkEnded(World.node(4)), to: index) }
        world.run(for: .seconds(3))
        try trial.require(world.accusations.isEmpty, "\(world.accusations.count) accuse")
        // The same, while it stands still for a moment: its kernel takes the new links, and refuses none.
        world.freeze(4)
        for index in world.running where index != 4 { world.input(.linkEnded(World.node(4)), to: index) }
        world.run(for: .milliseconds(900))
        world.thaw(4)
        world.run(for: .seconds(5))
        try trial.require(world.verdicts.isEmpty, "lost links and a moment's pause are a death")
        world.forgetWhatWas()
        // Two are refused, and their datagrams are lost too: it is the network, since others hear it, and are heard.
        world.passes = { from, to in !([9, 17].contains(from) && to == 4 || from == 4 && [9, 17].contains(to)) }
        for _ in 0..<5 {
            for index in [9, 17] { world.input(.linkRefused(World.node(4)), to: index) }
            world.run(for: .seconds(1))
        }
        try trial.require(world.verdicts.isEmpty && world.reports.isEmpty, "two refused links are a death, whoever hears it")
        world.passes = { _, _ in true }
        world.run(for: .seconds(10))
        // It stands still for a moment, and one link to it is refused.
        world.forgetWhatWas()
        world.freeze(4)
        world.input(.linkRefused(World.node(4)), to: 9)
        world.run(for: .milliseconds(900))
        world.thaw(4)
        world.run(for: .seconds(5))
        try trial.require(world.verdicts.isEmpty, "one refused link is a death")
        // It answers one, and ends before the next.
        let before = world.swim(9)?.counters.refusedLinks ?? 0
        for _ in 0..<2 {
            world.input(.linkRefused(World.node(4)), to: 9)
            world.run(for: .milliseconds(10))
        }
        let looks = (world.swim(9)?.counters.refusedLinks ?? 0) - before
        try trial.require(looks == 2, "\(looks) of 2 refused links are looked into")
        trial.close(world)
    }

    /// Four: the links of the third to the first two are reset, and their datagrams are lost; the fourth hears all.
    private static func partialCut(_ trial: inout Trial) throws(Violation) {
        for (pausing, span) in [(3, 100), (3, 150), (3, 300), (2, 150)] as [(Int, Int64)] {
            for offset in 0..<8 as Range<Int64> {
                var world = try trial.cluster(4)
                world.run(for: .milliseconds(31 * offset))
                world.forgetWhatWas()
                world.passes = { from, to in !(from < 2 && to == 2 || from == 2 && to < 2) }
                for index in [0, 1] { world.input(.linkRefused(World.node(2)), to: index) }
                world.freeze(pausing)
                world.run(for: .milliseconds(span))
                world.thaw(pausing)
                world.run(for: .seconds(5))
                try trial.require(
                    world.verdicts.isEmpty && world.reports.isEmpty,
                    "\(pausing) stands still for \(span) ms, and \(world.verdicts.count) hold somebody dead")
                trial.close(world)
            }
        }
        // Where it is gone, its helper's word is all that is missing.
        var world = try trial.cluster(4)
        for index in [0, 1] { world.link(index, 2) }
        world.kill(2, refusing: true)
        world.freeze(3)
        world.run(for: .milliseconds(150))
        world.thaw(3)
        let time = world.run(atMost: .seconds(2)) { $0.all(see: 2, as: .dead) }
        trial.note("gone, after its helper is back", try trial.require(time, within: .seconds(1), "its death"))
        trial.close(world)
    }

    private static func roundTrips(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(12)
        world.delay = 1_000...1_100
        world.run(for: .seconds(60))
        guard let swim = world.swim(0) else { return }
        for other in 1..<12 {
            let time = swim.roundTrip(to: World.node(other)) ?? .zero
            try trial.require((1_500...3_000).contains(time.microseconds), "\(time) to \(other)")
        }
        try trial.require(swim.roundTripsByZone.map(\.zone.name) == ["z0", "z1", "z2"], "zones are missing")
        trial.close(world)
    }
}
