import Membership
import Model
import SimulationKit

// How the keys of a cluster change under its members.
extension Scenario {
    static let keys: [Scenario] = [
        Scenario(
            "C23",
            "the key that seals changes in phases while all restart in turn: each opens what others seal, and nothing plain is read",
            upshift),
        Scenario(
            "C22",
            "keys are installed, used and removed under load without a suspicion, and who was down meanwhile returns with the new one",
            change),
    ]

    /// The ring of each phase, as the control plane commits it: the next comes when every live member has said that it has the last.
    enum KeyPhase: CaseIterable {
        case before, install, use, remove
    }

    static func ring(_ phase: KeyPhase) throws(Violation) -> GossipKeys {
        func key(_ number: UInt8) -> GossipKey {
            let bytes = [UInt8](repeating: number, count: GossipSecret.byteCount)
            return GossipKey(
                number: number, secret: GossipSecret(id: GossipKeyID(UInt64(number)), bytes: bytes),
                createdAt: WallTime(milliseconds: 0))
        }
        let (old, new) = (key(1), key(2))
        let (keys, primary, version): ([GossipKey], UInt8, UInt64) =
            switch phase {
            case .before: ([old], 1, 1)
            case .install: ([old, new], 1, 2)
            case .use: ([old, new], 2, 3)
            case .remove: ([new], 2, 4)
            }
        guard
            let ring = GossipKeys(
                keys: keys, primary: primary, version: Revision(history: 1, index: version), rotation: nil)
        else { throw Violation("no ring") }
        return ring
    }

