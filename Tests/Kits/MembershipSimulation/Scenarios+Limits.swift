import Membership
import Model
import SimulationKit

// What it costs, and what it never exceeds.
extension Scenario {
    static let limits: [Scenario] = [
        Scenario(
            "C21",
            "no datagram outgrows its bound, though 255 members change metadata of 512 bytes at once; all are told of all",
            sizes),
        Scenario("C27", "after ten thousand lives of others a member remembers those that are there, and no more", reaped),
        Scenario(
            "C27-strangers", "whoever names thousands whom nobody knows makes a member forget none that it has heard",
            strangers),
        Scenario("C29", "an idle member of the lan profile sends two packets a second and 140 bytes in them", idle),
    ]

    private static func sizes(_ trial: inout Trial) throws(Violation) {
        let count = 256
        var world = trial.world()
        world.bufferBytes = 1 << 20
        world.start(count)
        _ = try trial.require(world.run(atMost: .seconds(60)) { $0.isWhole }, within: .seconds(60), "a cluster of \(count)")
        for index in 1..<count { world.input(.described([UInt8](repeating: UInt8(index), count: 512)), to: index) }
        let time = world.run(atMost: .seconds(60)) { world in
            world.running.allSatisfy { index in
                guard let swim = world.swim(index) else { return false }
                return (1..<count).allSatisfy {
                    $0 == index || swim.member(World.node($0))?.profile.metadata.first == UInt8($0)
                }
            }
        }
        trial.note("all told of all", try trial.require(time, within: .seconds(60), "the news of 255"))
        trial.note("largest datagram", world.traffic.largest)
        try trial.require(world.traffic.largest <= Limits.datagramBytes, "a datagram of \(world.traffic.largest) bytes")
        try trial.require(world.verdicts.isEmpty, "\(world.verdicts.count) verdicts in the flood")
        trial.close(world)
    }

    private static func strangers(_ trial: inout Trial) throws(Violation) {
        var tuning = trial.tuned(.fast)
        tuning.strangers = 40
        var swim = Swim(
            node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: tuning, seed: trial.seed,
            at: .origin)
        let roster = (60..<65).map {
            RosterEntry(node: World.node($0), generation: Generation(1), profile: World.profile($0))
        }
        _ = swim.step(.roster(roster), at: .origin)
        func record(_ index: Int, _ status: MemberStatus = .alive) -> MemberRecord {
            MemberRecord(
                node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: status,
                profile: World.profile(index), accuser: World.node(1))
        }
        var now = LogicalInstant.origin
        // Of these half say it themselves.
        for index in 1...20 { _ = swim.step(gossip([record(index)], from: index % 2 == 0 ? index : 1), at: now) }
        for index in stride(from: 2, through: 20, by: 2) { _ = swim.step(gossip([], from: index), at: now) }
        for index in 1_000..<3_000 {
            now = now + .microseconds(100)
            _ = swim.step(gossip([record(index)], from: 2), at: now)
            try trial.require(swim.rememberedCount <= 45, "\(swim.rememberedCount) are remembered")
        }
        trial.note("forgotten or refused", Int(swim.counters.refusedStrangers))
        try trial.require(swim.counters.refusedStrangers == 1_980, "\(swim.counters.refusedStrangers) are counted")
        let kept = Array(stride(from: 2, through: 20, by: 2)) + Array(60..<65) + [2_999]
        for index in kept {
            try trial.require(swim.member(World.node(index)) != nil, "\(index) is forgotten")
        }
        // One that is dead goes first, and where all have spoken, nobody goes.
        _ = swim.step(gossip([record(2_990, .dead)], from: 2), at: now)
        for index in 2_970..<3_000 where index != 2_990 { _ = swim.step(gossip([], from: index), at: now) }
        _ = swim.step(gossip([record(3_000)], from: 3_000), at: now)
        _ = swim.step(gossip([], from: 3_000), at: now)
        let before = swim.members.map(\.node)
        let actions = swim.step(gossip([record(3_001)], from: 3_001), at: now)
        try trial.require(actions.contains(.dropped(.crowded)), "it is not said why one is not taken")
        try trial.require(swim.members.map(\.node) == before, "one that has spoken is forgotten")
        trial.close(swim)
    }

