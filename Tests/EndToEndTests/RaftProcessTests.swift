import Foundation
import SimulationKit
import Testing

/// The coordinator group as real processes, each story under load; afterwards the history must have an order in which one register
/// would have answered the same, and no write may have gone unanswered.
@Suite(.serialized, .enabled(if: Programs.areBuilt))
struct RaftProcessTests {
    /// `make test-long` takes its time.
    private static let isLong = ProcessInfo.processInfo.environment["LONG"] == "1"

    private func underLoad(_ group: CoordinatorGroup, _ story: () async throws -> Void) async throws {
        let (calls, unanswered) = try await RegisterLoad.during(group, story)
        #expect(calls.count > 20, "the load did next to nothing")
        #expect(unanswered.isEmpty)
        #expect(Linearizability.check(calls) == .linearizable)
    }

    @Test(
        "a leader that is killed is followed by another, and nothing that was acknowledged is lost",
        arguments: [isLong ? 10 : 2])
    func killedLeader(times: Int) async throws {
        try await CoordinatorGroup.run { group in
            try await underLoad(group) {
                for _ in 0..<times {
                    let leader = try await group.leader()
                    try group.kill(leader)
                    try await group.waitFor("another leader") { $0["leader"]?.string != leader }
                    try group.start(leader)
                    try await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    @Test("a leader that stands still and goes on serves nothing stale", arguments: isLong ? [1, 2, 5, 10, 30] : [2])
    func pausedLeader(seconds: Int) async throws {
        try await CoordinatorGroup.run { group in
            try await underLoad(group) {
                let leader = try await group.leader()
                try await group.pause(leader, for: .seconds(seconds))
                try await Task.sleep(for: .seconds(2))
            }
        }
    }

    @Test("a leader that is told to stop hands over first: the next one leads within a fraction of an election time-out")
    func stoppedLeader() async throws {
        try await CoordinatorGroup.run { group in
            try await underLoad(group) {
                let leader = try await group.leader()
                let process = try group.process(leader)
                process.terminate()
                try await group.waitFor("another leader") { $0["leader"]?.string != leader }
                try await expectEventually("\(leader) ends", within: 10) { !process.isRunning }
                #expect(process.waitForStatus() == 0)
                try group.start(leader)
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    @Test("a member whose disk was wiped takes its place again by itself, as another store")
    func wipedMember() async throws {
        try await CoordinatorGroup.run { group in
            try await underLoad(group) {
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
                try await Task.sleep(for: .seconds(1))
                try group.start(third)
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    @Test("three members become five and three again by coxctl, and no write fails")
    func growth() async throws {
        try await CoordinatorGroup.run { group in
            try await underLoad(group) {
                for name in ["c4", "c5"] {
                    try await group.add(name)
                    try await group.raft("promote", name)
                }
                try await group.waitFor("five voters") { CoordinatorGroup.voters($0).count == 5 }
                // A member that stands in nobody's file leads.
                try await group.raft("transfer", "c5")
                #expect(try await group.leader() == "c5")
                // With one down, those who leave are needed to decide that they do.
                try group.kill("c1")
                for name in ["c5", "c4"] {
                    try await group.raft("remove", name)
                    try group.forget(name)
                }
                try group.start("c1")
                try await group.waitFor("three voters") { CoordinatorGroup.voters($0) == ["c1", "c2", "c3"] }
            }
        }
    }
}
