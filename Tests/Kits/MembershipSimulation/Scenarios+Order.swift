package import Membership
import Model
package import SimulationKit

// What is news and what is not.
extension Scenario {
    static let order: [Scenario] = [
        Scenario("C18", "whatever comes, stale, twice or out of order, what is held of a member never goes back", neverBack),
        Scenario(
            "C19", "a suspect refutes in the same answer with a higher incarnation, and an echo of that is no news", refutes),
        Scenario("buddy", "a suspect hears of the suspicion with every ping, when nobody gossips about it any more", buddy),
        Scenario("C30", "new metadata is known to all within a second, and is fixed for an incarnation", metadata),
        Scenario(
            "C32", "what a newer version says of itself is carried on, and versions that do not meet are no members", versions),
    ]

    static func gossip(_ rumours: [MemberRecord], from index: Int, generation: UInt64 = 1) -> Swim.Input {
        .received(
            SwimMessage(
                from: World.node(index), life: Life(generation: Generation(generation), incarnation: 0), revision: .none,
                body: .gossip, rumours: rumours), from: World.address(index))
    }

    static func member(_ trial: Trial, _ index: Int = 0, at now: LogicalInstant = .origin) -> Swim {
        Swim(
            node: World.node(index), generation: Generation(3), profile: World.profile(index), tuning: trial.tuned(.fast),
            seed: trial.seed, at: now)
    }

    static let orderSteps = 100_000

    private static func neverBack(_ trial: inout Trial) throws(Violation) {
        let figures = try StatusOrder.walk(steps: orderSteps, seed: trial.seed, swim: member(trial))
        trial.note("steps", figures.steps)
        trial.note("changes", figures.changes)
        // And a network that doubles and mixes what it carries.
        var world = try trial.cluster(12)
        world.delay = 200...400_000
        world.loss = 100
        var held: [Int: [NodeID: MemberRecord]] = [:]
        for _ in 0..<600 {
            world.run(for: .milliseconds(50))
            for index in world.running {
                for member in world.swim(index)?.members ?? [] {
                    if let before = held[index]?[member.node], before.outranks(member.record) {
                        throw Violation("\(before) became \(member.record)")
                    }
                    held[index, default: [:]][member.node] = member.record
                }
            }
        }
        trial.close(world)
    }

    private static func refutes(_ trial: inout Trial) throws(Violation) {
        var swim = member(trial)
        let accusation = MemberRecord(
            node: World.node(0), life: Life(generation: Generation(3), incarnation: 4), status: .suspect,
            profile: World.profile(0), accuser: World.node(1))
        let ping = SwimMessage(
            from: World.node(1), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
            body: .ping(sequence: 5, target: World.node(0)), rumours: [accusation])
        let actions = swim.step(.received(ping, from: World.address(1)), at: .origin)
        let answers = actions.compactMap { action -> SwimMessage? in
            if case .send(let message, _) = action, case .ack = message.body { return message }
            return nil
        }
        try trial.require(swim.life.incarnation == 5, "the incarnation is \(swim.life.incarnation), not 5")
        try trial.require(answers.first?.rumours.contains(swim.ownRecord) == true, "the answer does not refute")
        // The accusation comes again, and so does what was said of us.
        _ = swim.step(gossip([accusation, swim.ownRecord], from: 2), at: .origin)
        try trial.require(swim.life.incarnation == 5, "an echo raises the incarnation")
        // Nobody believes of another what that could not refute.
        for (status, incarnation) in [(.alive, 0), (.suspect, (1 << 62) - 1)] as [(MemberStatus, UInt64)] {
            let rumour = MemberRecord(
                node: World.node(7), life: Life(generation: Generation(1), incarnation: incarnation), status: status,
                profile: World.profile(7), accuser: World.node(1))
            _ = swim.step(gossip([rumour], from: 1), at: .origin)
        }
        try trial.require(swim.status(of: World.node(7)) == .alive, "what cannot be refuted is believed")
        try wrongNumbers(trial)
        // In a cluster: who is accused for nothing is alive again everywhere, though its accuser goes on.
        var world = try trial.cluster(20)
        world.forgetWhatWas()
        for _ in 0..<5 {
            world.input(
                gossip([record(of: 7, in: world, .suspect, by: 3)], from: 3), to: 11)
            world.run(for: .seconds(1))
        }
        world.run(for: .seconds(6))
        try trial.require(world.verdicts.isEmpty, "an accused member is held dead")
        try trial.require(world.all(see: 7, as: .alive), "an accused member is not alive for all")
        trial.close(world)
    }

