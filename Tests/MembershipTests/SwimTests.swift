import Membership
import Model
import Testing

@Suite struct SwimTests {
    /// A settled cluster of `count` members that started together and knew only the first three.
    private func cluster(_ count: Int, seed: UInt64) throws -> SwimNetwork {
        var network = SwimNetwork(seed: seed)
        for index in 0..<count { try network.start(index, seeds: [0, 1, 2]) }
        let settled = network.run(atMost: .seconds(20)) { $0.allSeeAllAlive(0..<count) }
        #expect(settled, "seed \(seed)")
        // Everybody has the usual time to refute from here on.
        network.run(for: network.tuning.youth)
        return network
    }

    private func deaths(_ network: SwimNetwork) -> [NodeID] {
        Array(Set(network.changes.filter { $0.record.status == .dead }.map(\.record.node))).sorted()
    }

    @Test("members that know only three of them find each other within seconds", arguments: [3, 8, 30, 100])
    func joining(count: Int) throws {
        var network = SwimNetwork(seed: UInt64(count))
        for index in 0..<count { try network.start(index, seeds: [0, 1, 2]) }
        let joined = network.run(atMost: .seconds(3)) { $0.allSeeAllAlive(0..<count) }
        #expect(joined)
        #expect(deaths(network).isEmpty)
    }

    @Test(
        "a killed member is seen dead by all in under three seconds, and nobody else is",
        arguments: 1...6 as ClosedRange<UInt64>)
    func kill(seed: UInt64) throws {
        var network = try cluster(30, seed: seed)
        network.run(for: .seconds(2))
        network.kill(7)
        let killedAt = network.now
        let detected = network.run(atMost: .milliseconds(3_500)) { $0.all(see: 7, as: .dead) }
        #expect(detected)
        #expect(deaths(network) == [try NodeID("n7")])
        // At least two witnesses speak, and soon.
        network.run(for: .milliseconds(500))
        let witnesses = Set(network.reports.map(\.by))
        #expect(witnesses.count >= 2)
        #expect(network.reports.allSatisfy { $0.at > killedAt && $0.dead.name == "n7" })
    }

    @Test(
        "in the demo's cluster of eight a death is reported by two witnesses within 2.5 seconds",
        arguments: 1...20 as ClosedRange<UInt64>)
    func smallCluster(seed: UInt64) throws {
        var network = try cluster(8, seed: seed)
        network.run(for: .seconds(3))
        network.kill(5)
        let reported = network.run(atMost: .milliseconds(2_500)) { Set($0.reports.map(\.by)).count >= 2 }
        #expect(reported)
    }

    @Test("a report is repeated until it is settled, and not after")
    func settling() throws {
        var network = try cluster(5, seed: 3)
        network.kill(4)
        network.run(for: .seconds(6))
        let before = network.reports.count
        #expect(before > 6)
        let dead = try NodeID("n4")
        for index in 0..<4 { network.input(.deathSettled(dead, SessionID(4)), to: index) }
        network.run(for: .seconds(5))
        #expect(network.reports.count == before)
    }

    @Test("a death that the topology shows already is not reported")
    func settledBefore() throws {
        var network = try cluster(5, seed: 3)
        let dead = try NodeID("n4")
        for index in 0..<4 { network.input(.deathSettled(dead, SessionID(4)), to: index) }
        network.kill(4)
        network.run(for: .seconds(6))
        #expect(network.all(see: 4, as: .dead))
        #expect(network.reports.isEmpty)
    }

