import Membership
import Model
import SimulationKit

// Rules that whole clusters hardly show, because others make up for them: each by itself.
extension Scenario {
    static let rules: [Scenario] = [
        Scenario(
            "own-pause",
            "what was under way when a member stood still proves nothing, and the pause is a sign of its own health",
            ownPause),
        Scenario("early-sync", "a newcomer compares within its first seconds, and again", earlySync),
        Scenario("roster-budget", "how often a rumour is told goes by who should be there, not by who is", rosterBudget),
        Scenario("unheard", "who is expected and was never heard is reported when it has had time to start", unheard),
        Scenario(
            "storm", "probes begin one suspicion a period, and of refused links a rack's worth is looked into at once", storm),
    ]

    private static func ownPause(_ trial: inout Trial) throws(Violation) {
        try pausesAmidProbe(&trial)
        try pausesAmidSuspicion(&trial)
        // One whose link is refused is pinged; whether it answers, nobody here can say.
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        stage.gone = [7]
        stage.input(.linkRefused(World.node(7)))
        stage.pause(for: .seconds(2))
        try trial.require(stage.swim.status(of: World.node(7)) == .alive, "an unanswered call of before is a refusal")
        trial.close(stage.swim)
    }

    private static func pausesAmidProbe(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        stage.gone = [7]
        while !stage.pinged.contains(World.node(7)) { stage.tick() }
        let health = stage.swim.localHealth
        stage.pause(for: .seconds(2))
        try trial.require(stage.swim.status(of: World.node(7)) == .alive, "an unanswered probe of before is a suspicion")
        try trial.require(stage.swim.localHealth == health + 1, "its health is \(stage.swim.localHealth), after \(health)")
        trial.close(stage.swim)
    }

    private static func pausesAmidSuspicion(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        stage.gone = [7]
        // Three: it has 1.2 seconds, of which it has had 600 milliseconds, and no chance to be heard in the next three seconds.
        for accuser in [3, 4, 5] { stage.hear(stage.rumour(7, .suspect, by: accuser), from: accuser) }
        stage.run(for: .milliseconds(600))
        stage.pause(for: .seconds(3))
        let time = stage.verdict(on: 7)
        trial.note("dead, after the pause", time)
        trial.close(stage.swim)
        try trial.require(time >= .milliseconds(500), "it is dead \(time) after a pause of its judge")
    }

    private static func earlySync(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        var times: [Span] = []
        while stage.now < .origin + .seconds(4) {
            stage.tick()
            if stage.hasCompared { times.append(stage.now - .origin) }
        }
        trial.note("comparisons within four seconds", times.count)
        trial.close(stage.swim)
        try trial.require(times.count >= 2, "\(times.count) comparisons in four seconds")
        _ = try trial.require(times.first, within: .seconds(2), "the first comparison")
    }

    private static func rosterBudget(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        let fallen = 100..<200
        let roster = fallen.map { RosterEntry(node: World.node($0), generation: Generation(1), profile: World.profile($0)) }
        stage.input(.roster(roster))
        stage.gone = Array(fallen)
        // Of their next lives nobody has heard but that they are over.
        for index in fallen {
            var verdict = stage.rumour(index, .dead, by: 3)
            verdict.life = Life(generation: Generation(2), incarnation: 0)
            stage.hear(verdict, from: 3)
        }
        stage.run(for: .seconds(60))
        try trial.require(stage.swim.count(of: .dead) == fallen.count, "\(stage.swim.count(of: .dead)) are dead")
        var news = stage.rumour(1, .alive)
        news.life.incarnation = 1
        stage.toldOf = (1, 1)
        stage.hear(news, from: 1)
        stage.run(for: .seconds(10))
        trial.note("told", stage.tellings)
        trial.close(stage.swim)
        // Nine times and the natural logarithm of 110; of ten, it would be twelve.
        try trial.require(stage.tellings >= 14, "those who hear are told \(stage.tellings) times")
    }

    private static func unheard(_ trial: inout Trial) throws(Violation) {
        // Longer than it takes to hold them dead.
        var stage = Stage(trial, unheardGrace: .seconds(40))
        let late = 20..<22
        stage.input(
            .roster(late.map { RosterEntry(node: World.node($0), generation: Generation(1), profile: World.profile($0)) }))
        stage.gone = Array(late)
        var dead: Span?
        while stage.now < .origin + .seconds(120) {
            stage.tick()
            if dead == nil, stage.swim.count(of: .dead) > 0 { dead = stage.now - .origin }
        }
        let first = stage.reported.first.map { $0.at - .origin }
        trial.note("held dead", dead ?? .zero)
        trial.note("reported", try trial.require(first, within: .seconds(60), "the report of one that never came"))
        trial.close(stage.swim)
        try trial.require(first.map { $0 >= stage.swim.tuning.unheardGrace } ?? false, "it is reported before it can be there")
        let told = Set(stage.reported.map(\.node)).count
        try trial.require(told == late.count, "\(told) of \(late.count) are reported")
    }

    /// Two hundred others, of whom none answers.
    private static func storm(_ trial: inout Trial) throws(Violation) {
        let others = 1...200
        var swim = member(trial)
        for index in others {
            let record = MemberRecord(
                node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: .alive,
                profile: World.profile(index))
            _ = swim.step(gossip([record], from: index), at: .origin)
        }
        var now = LogicalInstant.origin
        var mostBegun: UInt64 = 0
        for _ in 0..<40 {
            let before = swim.counters.suspicions
            let end = now + swim.tuning.probeInterval
            while now < end {
                now = now + swim.tuning.tick
                _ = swim.step(.tick, at: now)
            }
            mostBegun = max(mostBegun, swim.counters.suspicions - before)
        }
        try trial.require(mostBegun == 1, "\(mostBegun) suspicions begin in one period")
        // Whatever stands in front of them all refuses their links at once.
        let looks = swim.counters.refusedLinks
        var calls = 0
        for index in others {
            for case .send(let message, _) in swim.step(.linkRefused(World.node(index)), at: now) {
                if case .ping = message.body { calls += 1 }
            }
        }
        trial.note("of 200 refused links, looked into at once", calls)
        trial.close(swim)
        try trial.require(calls == 64 && swim.counters.refusedLinks - looks == 64, "\(calls) refused links are looked into")
    }
}
