// What can be said of a message before anybody acts on it. A peer's certificate says who it is, not that it is sane.

extension Message {
    /// Whether only the leader of `term` sends it.
    var isFromLeader: Bool {
        switch self {
        case .append, .heartbeat, .snapshotChunk, .timeoutNow: true
        case .preVoteRequest, .preVoteAnswer, .voteRequest, .voteAnswer, .appendAnswer, .heartbeatAnswer, .snapshotAnswer,
            .readRequest, .readAnswer:
            false
        }
    }
}

extension Message {
    /// Numbers beyond this come from no honest peer, and arithmetic on them could overflow.
    private static let largest: UInt64 = 1 << 62

    /// Whether the fields agree with each other; what does not is dropped.
    var isPlausible: Bool {
        guard term.number < Self.largest else { return false }
        switch self {
        case .append(let append):
            var previous = append.previous
            guard previous.index.number < Self.largest else { return false }
            for entry in append.entries {
                guard entry.id.index == previous.index.next, entry.id.term >= previous.term, entry.id.term <= append.term else {
                    return false
                }
                previous = entry.id
            }
            return previous.term <= append.term
        case .snapshotChunk(let chunk):
            return chunk.snapshot.index.number < Self.largest && chunk.snapshot.term <= chunk.term
                && chunk.configurationIndex <= chunk.snapshot.index && chunk.offset >= 0
        case .preVoteRequest, .preVoteAnswer, .voteRequest, .voteAnswer, .appendAnswer, .heartbeat, .heartbeatAnswer,
            .snapshotAnswer, .timeoutNow, .readRequest, .readAnswer:
            return true
        }
    }
}
