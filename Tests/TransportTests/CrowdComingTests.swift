import GossipKit
import Identity
import Membership
import Model
import ProcessKit
import Testing
import Transport

/// Who comes, and who says good-bye.
@Suite(.serialized, .timeLimit(.minutes(20))) struct CrowdComingTests {
    @Test(
        "C12: members that start at once find each other through one, every time", arguments: 0..<(CrowdStory.isLong ? 20 : 3))
    func join(round: Int) async throws {
        try await GossipCrowd.with({ try GossipCrowd(ports: Ports.free(CrowdStory.size), .fast) }) { crowd in
            let time = try await crowd.gather()
            print("\(crowd.count) members know each other after \(time) s")
        }
    }

    @Test(
        "C17: who says good-bye has left for all, and is held dead by nobody; nor is half a cluster that leaves and returns at once"
    )
    func leave() async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            await crowd.leave(4)
            print("left for all after \(try await crowd.wait(for: .left, of: 4, since: start)) s")
            try crowd.start(4)
            try await crowd.wait("4 to be back") { crowd.allKnowLives(of: [4]) }

            let half = crowd.everybody.filter { $0 % 2 == 1 }
            try await withThrowingTaskGroup { group in
                for member in half {
                    group.addTask {
                        await crowd.leave(member)
                        try crowd.start(member)
                    }
                }
                try await group.waitForAll()
            }
            try await crowd.wait("half of them to be back") { crowd.allKnowLives(of: half) }
            try await crowd.waitUntilWhole()
            try await crowd.goesOn(probes: 8)
            #expect(crowd.sightings.falseVerdicts(since: start) == [])
            #expect(crowd.sightings.isWhole(crowd.everybody))
        }
    }

    @Test("C24: two clusters under one key that call each other, and have an address after each other, stay two")
    func neighbours() async throws {
        let keys = try GossipKeyring.generate()
        let ports = Ports.free(21)
        func crowd(_ name: String, _ ports: [Int], _ digit: String, calling others: [RosterEntry] = []) throws -> GossipCrowd {
            let cluster = try ClusterID(String(repeating: digit, count: 32))
            return try GossipCrowd(ports: ports, .fast, name: name, keys: keys, cluster: cluster, calling: others)
        }
        let first = try crowd("a", Array(ports[..<11]), "1")
        // The last of the second has the address of the last of the first.
        let second = try crowd("b", ports[11...] + [ports[10]], "2", calling: [first.seed])
        try await GossipCrowd.with({ first }) { first in
            try await first.gather()
            try await first.goesOn(probes: 24)
            try await GossipCrowd.with({ second }) { second in
                for member in second.everybody.dropLast() { try second.start(member) }
                try await second.wait("the second to know each other") {
                    second.sightings.isWhole(second.everybody.dropLast())
                }
                let start = ContinuousClock.now
                await first.kill(10)
                try await first.wait(for: .down, of: 10, since: start)
                try second.start(10)
                try await second.wait("the second to be whole") { second.sightings.isWhole(second.everybody) }
                for (crowd, stranger) in [(first, 0), (second, 10)] {
                    try await crowd.wait("a call from the other cluster to be refused") {
                        (crowd.service(stranger)?.socketCounters?.forged ?? 0) > 2
                    }
                }
                #expect(first.sightings.all(Array(0..<10), hold: .down, of: [10]))
                for (crowd, name) in [(first, "a"), (second, "b")] {
                    for member in crowd.everybody {
                        let heard = crowd.service(member)?.members.filter { $0.heard && !$0.node.name.hasPrefix(name) } ?? []
                        #expect(heard.isEmpty)
                    }
                }
            }
        }
    }

    @Test("C25: one member is alone in peace, two judge without a third, and of three each finds the one helper every time")
    func few() async throws {
        try await GossipCrowd.with({ try GossipCrowd(ports: Ports.free(1), .fast) }) { single in
            try single.start(0)
            try await CrowdStory.tell(2) { crowd in
                let start = ContinuousClock.now
                await crowd.kill(1)
                try await crowd.wait(for: .down, of: 1, since: start)
            }
            try await CrowdStory.tell(3) { crowd in
                let start = ContinuousClock.now
                crowd.network.set { from, to in !(from == 1 && to == 2 || from == 2 && to == 1) }
                try await crowd.wait("many pings on both ways to be lost") {
                    crowd.network.dropped(from: 1, to: 2) >= 30 && crowd.network.dropped(from: 2, to: 1) >= 30
                }
                #expect(crowd.sightings.falseVerdicts(since: start) == [])
                #expect(crowd.sightings.since(start).count { $0.belief == .suspected } < 5)
            }
            let service = try #require(single.service(0))
            #expect(service.socketCounters?.sent == 0 && service.members.isEmpty && !service.isIsolated)
        }
    }
}
