// Known bugs that show only when several rare things meet: a group is driven into each by hand. Each story begins with a group that m0
// leads, and when it is over what clients were told is judged (see `Scenario`).

import Consensus
import Model
import SimulationKit

enum GroupScenarios {
    // MARK: - Reads (CONSENSUS E31)

    /// A leader that others have replaced, and that has not heard so, is asked.
    static func deposedLeaderReads(_ group: inout HandDrivenGroup) throws(Violation) {
        try group.commit(at: 0)
        group.isolate(0)
        try group.elect(1)
        try group.commit(at: 1)
        try group.get(at: 0)
        try group.settle()
    }

    /// A deposed leader is asked while the answers to an earlier read's round are still on their way.
    static func readDuringRound(_ group: inout HandDrivenGroup) throws(Violation) {
        try group.commit(at: 0)
        group.hold { message, _ in if case .heartbeatAnswer = message { true } else { false } }
        try group.get(at: 0)
        try group.settle()
        group.isolate(0)
        try group.elect(1)
        try group.commit(at: 1)
        try group.get(at: 0)
        try group.release()
    }

    /// A follower has given a question up, and has asked another, when the answer to the first one comes.
    static func lateReadAnswer(_ group: inout HandDrivenGroup) throws(Violation) {
        try group.commit(at: 0)
        group.hold { message, _ in if case .readAnswer = message { true } else { false } }
        try group.get(at: 2)
        try group.settle()
        try group.pass(.milliseconds(400), at: 0)
        try group.settle()
        try group.pass(.milliseconds(150), at: 2)
        group.cut(0, 2)
        try group.commit(at: 0)
        group.heal()
        try group.get(at: 2)
        try group.release()
    }

    // MARK: - Logs (CONSENSUS A4, C23)

    /// A leader's own entries are cut while they are on their way to its disk. It leads again before others stand there.
    static func writeOutlivesEntries(_ group: inout HandDrivenGroup) throws(Violation) {
        group.isolate(0)
        group.stallDisk(of: 0)
        // The first write is under way; the others go together when it is done.
        for _ in 0..<5 { try group.put(at: 0) }
        try group.finishOneJob(of: 0)
        group.heal()
        try group.elect(1)
        try group.resumeDisk(of: 0)

        group.hold { message, _ in if case .voteAnswer = message { true } else { false } }
        try group.campaign(0)
        try group.settle()
        group.stallDisk(of: 0)
        group.cut(0, 2)
        try group.release()
        try group.resumeDisk(of: 0)
        try group.demandProgress()
    }

    /// A member with a tail of its own is sent a snapshot that ends in the midst of it, and dies.
    static func snapshotWithinTail(_ group: inout HandDrivenGroup) throws(Violation) {
        group.isolate(0)
        for _ in 0..<8 { try group.put(at: 0) }
        try group.settle()
        try group.elect(1)
        for _ in 0..<2 {
            try group.commit(at: 1)
        }
        group.heal()
        try group.pass(.milliseconds(200), at: 1)
        try group.settle()
        let raft = group.raft(0)
        try group.stage(
            raft.map { $0.snapshot.id.index > .zero && $0.log.last == $0.snapshot.id } == true,
            "the snapshot takes the tail's place")
        group.kill(0)
        try group.start(0)
        try group.demandProgress()
    }

    /// As before, but it dies when the snapshot is durable, and the record is not that makes its tail void. What it then acknowledges is
    /// behind that tail on its disk, and another start later it has to be the one who remembers.
    static func deathBehindSnapshot(_ group: inout HandDrivenGroup) throws(Violation) {
        group.isolate(0)
        for _ in 0..<8 { try group.put(at: 0) }
        try group.settle()
        try group.elect(1)
        for _ in 0..<2 { try group.commit(at: 1) }
        group.heal()
        group.stallDisk(of: 0)
        try group.pass(.milliseconds(200), at: 1)
        try group.settle()
        try group.kill(0) { step in if case .rename("snapshot.tmp", _) = step { true } else { false } }
        try group.start(0)
        try group.resumeDisk(of: 0)
        let raft = group.raft(0)
        try group.stage(
            raft.map { $0.snapshot.id.index > .zero && $0.log.last == $0.snapshot.id } == true,
            "the snapshot takes the tail's place")
        group.isolate(2)
        // Heartbeats, by which its leader hears that it is back.
        for _ in 0..<3 {
            try group.pass(.milliseconds(200), at: 1)
            try group.settle()
        }
        try group.commit(at: 1)
        try group.stage(group.lastIsAnswered, "it acknowledges what follows")
        group.kill(0)
        try group.start(0)
        group.kill(1)
        try group.demandProgress()
    }

    // MARK: - Members (Raft §6; CONSENSUS D26, D27)

    /// A change that reached nobody is cut by the next leader.
    static func changeIsCut(_ group: inout HandDrivenGroup) throws(Violation) {
        group.isolate(0)
        try group.order(.shrink(seed: 2), at: 0)
        try group.settle()
        try group.elect(1)
        group.heal()
        try group.pass(.milliseconds(200), at: 1)
        try group.settle()
        try group.demandProgress()
    }

    /// Two of five are to go, and the entry before the change is committed without the change. The leader and one other are most of
    /// those who stay; the three others know only of five.
    static func halfCommittedChange(_ group: inout HandDrivenGroup) throws(Violation) {
        try group.put(at: 0)
        guard let leader = group.raft(0) else { return }
        let voters = leader.configuration.voters
        group.cut(0, 3)
        group.cut(0, 4)
        // Those behind learn of the entry, and not of the change.
        let before = leader.log.last.index
        group.hold { message, to in
            guard case .append(let append) = message, to != 1 else { return false }
            return append.previous.index >= before
        }
        try group.change([.remove(voters[3]), .remove(voters[4])], at: 0)
        try group.settle()
        group.isolate(0)
        group.isolate(1)
        try group.elect(2)
        try group.demandProgress()
    }

    /// Only the member that is to go has the entry that says so, and the leader is gone: nobody who stays can be elected.
    static func leaverHasLongestLog(_ group: inout HandDrivenGroup) throws(Violation) {
        group.hold { message, to in if case .appendAnswer = message { to == 0 } else { false } }
        try group.order(.shrink(seed: 3), at: 0)
        try group.settle()
        group.cut(0, 1)
        group.cut(0, 2)
        try group.release()
        group.kill(0)
        try group.demandProgress()
    }

    /// A learner is made a voter, does not hear so, and its vote is needed.
    static func learnerHasVote(_ group: inout HandDrivenGroup) throws(Violation) {
        try group.order(.demote(seed: 2), at: 0)
        try group.settle()
        group.cut(0, 2)
        try group.order(.grow(seed: 0), at: 0)
        try group.settle()
        group.kill(0)
        try group.demandProgress()
    }

    // MARK: - Elections (CONSENSUS B14, B15)

    /// The longest log on an older term, and a newer term with a shorter log.
    static func termSkew(_ group: inout HandDrivenGroup) throws(Violation) {
        group.hold { message, _ in if case .preVoteAnswer = message { true } else { false } }
        group.cut(0, 2)
        try group.campaign(2)
        try group.settle()
        try group.commit(at: 0)
        group.isolate(2)
        try group.release()
        group.kill(0)
        try group.demandProgress()
    }

    /// Leadership is to go to a member that has just died.
    static func successorDies(_ group: inout HandDrivenGroup) throws(Violation) {
        group.kill(2)
        try group.order(.transfer(seed: 2), at: 0)
        try group.demandProgress()
    }
}
