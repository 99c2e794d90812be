import Consensus
import Foundation
import Model
import Testing

@Suite struct FuzzTests {
    @Test("no seed of loss, doubles, crashes, transfers and changes of members breaks a promise, and calm brings agreement")
    func anySeed() throws {
        // A few by default, so that the suite stays quick; `SEEDS=1000` looks longer.
        let seeds = ProcessInfo.processInfo.environment["SEEDS"].flatMap(UInt64.init) ?? 24
        for seed in 1...max(seeds, 1) {
            do { try live(seed) } catch { Issue.record("seed \(seed): \(error)") }
        }
    }

    private func live(_ seed: UInt64) throws {
        var settings = Group.settings
        if seed % 4 > 1 { settings.commitNewsDelay = .milliseconds(10) }
        var group = try Group(seed % 3 == 0 ? 5 : 3, joining: 2, seed: seed, settings: settings)
        group.slowDisks = true
        if seed % 2 == 0 { group.compactEvery = 5 }
        group.weather = Group.Weather(loss: seed % 20, doubles: seed % 15, reorders: true)
        var proposals = 0
        for _ in 0..<1_500 {
            let name = group.names[Int(group.random.next() % UInt64(group.names.count))]
            switch group.random.next() % 100 {
            case 0..<2 where group.raft(name) != nil: group.crash(name)
            case 0..<10 where group.raft(name) == nil: group.start(name)
            case 10..<25: try group.flushOne(name); try group.settle(name)
            case 25..<30:
                if let leader = group.leader { try group.propose("p\(proposals)", at: leader) }
                proposals += 1
            case 30..<31: group.block(name, group.names[Int(group.random.next() % UInt64(group.names.count))])
            case 31..<33: group.cut = []
            case 33..<45:
                group.now = group.now + .milliseconds(Int64(group.random.next() % 15))
                for other in group.names where (group.raft(other)?.nextDeadline ?? group.now + .seconds(1)) <= group.now {
                    try group.input(.tick, to: other)
                }
            case 45..<46: try group.input(.connectionLost(group.names[0]), to: name)
            case 46..<49:
                if let leader = group.leader { try changeAnything(name, at: leader, in: &group) }
            case 49..<50:
                if let leader = group.leader { try? group.transfer(to: name, at: leader) }
            default: try group.deliverOne()
            }
            if group.random.next() % 50 == 0 { try group.checkLogs() }
        }
        // Calm: everybody is back and must agree, on everything that anybody ever applied.
        group.heal()
        group.wire = []
        for name in group.names where group.raft(name) == nil { group.start(name) }
        try group.run(.seconds(2))
        guard let leader = group.leader else { throw Violation(description: "no leader after the storm") }
        try group.propose("last", at: leader)
        try group.run(.milliseconds(500))
        let highest = group.chosen.keys.max()
        for name in group.raft(leader)?.configuration.members ?? [] {
            guard group.members[name]?.applied == highest else {
                throw Violation(description: "\(name) at \(group.members[name]?.applied as Any), others at \(highest as Any)")
            }
        }
        try group.checkLogs()
    }

    /// Whatever the leader does not refuse, with up to two members at once.
    private func changeAnything(_ name: MemberID, at leader: MemberID, in group: inout Group) throws {
        let other = group.names[Int(group.random.next() % UInt64(group.names.count))]
        let changes = [name, other].map { member -> MemberChange in
            switch group.random.next() % 4 {
            case 0: .addLearner(member)
            case 1: .demote(member)
            case 2: .remove(member)
            default: .promote(member)
            }
        }
        let count = Int(group.random.next() % 2) + 1
        do { try group.change(Array(changes.prefix(count)), at: leader) } catch is Raft.Refusal {}
    }
}
