import Membership
import Model
import SimulationKit

// How long a suspect has, by one member and nine others whose part is written down (see Stage).
extension Scenario {
    static let judging: [Scenario] = [
        Scenario(
            "C31-missed", "who has heard of a suspicion, and of nothing after it, asks what became of it, and asks again",
            missed),
        Scenario("C31-nearest", "those nearest to a suspect probe it next, whoever's turn it is", nearest),
        Scenario("C10-missed", "who hears that one is back whom it held dead asks soon who else is", othersBack),
        Scenario("deaf-ears", "what suspects are told, others are told none the less often for it", deafEars),
        Scenario("lone-accuser", "a suspect whom few accuse has longer than one whom three do", loneAccuser),
        Scenario("link", "whose datagrams are lost, and who answers over its link, is accused by nobody", link),
        Scenario(
            "heard-verdict", "who answers when it is called is not held dead on others' word, though a call is lost",
            heardVerdict),
        Scenario(
            "refused-heard", "whose links are refused to two is held dead by those alone whom it does not answer", refusedHeard),
        Scenario("sick-judge", "who is not well gives a suspect longer, however many accuse it", sickJudge),
    ]

    private static func missed(_ trial: inout Trial) throws(Violation) {
        var first: [Span] = []
        var again: [Span] = []
        for index in 1..<10 {
            var stage = Stage(trial)
            stage.run(for: .seconds(60))
            repeat { stage.tick() } while !stage.hasCompared
            // The next one would be in five seconds at the earliest.
            let start = stage.now
            stage.gone = [index]
            stage.hear(stage.rumour(index, .suspect, by: index % 9 + 1), from: index % 9 + 1)
            repeat { stage.tick() } while !stage.hasCompared && stage.now < start + .seconds(5)
            first.append(stage.now - start)
            // Whoever was asked has not told us.
            let asked = stage.now
            repeat { stage.tick() } while !stage.hasCompared && stage.now < asked + .seconds(5)
            again.append(stage.now - asked)
            try trial.require(!stage.hasAskedInVain, "\(index), who is suspect itself, is asked")
            trial.close(stage.swim)
        }
        trial.note("asked after", first.max() ?? .zero)
        trial.note("asked again after", again.max() ?? .zero)
        _ = try trial.require(first.max(), within: .seconds(2), "that it is asked")
        _ = try trial.require(again.max(), within: .seconds(2), "that it is asked again")
    }

    private static func nearest(_ trial: inout Trial) throws(Violation) {
        var always = 0
        for index in 1..<10 {
            var isAlways = true
            for round in 0..<5 {
                var stage = Stage(trial)
                stage.run(for: .seconds(60 + Int64(round)))
                stage.gone = [index]
                stage.hear(stage.rumour(index, .suspect, by: index % 9 + 1), from: index % 9 + 1)
                // One period; who does not probe it calls it later.
                let end = stage.now + stage.swim.tuning.probeInterval
                var isPinged = false
                while stage.now < end {
                    stage.tick()
                    isPinged = isPinged || stage.pinged.contains(World.node(index))
                }
                isAlways = isAlways && isPinged
                trial.close(stage.swim)
            }
            always += isAlways ? 1 : 0
        }
        // Four of nine, but for what their names make of it.
        trial.note("suspects that it probes at once, of nine", always)
        try trial.require((2...7).contains(always), "of nine suspects it probes \(always) at once")
    }

    private static func othersBack(_ trial: inout Trial) throws(Violation) {
        var latest = Span.zero
        for index in 1..<10 {
            var stage = Stage(trial)
            stage.run(for: .seconds(60))
            stage.gone = [index]
            for other in 1...3 { stage.hear(stage.rumour(index, .suspect, by: (index + other) % 9 + 1), from: other) }
            _ = stage.verdict(on: index)
            stage.run(for: .seconds(15))
            stage.gone = []
            var back = stage.rumour(index, .alive)
            back.life.incarnation = 1
            stage.hear(back, from: index % 9 + 1)
            // The usual one may be ten seconds ahead, and nobody is called who is not missed any more.
            let start = stage.now
            repeat { stage.tick() } while !stage.hasCompared && stage.now < start + .seconds(15)
            latest = max(latest, stage.now - start)
            trial.close(stage.swim)
        }
        trial.note("asked after", latest)
        _ = try trial.require(latest, within: .milliseconds(1_500), "that it asks")
    }

