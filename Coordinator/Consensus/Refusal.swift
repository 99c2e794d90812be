package import Model

extension Raft {
    /// Why a proposal, a change of members or a transfer was not taken. Nothing was appended and nothing has changed.
    package enum Refusal: Error, Hashable, Sendable {
        /// Ask there, if one is known.
        case notLeader(MemberID?)
        /// Ask again when some of it is committed.
        case tooMuchUncommitted(bytes: Int, limit: Int)
        case commandTooLarge(bytes: Int, limit: Int)
        /// Leadership is on its way to another member: ask again in a moment, there or here.
        case transferring
        /// The last change of members is not committed, or its joint configuration not left yet: ask again then.
        case changeUnderWay
        /// This leader has not committed an entry of its own term yet: until then it does not know whether the last change of members
        /// stands (raft-dev, July 2015). Ask again in a moment.
        case notCommittedInTerm
        /// As a voter it would hold up commits until it has caught up. Ask again then.
        case notCaughtUp(MemberID, behind: UInt64)
        case unknownMember(MemberID)
        case alreadyMember(MemberID)
        /// Only a voter can be demoted, or lead.
        case notVoter(MemberID)
        case noVoterLeft
        /// Two stores of one node would vote.
        case twoVotes(NodeID)
        case tooManyMembers(limit: Int)
    }
}
