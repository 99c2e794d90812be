import Consensus
import Model

/// What a conversation shows of a member; the lines that it prints are the differences between two views.
struct RaftView {
    private let term: Term
    private let vote: MemberID?
    private let role: String
    private let base: EntryID
    private let entries: [Entry]
    private let configuration: MemberConfiguration

    init(_ raft: Raft) {
        term = raft.term
        vote = raft.hardState.vote
        role =
            switch raft.role {
            case .follower(let leader?): "follows \(leader)"
            case .follower(nil): "follows nobody"
            case .preCandidate: "becomes pre-candidate"
            case .candidate: "becomes candidate"
            case .leader: "becomes leader"
            }
        base = raft.log.base
        entries = raft.log.entries
        configuration = raft.configuration
    }

    /// What has changed since `old`, in words.
    func changes(since old: RaftView) -> [String] {
        var changes: [String] = []
        if term != old.term { changes.append("enters \(term)") }
        if role != old.role { changes.append(role) }
        if let vote, vote != old.vote || term != old.term { changes.append("votes for \(vote)") }
        // What was compacted away, or is stood for by a snapshot, was not cut.
        let (before, after) = (old.entries.filter { $0.id.index > base.index }, entries)
        let same = zip(before, after).prefix { $0 == $1 }.count
        for entry in before.dropFirst(same) { changes.append("cuts \(entry.text)") }
        if base != old.base { changes.append("log begins behind \(base)") }
        for entry in after.dropFirst(same) { changes.append("appends \(entry.text)") }
        if configuration != old.configuration { changes.append("goes by \(configuration.text)") }
        return changes
    }
}