    /// One is told of itself what is far from true, again and again, and another hears neither that nor its answers, but for the
    /// last.
    private static func wrongNumbers(_ trial: Trial) throws(Violation) {
        var (swim, other) = (member(trial), member(trial, 9))
        func told(_ generation: UInt64, _ incarnation: UInt64, _ status: MemberStatus) -> Swim.Input {
            let life = Life(generation: Generation(generation), incarnation: incarnation)
            return gossip(
                [
                    MemberRecord(
                        node: World.node(0), life: life, status: status, profile: World.profile(0), accuser: World.node(1))
                ],
                from: 1)
        }
        func word() -> Swim.Input {
            .received(
                SwimMessage(from: swim.node, life: swim.life, revision: .none, body: .gossip, rumours: [swim.ownRecord]),
                from: World.address(0))
        }
        _ = other.step(word(), at: .origin)
        for _ in 0..<20 { _ = swim.step(told(3, 1 << 60, .suspect), at: .origin) }
        _ = other.step(told(3, 0, .suspect), at: .origin)
        _ = other.step(word(), at: .origin)
        try trial.require(other.status(of: swim.node) == .alive, "its own word does not refute what another believes")
        let generation = swim.life.generation.number + 1 << 20
        _ = other.step(told(generation, 0, .dead), at: .origin)
        _ = swim.step(told(generation, 0, .dead), at: .origin)
        _ = other.step(word(), at: .origin)
        try trial.require(other.status(of: swim.node) == .alive, "a wrong generation is not outlived")
    }

    private static func buddy(_ trial: inout Trial) throws(Violation) {
        var swim = member(trial)
        let others = (1...6).map { index in
            MemberRecord(
                node: World.node(index), life: Life(generation: Generation(1), incarnation: 0),
                status: index == 6 ? .suspect : .alive, profile: World.profile(index), accuser: World.node(9))
        }
        _ = swim.step(gossip(others, from: 9), at: .origin)
        var now = LogicalInstant.origin
        var pings = 0
        for _ in 0..<400 {
            now = now + .milliseconds(25)
            for case .send(let message, let address) in swim.step(.tick, at: now) {
                guard case .ping(let number, let target) = message.body else { continue }
                if target == World.node(6), now > .origin + .seconds(3) {
                    pings += 1
                    try trial.require(
                        message.rumours.contains { $0.node == target && $0.status != .alive },
                        "a suspect is pinged and not told")
                }
                guard target != World.node(6) else { continue }
                let ack = SwimMessage(
                    from: target, life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                    body: .ack(sequence: number), rumours: [])
                _ = swim.step(.received(ack, from: address), at: now)
            }
        }
        try trial.require(pings > 0, "the suspect is not pinged")
        trial.close(swim)
    }

