// Known bugs that seeds hardly bring out: because our own leader never sends what would, because a crash must come between two records
// of one write, or because several rare things must meet. Each is told by itself, and ends in a broken promise where the bug is
// planted.

import Consensus
import Model
package import SimulationKit

/// A short story with one end: every promise holds.
package struct Scenario: Sendable {
    package let name: String
    private let story: @Sendable (PlantedBug?) throws(Violation) -> Void

    /// In the order in which they are played.
    package static let all = [
        Scenario("short append", FollowerScenarios.shortAppend),
        Scenario("torn write", FollowerScenarios.tornWrite),
        Scenario("deposed leader reads", GroupScenarios.deposedLeaderReads),
        Scenario("read during round", GroupScenarios.readDuringRound),
        Scenario("late read answer", GroupScenarios.lateReadAnswer),
        Scenario("write outlives entries", GroupScenarios.writeOutlivesEntries),
        Scenario("snapshot within tail", snapshotEvery: 4, GroupScenarios.snapshotWithinTail),
        Scenario("death behind snapshot", snapshotEvery: 4, GroupScenarios.deathBehindSnapshot),
        Scenario("change is cut", GroupScenarios.changeIsCut),
        Scenario("half-committed change", members: 5, GroupScenarios.halfCommittedChange),
        Scenario("leaver has longest log", members: 4, GroupScenarios.leaverHasLongestLog),
        Scenario("learner has vote", GroupScenarios.learnerHasVote),
        Scenario("term skew", GroupScenarios.termSkew),
        Scenario("successor dies", GroupScenarios.successorDies),
    ]

    private init(_ name: String, _ story: @escaping @Sendable (PlantedBug?) throws(Violation) -> Void) {
        self.name = name
        self.story = story
    }

    /// A story of a group: the first of its members leads, and what clients were told is judged at the end.
    private init(
        _ name: String, members: Int = 3, snapshotEvery: UInt64 = 1_000,
        _ story: @escaping @Sendable (inout HandDrivenGroup) throws(Violation) -> Void
    ) {
        self.init(name) { (bug: PlantedBug?) throws(Violation) in
            var group = try HandDrivenGroup(members: members, snapshotEvery: snapshotEvery, bug)
            try group.elect(0)
            try story(&group)
            try group.verdict()
        }
    }

    /// Plays it with a planted bug or none.
    package func play(_ bug: PlantedBug?) throws(Violation) { try story(bug) }
}

/// Conversations with one follower, by a leader that is not ours.
private enum FollowerScenarios {
    private static func entry(_ term: UInt64, _ index: UInt64) -> Entry {
        Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .leaderStarted)
    }

    /// One of three, with three entries of the first term.
    private static func follower(_ bug: PlantedBug?) throws(Violation) -> (raft: Raft, leader: MemberID) {
        let members = ["a", "b", "c"].compactMap { try? MemberID(text: $0) }
        guard members.count == 3, let configuration = try? MemberConfiguration(voters: members) else {
            throw Violation("three members are a group")
        }
        let raft = Raft(
            id: members[0], settings: RaftRun(seed: 1, bug: bug).options.settings, hardState: HardState(term: Term(1)),
            snapshot: .founding(configuration),
            entries: [entry(1, 1), entry(1, 2), entry(1, 3)], seed: 1, at: .origin)
        return (raft, members[1])
    }

    /// An append that ends before the follower's log, with a commit index behind its end. Our leader finds the exact place where logs
    /// part before it sends entries, so its first append cuts what another leader left behind; one that goes back further does not.
    static func shortAppend(_ bug: PlantedBug?) throws(Violation) {
        var (raft, leader) = try follower(bug)
        let append = Append(term: Term(2), previous: entry(1, 1).id, entries: [entry(1, 2)], commit: LogIndex(3))
        raft.step(.received(.append(append), from: leader), at: .origin)
        guard raft.log.commit == LogIndex(2) else {
            throw Violation("a follower commits \(raft.log.commit) by an append that ends with #2")
        }
        let ready = raft.takeReady(at: .origin)
        let told = (ready?.messages ?? []) + (ready?.persist?.answers ?? [])
        let answer = Message.appendAnswer(AppendAnswer(term: Term(2), outcome: .matched(LogIndex(2))))
        guard told.map(\.message) == [answer] else {
            throw Violation("a follower answers \(told.map(\.message)) to an append that ends with #2")
        }
    }

    /// A write whose first record, with the term, arrives, and whose entries do not: what they were to replace is not committed by it.
    static func tornWrite(_ bug: PlantedBug?) throws(Violation) {
        var (raft, leader) = try follower(bug)
        let append = Append(term: Term(2), previous: entry(1, 1).id, entries: [entry(2, 2)], commit: LogIndex(2))
        raft.step(.received(.append(append), from: leader), at: .origin)
        guard let write = raft.takeReady(at: .origin)?.persist, write.hardState.commit < LogIndex(2) else {
            throw Violation("a write says that the entry is committed which it is to replace")
        }
    }
}
