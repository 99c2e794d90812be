import Membership
import Model
import SimulationKit

// Sites far apart.
extension Scenario {
    static let profiles: [Scenario] = [
        Scenario(
            "C1-wan",
            "with the wan profile, a tenth of a second apart, a killed process is dead for all of twenty in 70 s",
            killedWan),
        Scenario("C10-wan", "with the wan profile a cut of ten seconds kills nobody, and one of two minutes heals", cutWan),
    ]

    /// Twenty members, each a tenth of a second from the others.
    private static func sites(_ trial: inout Trial) throws(Violation) -> World {
        var world = trial.world(.wan)
        world.delay = 80_000...120_000
        try world.settle(20)
        world.forgetWhatWas()
        return world
    }

    private static func killedWan(_ trial: inout Trial) throws(Violation) {
        var world = try sites(&trial)
        var all: [Span] = []
        for victim in 3..<15 {
            world.forgetWhatWas()
            world.kill(victim, refusing: false)
            let time = world.run(atMost: .seconds(240)) { $0.all(see: victim, as: .dead) }
            all.append(try trial.require(time, within: .seconds(240), "the death of \(victim)"))
            world.run(for: .seconds(10))
            try trial.require(world.falseVerdicts.isEmpty, "held dead and alive: \(world.falseVerdicts.count)")
            world.start(victim, seeds: [0, 1, 2])
            let back = world.run(atMost: .seconds(60)) { $0.isWhole }
            _ = try trial.require(back, within: .seconds(30), "the return of \(victim)")
            world.run(for: world.tuning.youth)
        }
        trial.note("all dead", median(all))
        trial.note("all dead, the latest", all.max() ?? .zero)
        _ = try trial.require(median(all), within: .seconds(70), "all dead")
        trial.close(world)
    }

    private static func cutWan(_ trial: inout Trial) throws(Violation) {
        var world = try sites(&trial)
        for (seconds, isDeath) in [(10, false), (120, true)] as [(Int64, Bool)] {
            world.forgetWhatWas()
            world.passes = { from, to in (from < 10) == (to < 10) }
            world.run(for: .seconds(seconds))
            world.passes = { _, _ in true }
            let healed = world.run(atMost: .seconds(300)) { $0.isWhole }
            trial.note(
                "whole, after \(seconds) s", try trial.require(healed, within: .seconds(60), "healing after \(seconds) s"))
            world.run(for: .seconds(120))
            try trial.require(world.isWhole, "after \(seconds) s it does not stay whole")
            let own = world.verdicts.count { ($0.by < 10) == ($0.of < 10) }
            try trial.require(own == 0, "\(own) verdicts of a half about its own")
            try trial.require(isDeath || world.verdicts.isEmpty, "\(world.verdicts.count) verdicts after \(seconds) s")
        }
        trial.close(world)
    }
}
