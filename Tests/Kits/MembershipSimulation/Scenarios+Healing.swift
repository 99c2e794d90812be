import Membership
import Model
import SimulationKit

// After a cut, a restart, a farewell.
extension Scenario {
    static let healing: [Scenario] = [
        Scenario(
            "C10",
            "two halves that were cut apart find each other again within 35 s, however long it was, and neither kills its own",
            split),
        Scenario("C13", "a restarted member is alive for all within a second, ten times in a row", restart),
        Scenario(
            "C14",
            "after a restart of all, past incarnations and accusations notwithstanding, everybody knows everybody in 5 s",
            massRestart),
        Scenario("C15", "a process of an older life is believed by nobody, is told so, and is not flooded", zombie),
        Scenario("C16", "a member with a new address is taken at once in a new life, and disputed in the same one", moved),
        Scenario(
            "C16-later",
            "who has a copy that was started later elsewhere, and ends, is not dead with it, and hides no death of its successor",
            laterCopy),
        Scenario(
            "C17", "who leaves is gone for all in 0.8 s and is never held dead; half of a cluster may leave and return", leaving
        ),
        Scenario("C17-tombstone", "a decommissioned node that comes back with its old life is nobody's member", decommissioned),
    ]

    private static func split(_ trial: inout Trial) throws(Violation) {
        for (count, seconds) in [(30, 10), (30, 25), (30, 60), (12, 3_600)] as [(Int, Int64)] {
            try halves(&trial, .fast, "fast", count, apartFor: .seconds(seconds))
        }
        // A quarter of a minute passes there between two calls of those who are missing.
        for seconds in [25, 60] as [Int64] { try halves(&trial, .lan, "lan", 30, apartFor: .seconds(seconds)) }
    }

    private static func halves(
        _ trial: inout Trial, _ tuning: SwimTuning, _ profile: String, _ count: Int, apartFor span: Span
    ) throws(Violation) {
        let name = "\(profile), \(span.milliseconds / 1_000) s"
        var world = try trial.cluster(count, tuning)
        world.forgetWhatWas()
        let half = count / 2
        world.passes = { from, to in (from < half) == (to < half) }
        world.run(for: span)
        let across = world.verdicts.allSatisfy { ($0.by < half) != ($0.of < half) }
        try trial.require(across, "\(name): a half kills its own while cut off")
        world.forgetWhatWas()
        world.passes = { _, _ in true }
        let time = world.run(atMost: .seconds(60)) { $0.isWhole }
        trial.note("\(name): healed", try trial.require(time, within: .seconds(35), "\(name): healing"))
        world.run(for: tuning.probeInterval * 20)
        let own = world.verdicts.count { ($0.by < half) == ($0.of < half) }
        try trial.require(own == 0, "\(name): \(own) verdicts of a half about its own, while meeting")
        try trial.require(world.isWhole, "\(name): it does not stay whole")
        trial.close(world)
    }

    private static func restart(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        var latest = Span.zero
        for round in 0..<10 {
            world.kill(9, refusing: true)
            // Sometimes before its death is known.
            world.run(for: round % 2 == 0 ? .seconds(8) : .milliseconds(100))
            world.start(9, seeds: [0, 1, 2])
            let generation = Generation(UInt64(round + 2))
            let time = world.run(atMost: .seconds(5)) { world in
                world.isWhole
                    && world.running.allSatisfy {
                        $0 == 9 || world.swim($0)?.member(World.node(9))?.record.life.generation == generation
                    }
            }
            latest = max(latest, try trial.require(time, within: .seconds(1), "start \(round + 2)"))
            world.forgetWhatWas()
            world.run(for: .seconds(2))
            try trial.require(world.verdicts.isEmpty && world.isWhole, "it flaps after start \(round + 2)")
        }
        trial.note("alive for all, the latest", latest)
        trial.close(world)
    }