    private static func upshift(_ trial: inout Trial) throws(Violation) {
        let world = try rolled(&trial, [.install, .use, .remove])
        try trial.require(world.unopened == 0, "\(world.unopened) datagrams of members do not open")
        try trial.require(world.accusations.isEmpty, "\(world.accusations.count) accuse a member that restarts in good order")
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) hold somebody dead")
        try trial.require(world.isWhole, "not everybody sees everybody")
        trial.close(world)
        // Without the phase in which the new key only opens, members do not hear each other.
        let hasty = try rolled(&trial, [.use, .remove])
        trial.note("datagrams that do not open without the first phase", Int(hasty.unopened))
        try trial.require(hasty.unopened > 0, "one phase would do")
        trial.close(hasty)
    }

    /// Each member takes over the ring of each phase at a time of its own, and restarts amid the phase or after it.
    private static func rolled(_ trial: inout Trial, _ phases: [KeyPhase]) throws(Violation) -> World {
        var world = trial.world()
        let count = 16
        for index in 0..<count { world.reserve(index) }
        for index in 0..<count { world.take(try ring(.before), at: index) }
        try world.settle(count)
        // One is down from before the change until after it.
        world.input(.leave, to: count - 1)
        world.run(for: .seconds(1))
        world.kill(count - 1, refusing: true)
        world.forgetWhatWas()
        var injected: UInt64 = 0
        var down: (index: Int, until: LogicalInstant)?
        var turn = 0
        for phase in phases {
            let ring = try ring(phase)
            let live = world.running
            // They learn of it within some seconds, in an order that has nothing to do with their numbers.
            let start = world.now
            let order = live.map { (at: start + .milliseconds(Int64(($0 * 7 + turn) % live.count) * 150), index: $0) }
            var known = Set<Int>()
            while known.count < live.count || down != nil || world.now - start < .seconds(6) {
                world.run(for: .milliseconds(50))
                for (at, index) in order where at <= world.now && down?.index != index && known.insert(index).inserted {
                    world.take(ring, at: index)
                }
                if let ended = down, ended.until <= world.now {
                    // Who starts asks the control plane before it gossips.
                    world.take(ring, at: ended.index)
                    known.insert(ended.index)
                    world.start(ended.index, seeds: [0, 1, 2])
                    down = nil
                } else if down == nil, world.now - start < .seconds(5), Int((world.now - start).milliseconds) % 300 == 0 {
                    let index = live[turn % live.count]
                    turn += 1
                    world.input(.leave, to: index)
                    world.run(for: .milliseconds(400))
                    world.kill(index, refusing: true)
                    down = (index, world.now + .milliseconds(300))
                }
                injected += accusePlainly(&world)
            }
            let isTaken = world.running.allSatisfy { world.keys(of: $0)?.version == ring.version }
            try trial.require(isTaken, "a phase ends before all have taken it")
            _ = world.run(atMost: .seconds(5)) { $0.isWhole }
        }
        try trial.require(turn >= count - 1 || phases.count < 3, "only \(turn) of \(count - 1) restart")
        if let last = phases.last { world.take(try ring(last), at: count - 1) }
        world.start(count - 1, seeds: [0, 1, 2])
        _ = world.run(atMost: .seconds(10)) { $0.isWhole }
        try trial.require(world.plain == injected, "of \(injected) datagrams in plain \(world.plain) are refused")
        trial.note("datagrams in plain, refused", Int(injected))
        return world
    }

    private static func change(_ trial: inout Trial) throws(Violation) {
        var world = try changed(&trial, [.install, .use, .remove])
        try trial.require(world.unopened == 0, "\(world.unopened) datagrams of members do not open")
        try trial.require(world.accusations.isEmpty, "\(world.accusations.count) accuse somebody while keys change")
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) hold somebody dead")
        // With the ring that it went down with it would hear nobody, and nobody would hear it.
        let last = world.count - 1
        world.start(last, seeds: [0, 1, 2])
        world.run(for: .seconds(5))
        try trial.require(world.unopened > 0 && world.swim(0)?.status(of: World.node(last)) == .dead, "its old key would do")
        world.kill(last, refusing: true)
        world.run(for: .seconds(5))
        world.take(try ring(.remove), at: last)
        world.start(last, seeds: [0, 1, 2])
        let back = world.run(atMost: .seconds(10)) { $0.isWhole }
        trial.note("who was down is back", try trial.require(back, within: .seconds(2), "the return of who was down"))
        trial.close(world)
        let hasty = try changed(&trial, [.use, .remove])
        trial.note("datagrams that do not open without the first phase", Int(hasty.unopened))
        try trial.require(hasty.unopened > 0, "one phase would do")
        trial.close(hasty)
    }

    /// Each member takes over the ring of each phase at a time of its own, while one after the other has news of 512 bytes, and one
    /// datagram of a hundred is lost. The last is down all the time.
    private static func changed(_ trial: inout Trial, _ phases: [KeyPhase]) throws(Violation) -> World {
        let count = 16
        var world = trial.world()
        for index in 0..<count { world.reserve(index) }
        for index in 0..<count { world.take(try ring(.before), at: index) }
        try world.settle(count)
        world.kill(count - 1, refusing: true)
        world.run(for: .seconds(5))
        world.forgetWhatWas()
        world.loss = 10
        for phase in phases {
            let ring = try ring(phase)
            for turn in 0..<60 {
                let index = turn / 2 * 7 % (count - 1)
                if turn % 2 == 0, turn < 2 * (count - 1) { world.take(ring, at: index) }
                world.input(.described([UInt8](repeating: UInt8(turn), count: 512)), to: turn % (count - 1))
                world.run(for: .milliseconds(100))
            }
            let isTaken = world.running.allSatisfy { world.keys(of: $0)?.version == ring.version }
            try trial.require(isTaken, "a phase ends before all have taken it")
        }
        world.loss = 0
        return world
    }

    /// Somebody without a key says to everybody that somebody is dead.
    private static func accusePlainly(_ world: inout World) -> UInt64 {
        let live = world.running
        guard let victim = live.last, let life = world.swim(victim)?.life else { return 0 }
        let rumour = MemberRecord(
            node: World.node(victim), life: life, status: .dead, profile: World.profile(victim), accuser: World.node(0))
        for index in live where index != victim {
            let message = SwimMessage(
                from: World.node(0), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
                rumours: [rumour])
            world.inject(message, from: 0, to: index, seal: .plain)
        }
        // They are read before anybody is stopped.
        world.run(for: .microseconds(1))
        return UInt64(live.count - 1)
    }
}
