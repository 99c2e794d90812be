import Membership
import Model
import SimulationKit

// What comes from outside, or is no message at all.
extension Scenario {
    static let seals: [Scenario] = [
        Scenario(
            "C20",
            "what was sealed by others, or says what cannot be, is counted and changes nothing, however much of it comes",
            junk),
        Scenario("C24", "two clusters on one pool of addresses never merge, though they had the same key", twoClusters),
    ]

    private static func junk(_ trial: inout Trial) throws(Violation) {
        let count = 12
        var world = trial.world()
        for index in 0..<count { world.reserve(index) }
        for index in 0..<count { world.take(try ring(.before), at: index) }
        try world.settle(count)
        world.forgetWhatWas()
        let drops = world.drops
        let rounds = 3_000
        let nonsense = nonsense()
        for round in 0..<rounds {
            let (from, to) = (round % count, (round * 5 + 1) % count)
            // Those who are accused here live.
            let rumour = rumour(of: (to + 1) % count, by: from)
            let foreign = heard([rumour], from: from)
            world.inject(foreign, from: from, to: to, seal: .plain)
            world.inject(foreign, from: from, to: to, seal: .key(GossipKeyID(9), cluster: 0))
            world.inject(foreign, from: from, to: to, seal: .key(GossipKeyID(1), cluster: 7))
            world.inject(nonsense[round % nonsense.count](from, to), from: from, to: to)
            world.run(for: .milliseconds(10))
        }
        trial.note("refused by their seal", Int(world.plain + world.unopened))
        trial.note("opened, and without effect", Int(world.drops - drops))
        try trial.require(world.plain == rounds, "of \(rounds) in plain \(world.plain) are counted")
        try trial.require(world.unopened == 2 * rounds, "of \(2 * rounds) sealed by others \(world.unopened) are counted")
        try trial.require(world.drops - drops >= rounds, "of \(rounds) without sense \(world.drops - drops) are counted")
        try trial.require(world.accusations.isEmpty, "\(world.accusations.count) accuse somebody")
        try trial.require(world.verdicts.isEmpty && world.isWhole, "somebody is held dead")
        // They still hear each other.
        world.input(.described([7]), to: 3)
        let told = world.run(atMost: .seconds(5)) { world in
            world.running.allSatisfy { $0 == 3 || world.swim($0)?.member(World.node(3))?.profile.metadata == [7] }
        }
        _ = try trial.require(told, within: .seconds(1), "news after the junk")
        trial.close(world)
    }

    private static func rumour(of index: Int, by accuser: Int, _ profile: MemberProfile? = nil) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: Life(generation: Generation(1), incarnation: 9), status: .suspect,
            profile: profile ?? World.profile(index), accuser: World.node(accuser))
    }

    private static func heard(
        _ rumours: [MemberRecord], from index: Int, generation: UInt64 = 1, body: SwimMessage.Body = .gossip,
        digest: TableDigest? = nil
    ) -> SwimMessage {
        SwimMessage(
            from: World.node(index), life: Life(generation: Generation(generation), incarnation: 0), revision: .none,
            body: body, digest: digest, rumours: rumours)
    }

    /// What a member with the key may say that makes no sense.
    private static func nonsense() -> [@Sendable (_ from: Int, _ to: Int) -> SwimMessage] {
        [
            { from, _ in heard([], from: from, body: .ack(sequence: 1 << 60)) },
            { from, _ in heard([], from: from, body: .nack(sequence: 1 << 60)) },
            { from, to in heard([], from: from, body: .ping(sequence: 1, target: World.node(to + 1))) },
            { _, to in heard([], from: to) },
            { from, _ in heard([], from: from, generation: 1 << 40) },
            { from, _ in heard([], from: from, digest: TableDigest(sums: [1, 2, 3], answer: true)) },
            { from, to in heard([rumour(of: to + 1, by: from, World.profile(to + 1, address: ""))], from: from) },
            { from, to in
                let long = String(repeating: "x", count: MemberProfile.addressBytes + 1)
                return heard([rumour(of: to + 1, by: from, World.profile(to + 1, address: long))], from: from)
            },
        ]
    }

    private static func twoClusters(_ trial: inout Trial) throws(Violation) {
        let apart = try neighbours(&trial, areApart: true)
        try trial.require(apart.known == 0, "\(apart.known) of one cluster are members of the other")
        try trial.require(apart.world.unopened > 0, "they never spoke to one another")
        try trial.require(apart.world.falseVerdicts.isEmpty, "\(apart.world.falseVerdicts.count) false verdicts")
        trial.note("datagrams of the other cluster, refused", Int(apart.world.unopened))
        trial.close(apart.world)
        let together = try neighbours(&trial, areApart: false)
        trial.note("with one name for both, members of the other", together.known)
        try trial.require(together.known > 0, "nothing here would have made them merge")
        trial.close(together.world)
    }

    /// Eight and eight, who have the same key. Machines change hands: the second cluster expects a member where one of the first is, and
    /// starts one where one of the first has vanished, which the first still calls.
    /// - Returns: how often one of the first is a member to one of the second, or the other way round.
    private static func neighbours(_ trial: inout Trial, areApart: Bool) throws(Violation) -> (known: Int, world: World) {
        var world = trial.world()
        let (first, second) = (Array(0..<8), Array(8..<16))
        for index in 0..<18 {
            world.reserve(index)
            world.take(try ring(.before), at: index)
            world.assign(index, toCluster: areApart && index >= 8 ? 2 : 1)
        }
        for index in first { world.start(index, seeds: [0, 1, 2]) }
        for index in second { world.start(index, seeds: [8, 9, 10]) }
        world.run(for: .seconds(10))
        let taken = RosterEntry(
            node: World.node(16), generation: Generation(0), profile: World.profile(16, address: World.address(3)))
        let seeds = [8, 9, 10].map {
            RosterEntry(node: World.node($0), generation: Generation(0), profile: World.profile($0))
        }
        for index in second { world.input(.roster(seeds + [taken]), to: index) }
        world.kill(5, refusing: false)
        world.run(for: .seconds(5))
        world.start(17, seeds: [8, 9, 10], address: World.address(5))
        world.run(for: .seconds(60))
        let groups = [first.filter { $0 != 5 }, second + [17]]
        for group in groups where areApart {
            let isWhole = group.allSatisfy { one in
                group.allSatisfy { $0 == one || world.swim(one)?.status(of: World.node($0)) == .alive }
            }
            try trial.require(isWhole, "one of the clusters is not whole")
        }
        var known = 0
        for (ours, theirs) in [(groups[0], groups[1]), (groups[1], groups[0])] {
            for one in ours { known += theirs.count { world.swim(one)?.member(World.node($0)) != nil } }
        }
        return (known, world)
    }
}