    private static func reaped(_ trial: inout Trial) throws(Violation) {
        var tuning = trial.tuned(.fast)
        tuning.reapAfter = .seconds(60)
        var swims = [0, 1].map { index in
            Swim(
                node: World.node(index), generation: Generation(1), profile: World.profile(index), tuning: tuning,
                seed: trial.seed + UInt64(index), at: .origin)
        }
        var now = LogicalInstant.origin
        var most = 0
        for life in 0..<10_000 {
            let index = 100 + life
            for (status, generation) in [(MemberStatus.alive, 1), (life % 2 == 0 ? .left : .dead, 2)]
                as [(MemberStatus, UInt64)]
            {
                let record = MemberRecord(
                    node: World.node(index), life: Life(generation: Generation(generation), incarnation: 0), status: status,
                    profile: World.profile(index), accuser: World.node(1))
                for swim in swims.indices { _ = swims[swim].step(gossip([record], from: 50), at: now) }
            }
            // They compare what they hold all the time: none may remind the other of the dead.
            for step in 0..<4 {
                now = now + .milliseconds(25)
                for swim in swims.indices {
                    for action in swims[swim].step(.tick, at: now) {
                        guard case .send(let message, let address) = action, address == World.address(1 - swim) else {
                            continue
                        }
                        _ = swims[1 - swim].step(.received(message, from: World.address(swim)), at: now)
                    }
                }
                if step == 0, life % 50 == 0 {
                    for swim in swims.indices {
                        let other = MemberRecord(
                            node: World.node(1 - swim), life: swims[1 - swim].life, status: .alive,
                            profile: World.profile(1 - swim))
                        _ = swims[swim].step(gossip([other], from: 50), at: now)
                    }
                }
            }
            most = max(most, swims[0].rememberedCount)
            // Ten lives a second, for a minute and the time until it is looked at.
            try trial.require(most <= 10 * 70, "\(most) are remembered")
        }
        trial.note("remembered at most", most)
        for _ in 0..<4_000 {
            now = now + .milliseconds(25)
            for swim in swims.indices { _ = swims[swim].step(.tick, at: now) }
        }
        // Somebody else has not forgotten them yet.
        let late = MemberRecord(
            node: World.node(77), life: Life(generation: Generation(2), incarnation: 0), status: .dead,
            profile: World.profile(77), accuser: World.node(1))
        for swim in swims.indices { _ = swims[swim].step(gossip([late], from: 50), at: now) }
        for swim in swims {
            try trial.require(swim.member(World.node(77)) == nil, "it is reminded of the dead")
            try trial.require(swim.rememberedCount <= 2, "\(swim.rememberedCount) are remembered in the end")
            try trial.require(swim.queuedCount <= 2, "\(swim.queuedCount) rumours wait")
            trial.close(swim)
        }
    }

    private static func idle(_ trial: inout Trial) throws(Violation) {
        for (name, tuning, seconds) in [("lan", SwimTuning.lan, 240), ("fast", .fast, 60)] as [(String, SwimTuning, Int64)] {
            for count in [30, 100] {
                var world = try trial.cluster(count, tuning)
                world.run(for: .seconds(60))
                world.forgetWhatWas()
                world.run(for: .seconds(seconds))
                let packets = Double(world.traffic.packets) / Double(count) / Double(seconds)
                let bytes = Double(world.traffic.bytes) / Double(count) / Double(seconds)
                trial.note("\(name), \(count) members", "\((packets * 1_000).rounded() / 1_000) packets/s, \(Int(bytes)) B/s")
                if name == "lan" {
                    try trial.require(packets <= 2.01, "\(packets) packets a second")
                    try trial.require(bytes <= 140, "\(bytes) bytes a second")
                }
                trial.close(world)
            }
        }
    }
}