    @Test("every tenth datagram lost kills nobody", arguments: [10, 30])
    func loss(count: Int) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            var network = try cluster(count, seed: seed)
            network.loss = 0.1
            network.run(for: .seconds(60))
            #expect(deaths(network).isEmpty, "seed \(seed)")
        }
    }

    @Test("a member stopped for less than a second is not declared dead, and accuses nobody on waking")
    func stall() throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            var network = try cluster(12, seed: seed)
            network.run(for: .seconds(3))
            network.stopped.insert(SwimNetwork.address(3))
            network.run(for: .milliseconds(800))
            let accusationsBefore = network.changes.count { $0.by == SwimNetwork.address(3) && $0.record.status == .suspect }
            network.resume(3)
            network.run(for: .seconds(5))
            #expect(deaths(network).isEmpty, "seed \(seed)")
            let accusations = network.changes.count { $0.by == SwimNetwork.address(3) && $0.record.status == .suspect }
            #expect(accusations == accusationsBefore, "seed \(seed)")
        }
    }

    @Test(
        "members that start together and starve one another for seconds are held dead by nobody; afterwards a death is found as fast as ever",
        arguments: 1...10 as ClosedRange<UInt64>)
    func start(seed: UInt64) throws {
        var network = SwimNetwork(seed: seed)
        for index in 0..<8 { try network.start(index, seeds: [0, 1, 2]) }
        network.run(for: .milliseconds(700))
        // Two at a time are not run at all for two seconds, just when the others have met them.
        for pair in 0..<2 {
            let starved = [pair, 7 - pair]
            for index in starved { network.stopped.insert(SwimNetwork.address(index)) }
            network.run(for: .seconds(2))
            for index in starved { network.resume(index) }
        }
        network.run(for: .seconds(15))
        #expect(deaths(network).isEmpty, "seed \(seed)")
        #expect(network.reports.isEmpty, "seed \(seed)")
        network.kill(5)
        let reported = network.run(atMost: .milliseconds(2_500)) { Set($0.reports.map(\.by)).count >= 2 }
        #expect(reported, "seed \(seed)")
    }

    @Test("a member stopped for ten seconds is declared dead, refutes on waking, and declares nobody else")
    func longStall() throws {
        var network = try cluster(12, seed: 9)
        network.stopped.insert(SwimNetwork.address(3))
        network.run(for: .seconds(10))
        #expect(
            network.all(see: 3, as: .dead)
                || network.members.values.allSatisfy {
                    $0.node.name == "n3" || $0.members.contains { $0.node.name == "n3" && $0.status == .dead }
                })
        network.resume(3)
        let back = network.run(atMost: .seconds(5)) { $0.allSeeAllAlive(0..<12) }
        #expect(back)
        #expect(deaths(network) == [try NodeID("n3")])
    }

    @Test("two halves that were cut apart for a minute find each other again")
    func split() throws {
        var network = try cluster(12, seed: 4)
        network.passes = { from, to in
            let half: (String) -> Bool = { Int($0.split(separator: ".")[3].split(separator: ":")[0]).map { $0 < 6 } ?? false }
            return half(from) == half(to)
        }
        network.run(for: .seconds(60))
        #expect(deaths(network).count == 12)
        let before = network.changes.count
        network.passes = { _, _ in true }
        let healed = network.run(atMost: .seconds(35)) { $0.allSeeAllAlive(0..<12) }
        #expect(healed)
        // While they meet, no half kills members of its own.
        let own = network.changes[before...].filter { change in
            let index = Int(change.record.node.name.dropFirst()) ?? 0
            let by = Int(change.by.split(separator: ".")[3].split(separator: ":")[0]) ?? 0
            return change.record.status == .dead && (index < 6) == (by < 6)
        }
        #expect(own.isEmpty)
    }

    @Test("a cut between two members only kills neither")
    func pairwiseCut() throws {
        var network = try cluster(8, seed: 5)
        let pair = [SwimNetwork.address(1), SwimNetwork.address(2)]
        network.passes = { from, to in !(pair.contains(from) && pair.contains(to)) }
        network.run(for: .seconds(60))
        #expect(deaths(network).isEmpty)
    }

    @Test("a member that hears nobody declares and reports nobody")
    func deaf() throws {
        var network = try cluster(8, seed: 6)
        let deaf = SwimNetwork.address(2)
        network.passes = { _, to in to != deaf }
        network.run(for: .seconds(60))
        #expect(!network.changes.contains { $0.by == deaf && $0.record.status == .dead })
        #expect(!network.reports.contains { $0.by == deaf })
        #expect(deaths(network) == [try NodeID("n2")])
    }

    @Test("a restarted member is alive for all within a second, whatever was said of its past life")
    func restart() throws {
        var network = try cluster(10, seed: 8)
        for generation in 2...6 as ClosedRange<UInt64> {
            network.kill(9)
            // From the second time on it is a young life that ends.
            network.run(for: .seconds(7))
            #expect(network.all(see: 9, as: .dead))
            try network.start(9, generation: generation, seeds: [0, 1, 2])
            let back = network.run(atMost: .seconds(2)) { network in
                network.all(see: 9, as: .alive)
                    && network.members.values.allSatisfy {
                        $0.members.allSatisfy { $0.node.name != "n9" || $0.record.life.generation == Generation(generation) }
                    }
            }
            #expect(back, "generation \(generation)")
        }
    }

    @Test("who leaves is seen as gone by all within a second, and is never reported dead")
    func leaving() throws {
        var network = try cluster(10, seed: 2)
        network.input(.leave, to: 4)
        let gone = network.run(atMost: .seconds(1)) { $0.all(see: 4, as: .left) }
        #expect(gone)
        network.run(for: .seconds(1))
        #expect(network.departed.contains(SwimNetwork.address(4)))
        network.kill(4)
        network.run(for: .seconds(10))
        #expect(network.reports.isEmpty)
        #expect(network.all(see: 4, as: .left))
    }

    @Test("no datagram outgrows its bound, and an idle member sends few")
    func sizes() throws {
        var network = try cluster(60, seed: 11)
        #expect(network.largestWeight <= Limits.datagramBytes)
        network.run(for: .seconds(20))
        let before = network.messages
        network.run(for: .seconds(20))
        // A ping and an ack per period are eight a second; exchanges come on top.
        #expect(network.messages - before < 60 * 20 * 10)
    }

    @Test("the newest routing revision is known to all within two seconds")
    func revisions() throws {
        var network = try cluster(20, seed: 12)
        network.input(.revisionApplied(Revision(history: 1, index: 77)), to: 3)
        let spread = network.run(atMost: .seconds(15)) { network in
            network.members.values.allSatisfy { $0.newestRevision == Revision(history: 1, index: 77) }
        }
        #expect(spread)
    }

    @Test("one seed gives one history")
    func deterministic() throws {
        var a = try cluster(10, seed: 21)
        var b = try cluster(10, seed: 21)
        a.kill(3)
        b.kill(3)
        a.run(for: .seconds(5))
        b.run(for: .seconds(5))
        #expect(a.members == b.members)
        #expect(a.messages == b.messages)
    }
}