    private static func deafEars(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        stage.gone = Array(2..<9)
        for index in stage.gone { stage.hear(stage.rumour(index, .suspect, by: 9), from: 9) }
        var news = stage.rumour(1, .alive)
        news.life.incarnation = 1
        stage.toldOf = (1, 1)
        stage.hear(news, from: 1)
        stage.run(for: .seconds(5))
        trial.note("told", stage.tellings)
        trial.close(stage.swim)
        // Nine times and the natural logarithm of ten.
        try trial.require(stage.tellings >= 12, "those who hear are told \(stage.tellings) times")
    }

    private static func loneAccuser(_ trial: inout Trial) throws(Violation) {
        for (accusers, least, most) in [([3], 3_000, 8_000), ([3, 4, 5], 1_200, 1_500)] as [([Int], Int64, Int64)] {
            var stage = Stage(trial)
            stage.run(for: .seconds(60))
            stage.gone = [7]
            for accuser in accusers { stage.hear(stage.rumour(7, .suspect, by: accuser), from: accuser) }
            // With the first, we become the second, and nobody a third.
            let time = stage.verdict(on: 7)
            trial.note("\(accusers.count) accusers: dead", time)
            trial.close(stage.swim)
            try trial.require(
                time >= .milliseconds(least) && time <= .milliseconds(most), "\(accusers.count) accuse, and it has \(time)")
        }
    }

    private static func link(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        (stage.gone, stage.hasLink) = ([7], true)
        stage.run(for: .seconds(30))
        try trial.require(stage.swim.counters.suspicions == 0, "it is accused \(stage.swim.counters.suspicions) times")
        trial.close(stage.swim)
        trial.note("times that its link spoke for it", Int(stage.swim.counters.savedByLink))
    }

    /// All of them in turn, for some would be probed in time anyway.
    private static func heardVerdict(_ trial: inout Trial) throws(Violation) {
        for index in 1..<10 {
            for isLost in [false, true] {
                var stage = Stage(trial)
                stage.run(for: .seconds(60))
                if isLost { stage.missing = index }
                // Its refutation has not come yet when it has had its time.
                stage.hear(stage.rumour(index, .suspect, by: index % 9 + 1), from: index % 9 + 1)
                stage.run(for: .milliseconds(650))
                stage.hear(stage.rumour(index, .dead, by: index % 9 + 1), from: index % 9 + 1)
                let status = stage.swim.status(of: World.node(index))
                try trial.require(
                    status == .suspect, "\(index), \(isLost ? "a call lost" : "all calls heard"), is \(status as Any)")
            }
            // Who does not answer is.
            var stage = Stage(trial)
            stage.run(for: .seconds(60))
            stage.gone = [index]
            stage.hear(stage.rumour(index, .suspect, by: index % 9 + 1), from: index % 9 + 1)
            stage.run(for: .milliseconds(650))
            stage.hear(stage.rumour(index, .dead, by: index % 9 + 1), from: index % 9 + 1)
            trial.close(stage.swim)
            let status = stage.swim.status(of: World.node(index))
            try trial.require(status == .dead, "\(index), who is gone, is \(status as Any)")
        }
    }

    private static func refusedHeard(_ trial: inout Trial) throws(Violation) {
        for isGone in [false, true] {
            var stage = Stage(trial)
            stage.run(for: .seconds(60))
            if isGone { stage.gone = [7] }
            for accuser in [3, 4] {
                var rumour = stage.rumour(7, .suspect, by: accuser)
                rumour.refused = true
                stage.hear(rumour, from: accuser)
            }
            // Shorter than any suspicion without a witness.
            stage.run(for: .milliseconds(300))
            let status = stage.swim.status(of: World.node(7))
            try trial.require(status == (isGone ? .dead : .suspect), "\(isGone ? "gone" : "there"), it is \(status as Any)")
            trial.close(stage.swim)
        }
    }

    private static func sickJudge(_ trial: inout Trial) throws(Violation) {
        var stage = Stage(trial)
        stage.run(for: .seconds(60))
        // Accused again and again, it has reason to doubt itself.
        for incarnation in 1...8 as ClosedRange<UInt64> {
            var accusation = stage.swim.ownRecord
            accusation.life.incarnation += incarnation
            accusation.status = .suspect
            accusation.accuser = World.node(2)
            stage.hear(accusation, from: 2)
        }
        try trial.require(stage.swim.localHealth == 8, "its health is \(stage.swim.localHealth)")
        stage.gone = [7]
        for accuser in [3, 4, 5] { stage.hear(stage.rumour(7, .suspect, by: accuser), from: accuser) }
        let time = stage.verdict(on: 7)
        trial.note("dead", time)
        trial.close(stage.swim)
        try trial.require(time >= .seconds(4), "it has \(time)")
    }
}
