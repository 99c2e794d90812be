// How members come and go: a store that does not vote asks to be taken in, the leader takes it in and lets it replace the old one of
// its node; and the errands of an operator.

import Consensus
import Model
import SimulationKit

extension RaftProcess {
    /// Asks everybody, for nobody here knows who leads; again until this store votes.
    mutating func knock(at now: LogicalInstant, _ effects: inout Effects<GroupMessage>) {
        knockAt = now + .milliseconds(700)
        guard id.store != nil, !raft.configuration.hasVoter(id) else { return }
        for host in ledger.members.indices where host != self.host { effects.send(.knock(id), to: host) }
    }

    /// A leader takes a new store in as a learner; when it keeps up, it votes in the place of the old store of its node.
    mutating func take(in member: MemberID, at now: LogicalInstant) {
        guard raft.isLeader else { return }
        let configuration = raft.configuration
        let older = configuration.members.filter { $0.node == member.node && $0 != member }
        if !configuration.members.contains(member) {
            change([.addLearner(member)], at: now)
        } else if configuration.learners.contains(member) {
            change(older.map(MemberChange.remove) + [.promote(member)], at: now)
        }
    }

    mutating func run(_ errand: Errand, at now: LogicalInstant) {
        guard raft.isLeader else { return }
        let configuration = raft.configuration
        switch errand {
        case .transfer(let seed):
            let voters = configuration.voters
            try? raft.transferLeadership(to: voters[Int(seed % UInt64(voters.count))], at: now)
        case .shrink(let seed):
            let members = configuration.members
            change([.remove(members[Int(seed % UInt64(members.count))])], at: now)
        case .demote(let seed):
            change([.demote(configuration.voters[Int(seed % UInt64(configuration.voters.count))])], at: now)
        case .grow(let seed):
            let strangers = ledger.members.filter { !configuration.members.contains($0) }
            let candidates = configuration.learners + strangers
            guard !candidates.isEmpty else { return }
            let chosen = candidates[Int(seed % UInt64(candidates.count))]
            change([configuration.learners.contains(chosen) ? .promote(chosen) : .addLearner(chosen)], at: now)
        case .exchange(let seed):
            guard !configuration.learners.isEmpty else { return }
            let learner = configuration.learners[Int((seed >> 8) % UInt64(configuration.learners.count))]
            let voter = configuration.voters[Int(seed % UInt64(configuration.voters.count))]
            change([.promote(learner), .demote(voter)], at: now)
        }
    }

    /// No operator in his senses leaves the group with voters of which too many are known to be lost.
    private mutating func change(_ changes: [MemberChange], at now: LogicalInstant) {
        guard !raft.isChangeUnderWay, let next = try? raft.configuration.changed(by: changes), ledger.tolerates(next.voters)
        else { return }
        _ = try? raft.change(changes, at: now)
    }
}
