import Foundation
import NIOHTTP1
import Testing

/// The coordinator group as real processes that are killed, stopped, wiped, added and removed.
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"))
struct RaftProcessTests {
    @Test(
        "members that are killed, leaders and followers, one or all, lose nothing that was acknowledged")
    func killed() async throws {
        try await GroupStory.tell(roundsWhenLong: 8) { group, load in
            let leader = try await group.leader()
            let follower = try #require(group.names.first { $0 != leader })
            for victims in [[leader], [follower], [leader, follower], group.names] {
                for name in victims { try group.kill(name) }
                if victims == [leader] { try await group.waitFor("another leader") { $0["leader"]?.string != leader } }
                if victims.count == 1 { try await load.nextWrite("without \(victims)") }
                for name in victims { try group.start(name) }
                try await load.nextWrite("with \(victims) again")
            }
        }
    }

    @Test(
        "a leader whose machine is gone without a word is followed by another",
        .enabled(if: CoordinatorGroup.network == nil, "\(CoordinatorGroup.network ?? "")"))
    func lostPower() async throws {
        try await GroupStory.tell(roundsWhenLong: 5) { group, load in
            let leader = try await group.leader()
            try group.cutPower(of: leader)
            let outage = try await load.nextWrite("without \(leader)'s machine")
            print("  \(outage.inMilliseconds) ms until the next write")
            try group.restorePower(of: leader)
            try await group.waitFor("\(leader) is back") { CoordinatorGroup.isConnected(leader, in: $0) }
        }
    }

    @Test(
        "a leader, or a follower, that stands still and goes on serves nothing stale",
        arguments: GroupStory.isLong ? [1, 2, 5, 10, 30] : [2])
    func paused(seconds: Int) async throws {
        try await GroupStory.tell { group, load in
            let leader = try await group.leader()
            let follower = try #require(group.names.first { $0 != leader })
            try await group.process(leader).pause(for: .seconds(seconds))
            try await load.nextWrite("when \(leader) goes on")
            try await group.process(follower).pause(for: .seconds(seconds))
            try await load.nextWrite("when \(follower) goes on")
            try await load.letItRun(for: .seconds(1))
        }
    }

    @Test(
        "a leader that is told to stop hands over first, and ends within seconds although its clients keep their connections")
    func stopped() async throws {
        try await GroupStory.tell(roundsWhenLong: 5) { group, load in
            let leader = try await group.leader()
            let process = try group.process(leader)
            let sleeper = try await group.sleepingClient(of: leader)
            let told = ContinuousClock.now
            process.terminate()
            try await group.waitFor("another leader") { $0["leader"]?.string != leader }
            try await expectEventually("\(leader) ends", within: 2) { !process.isRunning }
            let span = ContinuousClock.now - told
            print("  \(leader) ended \(span.inMilliseconds) ms after it was told to")
            #expect(span < .seconds(3))
            #expect(process.waitForStatus() == 0)
            await sleeper.wakeAndClose()
            try group.start(leader)
            try await load.nextWrite("with \(leader) again")
        }
    }

    @Test("a member whose disk was wiped takes its place again by itself, as another store")
    func wiped() async throws {
        try await GroupStory.tell { group, load in
            let leader = try await group.leader()
            let name = try #require(group.names.first { $0 != leader })
            try group.kill(name)
            try group.wipe(name)
            try group.start(name)
            try await group.waitFor("\(name) votes with its new store") { view in
                let voters = CoordinatorGroup.voters(view)
                return voters.count == 3 && voters.contains { $0.hasPrefix(name + "/") }
                    && view["change_under_way"] == .boolean(false)
            }
            // It counts: with another one down, it and the leader are a quorum.
            let third = try #require(group.names.first { $0 != leader && $0 != name })
            try group.kill(third)
            try await load.nextWrite("by \(leader) and \(name)")
            try group.start(third)
            try await group.waitFor("\(third) is back") { CoordinatorGroup.isConnected(third, in: $0) }
        }
    }

    @Test(
        "three members become five and three again by coxctl, and no write fails", arguments: [GroupStory.isLong ? 3 : 1])
    func growth(times: Int) async throws {
        try await GroupStory.tell { group, load in
            for round in 0..<times {
                let (fourth, fifth) = ("c\(4 + 2 * round)", "c\(5 + 2 * round)")
                for name in [fourth, fifth] {
                    try await group.add(name)
                    try await group.raft("promote", name)
                }
                try await group.waitFor("five voters") { CoordinatorGroup.voters($0).count == 5 }
                // A member that stands in nobody's file leads.
                try await group.raft("transfer", fifth)
                #expect(try await group.leader() == fifth)
                // Told to one that does not lead, it reaches the one that does.
                try await group.raft("transfer", fourth, asking: "c1")
                #expect(try await group.raft("status", asking: "c1").contains("leader=\(fourth)"))
                // With one down, those who leave are needed to decide that they do.
                try group.kill("c1")
                try await load.nextWrite("without c1")
                for name in [fifth, fourth] {
                    try await group.raft("remove", name, asking: "c2")
                    try group.forget(name)
                }
                try group.start("c1")
                try await group.waitFor("three voters") { CoordinatorGroup.voters($0) == ["c1", "c2", "c3"] }
            }
        }
    }
}
