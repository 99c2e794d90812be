// Known bugs that seeds hardly bring out, because our own leader never sends what would, or because a crash must come between two
// records of one write: a conversation with one follower shows each.

package import Consensus
import Model
package import SimulationKit

package enum Scenarios {
    package static func run(_ settings: RaftSettings) throws(Violation) {
        try shortAppend(settings)
        try tornWrite(settings)
    }

    private static func entry(_ term: UInt64, _ index: UInt64) -> Entry {
        Entry(id: EntryID(term: Term(term), index: LogIndex(index)), content: .leaderStarted)
    }

    /// One of three, with three entries of the first term.
    private static func follower(_ settings: RaftSettings) throws(Violation) -> (raft: Raft, leader: MemberID) {
        let members = ["a", "b", "c"].compactMap { try? MemberID(text: $0) }
        guard members.count == 3, let configuration = try? MemberConfiguration(voters: members) else {
            throw Violation("three members are a group")
        }
        let raft = Raft(
            id: members[0], settings: settings, hardState: HardState(term: Term(1)), snapshot: .founding(configuration),
            entries: [entry(1, 1), entry(1, 2), entry(1, 3)], seed: 1, at: .origin)
        return (raft, members[1])
    }

    /// An append that ends before the follower's log, with a commit index behind its end. Our leader finds the exact place where logs
    /// part before it sends entries, so its first append cuts what another leader left behind; one that goes back further does not.
    private static func shortAppend(_ settings: RaftSettings) throws(Violation) {
        var (raft, leader) = try follower(settings)
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
    private static func tornWrite(_ settings: RaftSettings) throws(Violation) {
        var (raft, leader) = try follower(settings)
        let append = Append(term: Term(2), previous: entry(1, 1).id, entries: [entry(2, 2)], commit: LogIndex(2))
        raft.step(.received(.append(append), from: leader), at: .origin)
        guard let write = raft.takeReady(at: .origin)?.persist, write.hardState.commit < LogIndex(2) else {
            throw Violation("a write says that the entry is committed which it is to replace")
        }
    }
}
