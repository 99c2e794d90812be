import Membership
import Model
import SimulationKit

// How members find each other.
extension Scenario {
    static let joining: [Scenario] = [
        Scenario(
            "C12", "a hundred members that start at once know each other within 3 s, every time; two hundred within 7 s", join),
        Scenario(
            "C12-youth", "members that start together and starve one another for seconds are held dead by nobody", startTogether
        ),
        Scenario("C25", "one, two or three members work: the helper is found every time, and two judge without a third", few),
    ]

    private static func join(_ trial: inout Trial) throws(Violation) {
        for (count, times, limit) in [(100, 20, 3), (200, 4, 7)] as [(Int, Int, Int64)] {
            var latest = Span.zero
            for _ in 0..<times {
                var world = trial.world()
                world.start(0, seeds: [])
                for index in 1..<count { world.start(index, seeds: [0]) }
                let time = world.run(atMost: .seconds(40)) { $0.isWhole }
                latest = max(latest, try trial.require(time, within: .seconds(limit), "\(count) members know each other"))
                trial.close(world)
            }
            trial.note("\(count) members, the latest of \(times)", latest)
        }
    }

    private static func startTogether(_ trial: inout Trial) throws(Violation) {
        var world = trial.world()
        world.start(8)
        world.run(for: .milliseconds(700))
        // Two at a time are not run at all for two seconds, just when the others have met them.
        for pair in 0..<2 {
            for index in [pair, 7 - pair] { world.freeze(index) }
            world.run(for: .seconds(2))
            for index in [pair, 7 - pair] { world.thaw(index) }
        }
        world.run(for: .seconds(15))
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) verdicts")
        world.kill(5, refusing: false)
        let reported = world.run(atMost: .seconds(4)) { Set($0.reports.map(\.by)).count >= 2 }
        trial.note(
            "a later death, with two witnesses", try trial.require(reported, within: .milliseconds(2_500), "a later death"))
        trial.close(world)
    }

    private static func few(_ trial: inout Trial) throws(Violation) {
        var single = trial.world()
        single.start(1)
        single.run(for: .seconds(10))
        try trial.require(single.traffic.packets == 0, "a single member sends \(single.traffic.packets) packets")
        trial.close(single)

        var two = try trial.cluster(2)
        two.kill(1, refusing: false)
        let dead = two.run(atMost: .seconds(6)) { $0.all(see: 1, as: .dead) }
        trial.note("dead, of two", try trial.require(dead, within: .milliseconds(2_500), "a death of two"))
        trial.close(two)

        // The direct way is cut; each probe needs the one helper that there is.
        var three = try trial.cluster(3)
        three.hasLinks = false
        three.forgetWhatWas()
        three.passes = { from, to in !(from == 1 && to == 2 || from == 2 && to == 1) }
        three.run(for: .seconds(120))
        try trial.require(three.accusations.isEmpty, "the helper is missed \(three.accusations.count) times")
        trial.close(three)
    }
}
