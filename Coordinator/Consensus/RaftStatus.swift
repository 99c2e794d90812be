// What a member knows of itself and its group, for people and for the shell.

package import Model

/// One member as its leader sees it.
package struct MemberStatus: Hashable, Sendable {
    package enum Part: String, Hashable, Sendable {
        case voter, learner
        /// A voter before the change under way, and none after it.
        case outgoing
    }

    package let id: MemberID
    package let part: Part
    /// What is known to be on its disk; nil when this member does not lead.
    package let match: LogIndex?
    /// `leader` for itself; `probe`, `replicate` or `snapshot`; nil when this member does not lead.
    package let mode: String?
    /// Whether it answered within an election time-out; nil when this member does not lead.
    package let isActive: Bool?
}

extension Raft {
    package var roleName: String {
        switch role {
        case .leader: "leader"
        case .follower: configuration.learners.contains(id) ? "learner" : "follower"
        case .preCandidate: "pre-candidate"
        case .candidate: "candidate"
        }
    }

    /// Whether this member belongs to the group, as far as it knows.
    package var isMember: Bool { configuration.members.contains(id) }

    /// How many of each thing there are that is under way; none of them when nothing is.
    package var holdings: [(what: String, count: Int)] {
        [
            ("waiting reads", reads.waiting.count), ("open rounds", leadership?.openRound == nil ? 0 : 1),
            ("uncommitted bytes", leadership?.uncommittedBytes ?? 0), ("outgoing snapshots", leadership?.outgoing.count ?? 0),
            ("bytes of half a snapshot", incoming?.bytes.count ?? 0), ("transfers", leadership?.transfer == nil ? 0 : 1),
            ("writes of snapshots", snapshotWrites.count), ("writes of votes", voteWrites.count),
        ]
    }

    /// What this leader knows to be on a member's disk; nil when it does not lead.
    package func match(of member: MemberID) -> LogIndex? {
        member == id ? (isLeader ? log.stable : nil) : leadership?.progress[member]?.match
    }

    /// How this leader sends to another member; nil when it does not lead, or of itself.
    package func progress(of member: MemberID) -> Progress? { leadership?.progress[member] }

    /// Every member, sorted.
    package func members(at now: LogicalInstant) -> [MemberStatus] {
        configuration.members.map { member in
            let progress = leadership?.progress[member]
            let leads = isLeader && member == id
            return MemberStatus(
                id: member,
                part: configuration.voters.contains(member)
                    ? .voter : configuration.outgoing.contains(member) ? .outgoing : .learner,
                match: match(of: member), mode: leads ? "leader" : progress?.modeName,
                isActive: leads ? true : progress?.hasAnswered(since: now - settings.electionTimeout))
        }
    }
}