    private static func record(of index: Int, in world: World, _ status: MemberStatus, by accuser: Int) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: world.swim(index)?.life ?? Life(generation: Generation(1), incarnation: 0),
            status: status, profile: World.profile(index), accuser: World.node(accuser))
    }

    private static func metadata(_ trial: inout Trial) throws(Violation) {
        var world = try trial.cluster(30)
        let text = [UInt8](repeating: 7, count: 512)
        world.input(.described(text), to: 4)
        let time = world.run(atMost: .seconds(5)) { world in
            world.running.allSatisfy { $0 == 4 || world.swim($0)?.member(World.node(4))?.profile.metadata == text }
        }
        trial.note("known to all", try trial.require(time, within: .seconds(1), "new metadata"))
        // Somebody has it wrong, in the same incarnation.
        var wrong = record(of: 4, in: world, .suspect, by: 3)
        wrong.profile.metadata = [1]
        world.input(gossip([wrong], from: 3), to: 9)
        try trial.require(
            world.swim(9)?.member(World.node(4))?.profile.metadata == text, "metadata changes within an incarnation")
        trial.close(world)
    }

    private static func versions(_ trial: inout Trial) throws(Violation) {
        var world = trial.world()
        // What only a newer program understands.
        world.start(0, seeds: [1], metadata: [9, 9, 9])
        for index in 1..<10 { world.start(index, seeds: [0]) }
        _ = try trial.require(world.run(atMost: .seconds(10)) { $0.isWhole }, within: .seconds(10), "the cluster")
        let carried = world.running.allSatisfy {
            $0 == 0 || world.swim($0)?.member(World.node(0))?.profile.metadata == [9, 9, 9]
        }
        try trial.require(carried, "what is not understood is lost")
        var swim = member(trial)
        let profile = MemberProfile(
            kind: .agent, zone: World.profile(5).zone, gossip: "m5:7", link: "m5:8", store: StoreID(5), session: .none,
            versions: ProtocolVersions(oldest: 7, newest: 9))
        let stranger = MemberRecord(
            node: World.node(5), life: Life(generation: Generation(1), incarnation: 0), status: .alive, profile: profile)
        let actions = swim.step(gossip([stranger], from: 5), at: .origin)
        try trial.require(actions.contains(.dropped(.otherVersion)), "no reason is given")
        try trial.require(swim.member(World.node(5)) == nil, "it is a member")
        // One record that has no meaning here takes nothing else with it.
        let answer = swim.step(
            .received(
                SwimMessage(
                    from: World.node(6), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                    body: .ping(sequence: 5, target: World.node(0)), rumours: [], unknownRumours: 1), from: World.address(6)),
            at: .origin)
        let isAnswered = answer.contains { action in
            guard case .send(let message, _) = action else { return false }
            return message.body == .ack(sequence: 5)
        }
        try trial.require(isAnswered, "a ping beside a record of a newer version is not answered")
        try trial.require(answer.contains(.dropped(.otherVersion)), "a record of a newer version is not counted")
        trial.close(world)
    }
}

/// A member that is told anything at all about a few others.
package enum StatusOrder {
    /// - Returns: how many steps were taken, and how often what is held has changed.
    package static func walk(steps: Int, seed: UInt64, swim: Swim) throws(Violation) -> (steps: Int, changes: Int) {
        var swim = swim
        var random = SeededGenerator(seed: seed)
        var held: [MemberRecord?] = Array(repeating: nil, count: 5)
        var now = LogicalInstant.origin
        var changes = 0
        func draw(_ bound: UInt64) -> UInt64 { random.next() % bound }
        for step in 0..<steps {
            now = now + .milliseconds(Int64(draw(20)))
            let index = Int(1 + draw(4))
            let status = MemberStatus.allCases[Int(draw(4))]
            let life = Life(generation: Generation(UInt64(step / 2_000) + draw(4)), incarnation: draw(6))
            let rumour = MemberRecord(
                node: World.node(index), life: life, status: status, profile: World.profile(index),
                accuser: World.node(Int(1 + draw(8))), refused: draw(8) == 0)
            let from = Int(5 + draw(4))
            switch draw(8) {
            case 0: _ = swim.step(.tick, at: now)
            case 1: _ = swim.step(.linkRefused(World.node(index)), at: now)
            case 2:
                let ack = SwimMessage(
                    from: World.node(index), life: life, revision: .none, body: .ack(sequence: draw(1_000)), rumours: [rumour])
                _ = swim.step(.received(ack, from: World.address(index)), at: now)
            case 3:
                _ = swim.step(
                    .roster([RosterEntry(node: World.node(index), generation: life.generation, profile: World.profile(index))]),
                    at: now)
            default: _ = swim.step(Scenario.gossip([rumour], from: from), at: now)
            }
            for index in 1...4 {
                guard let record = swim.member(World.node(index))?.record else { continue }
                if let before = held[index] {
                    if before.outranks(record) { throw Violation("\(before) became \(record)") }
                    if before != record { changes += 1 }
                }
                held[index] = record
            }
        }
        return (steps, changes)
    }
}
