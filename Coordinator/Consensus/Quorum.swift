/// Majority arithmetic over one set of voters, in one place because it is easy to get wrong by one.
package enum Quorum {
    /// More than half.
    package static func size(of count: Int) -> Int { count / 2 + 1 }

    /// The greatest index that more than half of `voters` have reached.
    /// - Precondition: `voters` is not empty.
    package static func committed(_ voters: [MemberID], _ match: (MemberID) -> LogIndex) -> LogIndex {
        precondition(!voters.isEmpty, "an empty set of voters has no quorum")
        let descending = voters.map(match).sorted(by: >)
        return descending[size(of: voters.count) - 1]
    }

    /// How a vote among `voters` stands; answers of anybody else count for nothing.
    package static func outcome(_ voters: [MemberID], _ answers: [MemberID: Bool]) -> VoteOutcome {
        let yes = voters.count { answers[$0] == true }
        let no = voters.count { answers[$0] == false }
        if yes >= size(of: voters.count) { return .won }
        return voters.count - no < size(of: voters.count) ? .lost : .pending
    }
}

package enum VoteOutcome: Hashable, Sendable { case pending, won, lost }
