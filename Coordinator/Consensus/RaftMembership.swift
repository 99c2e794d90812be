// Changes of members (Raft §6; thesis §4). A configuration is in force as soon as it stands in the log, committed or not, and goes
// when its entry is cut. Voters change through a joint configuration, in which both the old and the new ones must agree; the leader
// leaves it by a second entry when the first is committed. So any number of members can change at once, and no two quorums that
// could decide without each other are ever in force.
//
// Refused: changes of one voter at a time without a joint phase. They are safe only if nothing else is ever forgotten (raft-dev,
// July 2015), and replacing a member would pass through a group that tolerates less.

package import Model

extension Raft {
    /// Begins a change of members at the leader. It is in force at once, committed when the entry of this name is, and done when the
    /// configuration is no longer joint.
    ///
    /// A leader that removes or demotes itself leads until the change is committed, then hands over and follows.
    /// - Returns: the entry that carries the new configuration.
    /// - Throws: see `Refusal`. Nothing has changed then.
    package mutating func change(_ changes: [MemberChange], at now: LogicalInstant) throws(Refusal) -> EntryID {
        guard isLeader else { throw .notLeader(leader) }
        guard !isTransferring else { throw .transferring }
        guard !isChangeUnderWay else { throw .changeUnderWay }
        guard hasCommittedInTerm else { throw .notCommittedInTerm }
        let next = try configuration.changed(by: changes)
        for case .promote(let member) in changes {
            if let behind = shortfall(of: member, at: now) { throw .notCaughtUp(member, behind: behind) }
        }
        return appendAsLeader(.configuration(mutated(.changesAtOnce) ? next.settled : next))
    }

    /// Whether the configuration in force is joint or not yet committed.
    package var isChangeUnderWay: Bool { configuration.isJoint || log.configurationIndex > log.commit }

    /// By how many entries a member is too far behind to vote; nil when it keeps up. One that has never answered, or not lately, does
    /// not, however short the log is.
    private func shortfall(of member: MemberID, at now: LogicalInstant) -> UInt64? {
        guard let progress = leadership?.progress[member] else { return log.last.index.number }
        let behind = log.last.index.number - progress.match.number
        let keepsUp =
            progress.isReplicating && progress.hasAnswered(since: now - settings.electionTimeout)
            && behind <= settings.promotionEntries
        return keepsUp ? nil : behind
    }

    /// Knows of new members as soon as their configuration is appended. Those that leave are sent the entry that says so: they go
    /// when it is committed.
    mutating func track(_ configuration: MemberConfiguration, appendedAt index: LogIndex) {
        for member in configuration.members where member != id && leadership?.progress[member] == nil {
            leadership?.progress[member] = Progress(next: index)
        }
    }

    /// Goes on with a change whose configuration has just been committed.
    mutating func continueChange(at now: LogicalInstant) {
        guard isLeader, log.configurationIndex <= log.commit || mutated(.leavesJointEarly) else { return }
        guard !configuration.isJoint else {
            _ = appendAsLeader(.configuration(configuration.settled))
            return
        }
        guard configuration.voters.contains(id) else {
            // All that was accepted is committed: nothing is after the entry that ends this member's leadership.
            sendHeartbeats(at: now)
            return resign(at: now)
        }
        let members = configuration.members
        for peer in (leadership?.progress.keys.sorted() ?? []) where !members.contains(peer) {
            if let progress = leadership?.progress.removeValue(forKey: peer) { sendHeartbeat(to: peer, progress) }
            leadership?.outgoing[peer] = nil
        }
    }
}
