import Consensus
import ConsensusKit
import Model

/// What Raft promises whatever happens (Raft figure 3). A conversation that breaks one is never a conversation to be kept.
struct RaftPromises {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    private var leaders: [Term: MemberID] = [:]
    private var applied: [LogIndex: Entry] = [:]

    /// A member has handed a committed entry to its state machine.
    mutating func check(_ entry: Entry, appliedBy member: MemberID) throws(Broken) {
        if let other = applied[entry.id.index], other != entry {
            throw Broken(description: "state machine safety: \(member) applies \(entry.text), another applied \(other.text)")
        }
        applied[entry.id.index] = entry
    }

    /// A leader has committed an entry: it must be on the disks of a quorum.
    func check(_ entry: Entry, committedBy leader: Raft, disks: [MemberID: RaftDisk]) throws(Broken) {
        let holders = disks.filter { $0.value.holds(entry.id) }.map(\.key)
        guard leader.configuration.isQuorum(Set(holders)) else {
            throw Broken(
                description: "durability: \(leader.id) commits \(entry.text), on the disks of \(holders.sorted().text) alone")
        }
    }

    /// Election safety, leader completeness and log matching, as they stand now.
    mutating func check(_ raft: Raft, among others: [Raft]) throws(Broken) {
        if raft.isLeader {
            if let other = leaders[raft.term], other != raft.id {
                throw Broken(description: "election safety: \(raft.id) and \(other) lead \(raft.term)")
            }
            if leaders[raft.term] == nil {
                for (index, entry) in applied where index > raft.log.base.index && !raft.log.holds(entry.id) {
                    throw Broken(description: "leader completeness: \(raft.id) leads \(raft.term) without \(entry.text)")
                }
            }
            leaders[raft.term] = raft.id
        }
        for other in others where other.id != raft.id {
            var matched = false
            var index = min(raft.log.last.index, other.log.last.index)
            while index > max(raft.log.base.index, other.log.base.index) {
                let same = raft.log.term(at: index) == other.log.term(at: index)
                guard same || !matched else {
                    throw Broken(description: "log matching: \(raft.id) and \(other.id) differ at \(index) and agree behind it")
                }
                matched = matched || same
                index = index.previous
            }
        }
    }
}