    private static func massRestart(_ trial: inout Trial) throws(Violation) {
        let count = 50
        var world = try trial.cluster(count)
        // Everybody has refuted a hundred accusations.
        for index in 0..<count {
            let record = MemberRecord(
                node: World.node(index), life: Life(generation: Generation(1), incarnation: 100), status: .suspect,
                profile: World.profile(index), accuser: World.node((index + 1) % count))
            world.inject(
                SwimMessage(
                    from: World.node((index + 1) % count), life: Life(generation: Generation(1), incarnation: 0),
                    revision: .none, body: .gossip, rumours: [record]), from: (index + 1) % count, to: index)
        }
        world.run(for: .seconds(10))
        // All but three go down, and are held dead by the three, who then restart as well.
        for index in 3..<count { world.kill(index, refusing: false) }
        world.run(for: .seconds(20))
        for index in 0..<3 { world.kill(index, refusing: false) }
        for index in 0..<count { world.start(index, seeds: [0, 1, 2]) }
        world.forgetWhatWas()
        let time = world.run(atMost: .seconds(20)) { $0.isWhole }
        trial.note("whole", try trial.require(time, within: .seconds(5), "everybody knows everybody"))
        world.run(for: .seconds(3))
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) verdicts")
        trial.close(world)
    }

    private static func zombie(_ trial: inout Trial) throws(Violation) {
        try answersZombie(trial)
        var world = try trial.cluster(20)
        world.kill(7, refusing: true)
        world.start(7, seeds: [0, 1, 2], generation: 5)
        world.run(for: .seconds(5))
        guard let old = world.swim(7)?.life else { return }
        // The old folder is started elsewhere.
        world.forgetWhatWas()
        let idle = world.traffic
        world.run(for: .seconds(10))
        let usual = world.traffic.packets - idle.packets
        world.reserve(20)
        world.begin(
            20,
            Swim(
                node: World.node(7), generation: Generation(3), profile: World.profile(7, address: World.address(20)),
                tuning: world.tuning, seed: 99, at: world.now))
        world.input(.roster([RosterEntry(node: World.node(0), generation: Generation(0), profile: World.profile(0))]), to: 20)
        world.forgetWhatWas()
        // By the answer to its first ping.
        let told = world.run(atMost: .seconds(5)) { $0.identities > 0 }
        trial.note("told after", try trial.require(told, within: .milliseconds(200), "that it is over"))
        world.run(for: .seconds(10))
        try trial.require(world.identities == 1, "it is told \(world.identities) times that it is over")
        let believed = world.running.filter { $0 != 20 && $0 != 7 }.filter {
            world.swim($0)?.member(World.node(7))?.record.life != old
                || world.swim($0)?.member(World.node(7))?.status != .alive
        }
        try trial.require(believed.isEmpty, "\(believed.count) believe it")
        trial.note("packets of 10 s, against \(usual)", Int(world.traffic.packets))
        try trial.require(world.traffic.packets < usual * 3 / 2, "\(world.traffic.packets) packets instead of \(usual)")
        try trial.require(world.falseVerdicts.isEmpty, "\(world.falseVerdicts.count) false verdicts")
        trial.close(world)
    }

    /// The answer to its ping says so, though nobody talks of it and it has compared nothing.
    private static func answersZombie(_ trial: Trial) throws(Violation) {
        var swim = member(trial)
        func message(_ index: Int, _ generation: UInt64, _ body: SwimMessage.Body, _ rumours: [MemberRecord]) -> Swim.Input {
            .received(
                SwimMessage(
                    from: World.node(index), life: Life(generation: Generation(generation), incarnation: 0), revision: .none,
                    body: body, rumours: rumours), from: World.address(index))
        }
        let later = MemberRecord(
            node: World.node(7), life: Life(generation: Generation(5), incarnation: 0), status: .alive,
            profile: World.profile(7))
        _ = swim.step(message(3, 1, .records, [later]), at: .origin)
        let answer = swim.step(message(7, 3, .ping(sequence: 1, target: World.node(0)), []), at: .origin)
        let isTold = answer.contains { action in
            guard case .send(let message, _) = action else { return false }
            return message.rumours.contains(later)
        }
        try trial.require(isTold, "the answer to its ping does not say that it is over")
        // Whatever else it says, it is told so once in a while.
        let answers = (0..<100).map { _ in
            swim.step(message(7, 3, .gossip, []), at: .origin).count { if case .send = $0 { true } else { false } }
        }
        let told = answers.reduce(0, +)
        try trial.require(told == 1, "of a hundred words of it, \(told) are answered")
    }

    private static func moved(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(20)
        world.kill(6, refusing: true)
        world.start(6, seeds: [0, 1, 2], address: "elsewhere:9")
        let time = world.run(atMost: .seconds(5)) { world in
            world.running.allSatisfy {
                $0 == 6 || world.swim($0)?.member(World.node(6))?.profile.gossip == "elsewhere:9"
            }
        }
        trial.note("at its new address for all", try trial.require(time, within: .seconds(1), "the new address"))
        // A copy of its folder, of the same generation, at another address.
        world.reserve(20)
        let generation = world.swim(6)?.life.generation ?? Generation(0)
        world.begin(
            20,
            Swim(
                node: World.node(6), generation: generation, profile: World.profile(6, address: World.address(20), store: 77),
                tuning: world.tuning, seed: 5, at: world.now))
        world.input(.roster([RosterEntry(node: World.node(0), generation: Generation(0), profile: World.profile(0))]), to: 20)
        world.run(for: .seconds(5))
        try trial.require(world.disputes > 0, "nobody tells of the dispute")
        let moved = world.running.filter { $0 < 20 && $0 != 6 }.filter {
            world.swim($0)?.member(World.node(6))?.profile.gossip != "elsewhere:9"
        }
        try trial.require(moved.isEmpty, "\(moved.count) believe the copy")
        trial.close(world)
        try copies(&trial)
        try registered(&trial)
    }

    /// Everybody meets the copy first, and it ends; the control plane has registered the other.
    private static func registered(_ trial: inout Trial) throws(Violation) {
        var world = trial.world()
        for index in 0..<6 { world.start(index, seeds: [0, 1, 2]) }
        world.reserve(7)
        world.begin(
            7,
            Swim(
                node: World.node(6), generation: Generation(1), profile: World.profile(6, address: World.address(7)),
                tuning: world.tuning, seed: 5, at: world.now))
        world.input(.roster([RosterEntry(node: World.node(0), generation: Generation(0), profile: World.profile(0))]), to: 7)
        world.run(for: .seconds(3))
        world.start(6, seeds: [0, 1, 2], generation: 1)
        world.run(for: .seconds(3))
        try trial.require(
            world.swim(0)?.member(World.node(6))?.profile.gossip == World.address(7), "the copy is not met first")
        let entry = RosterEntry(node: World.node(6), generation: Generation(1), profile: World.profile(6))
        for index in 0..<6 { world.input(.roster([entry]), to: index) }
        let time = world.run(atMost: .seconds(5)) { world in
            (0..<6).allSatisfy {
                let member = world.swim($0)?.member(World.node(6))
                return member?.profile.gossip == World.address(6) && member?.status == .alive && member?.heard == true
            }
        }
        trial.note("the registered one for all", try trial.require(time, within: .seconds(2), "the registered one"))
        world.forgetWhatWas()
        world.kill(7, refusing: true)
        world.run(for: .seconds(15))
        try trial.require(world.all(see: 6, as: .alive), "the one is held dead since the other ended")
        try trial.require(world.reports.isEmpty, "the one is reported since the other ended")
        trial.close(world)
    }

    /// A copy of its folder is started once more, on another machine, and ends; then the node itself moves there.
    private static func laterCopy(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(12)
        func copy(_ index: Int, generation: UInt64, session: UInt64) -> Swim {
            var profile = World.profile(6, address: World.address(index), link: World.link(index))
            profile.session = SessionID(session)
            return Swim(
                node: World.node(6), generation: Generation(generation), profile: profile, tuning: world.tuning,
                seed: trial.seed, at: world.now)
        }
        func others(_ world: World, hold address: String, as status: MemberStatus) -> Bool {
            (0..<12).allSatisfy {
                let member = $0 == 6 ? nil : world.swim($0)?.member(World.node(6))
                return $0 == 6 || member?.profile.gossip == address && member?.status == status
            }
        }
        world.reserve(13)
        let seeds = Swim.Input.roster(
            [RosterEntry(node: World.node(0), generation: Generation(0), profile: World.profile(0))])
        world.begin(12, copy(12, generation: 2, session: 0))
        world.input(seeds, to: 12)
        let taken = world.run(atMost: .seconds(5)) { others($0, hold: World.address(12), as: .alive) }
        _ = try trial.require(taken, within: .seconds(2), "the copy, which may be the node")
        world.kill(12, refusing: true)
        let back = world.run(atMost: .seconds(30)) { others($0, hold: World.address(6), as: .alive) }
        trial.note("the original for all", try trial.require(back, within: .seconds(8), "the original, when its copy is dead"))
        try trial.require(world.swim(6)?.isNameInUse == false, "its name is in use for ever")
        // It has moved, and its old process goes on.
        world.begin(13, copy(13, generation: 9, session: 70))
        world.input(seeds, to: 13)
        world.run(for: .seconds(6))
        world.kill(13, refusing: true)
        world.run(for: .seconds(10))
        try trial.require(
            others(world, hold: World.address(13), as: .dead), "the process before hides that its successor is dead")
        trial.close(world)
    }

    /// Each starts with a half of the cluster, so that half of the members meet the one first, and half the other.
    private static func copies(_ trial: inout Trial) throws(Violation) {
        var world = trial.world()
        let (one, other) = (Array(0..<10), Array(10..<21))
        for index in one { world.start(index, seeds: [0]) }
        for index in other.dropLast() { world.start(index, seeds: [0, 10]) }
        world.reserve(20)
        world.passes = { from, to in one.contains(from) == one.contains(to) }
        world.begin(
            20,
            Swim(
                node: World.node(6), generation: Generation(1),
                profile: World.profile(6, address: World.address(20), store: 77), tuning: world.tuning, seed: 5, at: world.now))
        world.input(
            .roster([RosterEntry(node: World.node(10), generation: Generation(0), profile: World.profile(10))]), to: 20)
        world.run(for: .seconds(5))
        world.passes = { _, _ in true }
        world.run(for: .seconds(10))
        // What one says of itself has changed; then whoever refutes is refuted.
        world.input(.registered(SessionID(90)), to: 20)
        world.run(for: .seconds(60))
        try trial.require(world.disputes > 0 || world.identities > 0, "nobody tells of the copy")
        for index in [6, 20] {
            let incarnation = world.swim(index)?.life.incarnation ?? 0
            trial.note("incarnation of one of two copies", Int(incarnation))
            try trial.require(incarnation <= 3, "two copies outbid each other: \(incarnation)")
        }
        trial.close(world)
    }

    private static func leaving(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        world.forgetWhatWas()
        world.input(.leave, to: 4)
        let gone = world.run(atMost: .seconds(2)) { $0.all(see: 4, as: .left) }
        trial.note("gone for all", try trial.require(gone, within: .milliseconds(800), "a farewell"))
        world.run(for: .seconds(1))
        try trial.require(world.departed.contains(4), "it does not depart")
        world.kill(4, refusing: true)
        world.run(for: .seconds(10))
        try trial.require(world.verdicts.isEmpty && world.reports.isEmpty, "who left is held dead")
        try trial.require(world.all(see: 4, as: .left), "who left is not gone for all")
        // Half of them, and back at once.
        for index in 10..<25 { world.input(.leave, to: index) }
        world.run(for: .milliseconds(300))
        for index in 10..<25 {
            world.kill(index, refusing: true)
            world.start(index, seeds: [0, 1, 2])
        }
        let back = world.run(atMost: .seconds(10)) { $0.isWhole }
        trial.note("half of them back for all", try trial.require(back, within: .seconds(3), "the return of half"))
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) are held dead")
        trial.close(world)
    }

    private static func decommissioned(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(10)
        world.kill(5, refusing: false)
        world.run(for: .seconds(6))
        for index in world.running {
            world.input(.tombstones([Tombstone(node: World.node(5), through: Generation(1))]), to: index)
        }
        world.start(5, seeds: [0, 1, 2], generation: 1)
        world.run(for: .seconds(10))
        try trial.require(world.all(see: 5, as: .left), "it is somebody's member again")
        // The control plane takes it back, in a new life.
        world.kill(5, refusing: false)
        world.start(5, seeds: [0, 1, 2], generation: 2)
        _ = try trial.require(
            world.run(atMost: .seconds(5)) { $0.all(see: 5, as: .alive) }, within: .seconds(2), "its new life")
        trial.close(world)
    }
}
