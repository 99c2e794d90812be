// Raft's values as a conversation shows them: one line each, and everything in them.

import Consensus
import Model

extension EntryContent {
    var text: String {
        switch self {
        case .leaderStarted: "leader started"
        case .command(let bytes): "\"\(String(decoding: bytes, as: UTF8.self))\""
        case .configuration(let configuration): configuration.text
        }
    }
}

extension Entry {
    var text: String { "\(id) \(content.text)" }
}

extension MemberConfiguration {
    var text: String {
        var parts = ["voters=\(voters.text)"]
        if isJoint { parts.append("outgoing=\(outgoing.text)") }
        if !learners.isEmpty { parts.append("learners=\(learners.text)") }
        return parts.joined(separator: " ")
    }
}

extension [MemberID] {
    var text: String { map(\.description).joined(separator: ",") }
}

extension VoteAnswer {
    var text: String { "\(term) \(granted ? "granted" : "refused")" }
}

extension AppendAnswer {
    var text: String {
        switch outcome {
        case .matched(let index): "\(term) matched=\(index)"
        case .rejected(let at, let hint): "\(term) rejected at=\(at) hint=\(hint)"
        case .staleTerm: "\(term) stale term"
        }
    }
}

extension Append {
    var text: String {
        let entries = entries.isEmpty ? "empty" : "[" + entries.map(\.text).joined(separator: ", ") + "]"
        return "\(term) after=\(previous) \(entries) commit=\(commit)"
    }
}

extension SnapshotChunk {
    var text: String {
        "\(term) snapshot=\(snapshot) \(configuration.text) bytes=\(offset)..<\(offset + bytes.count) of \(totalBytes) "
            + "crc=\(String(checksum, radix: 16))"
    }
}

extension Message {
    /// What `kind=` names.
    var kind: String {
        switch self {
        case .preVoteRequest: "preVoteRequest"
        case .preVoteAnswer: "preVoteAnswer"
        case .voteRequest: "voteRequest"
        case .voteAnswer: "voteAnswer"
        case .append: "append"
        case .appendAnswer: "appendAnswer"
        case .heartbeat: "heartbeat"
        case .heartbeatAnswer: "heartbeatAnswer"
        case .snapshotChunk: "snapshotChunk"
        case .snapshotAnswer: "snapshotAnswer"
        case .timeoutNow: "timeoutNow"
        case .readRequest: "readRequest"
        case .readAnswer: "readAnswer"
        }
    }

    static let kinds: Set = [
        "preVoteRequest", "preVoteAnswer", "voteRequest", "voteAnswer", "append", "appendAnswer", "heartbeat",
        "heartbeatAnswer",
        "snapshotChunk", "snapshotAnswer", "timeoutNow", "readRequest", "readAnswer",
    ]

    var text: String {
        let fields =
            switch self {
            case .preVoteRequest(let request), .voteRequest(let request):
                "\(request.term) last=\(request.last)\(request.isTransfer ? " by transfer" : "")"
            case .preVoteAnswer(let answer), .voteAnswer(let answer): answer.text
            case .append(let append): append.text
            case .appendAnswer(let answer): answer.text
            case .heartbeat(let beat): "\(beat.term) commit=\(beat.commit) round=\(beat.round)"
            case .heartbeatAnswer(let answer): "\(answer.term) round=\(answer.round)"
            case .snapshotChunk(let chunk): chunk.text
            case .snapshotAnswer(let answer): "\(answer.term) snapshot=\(answer.snapshot) next=\(answer.nextOffset)"
            case .timeoutNow(let word): "\(word.term)"
            case .readRequest(let request): "\(request.term) number=\(request.number)"
            case .readAnswer(let answer): "\(answer.term) number=\(answer.number) index=\(answer.index)"
            }
        return "\(kind) \(fields)"
    }
}

extension Fault {
    var text: String {
        switch self {
        case .conflictWithCommitted(let id): "conflict with committed \(id)"
        case .commitBeyondLog(let commit, let last): "told of commit \(commit), log ends at \(last)"
        case .secondLeader(let leader, let term): "\(leader) leads \(term) too"
        case .stateDiffers(let index): "another state at \(index)"
        }
    }
}

extension Raft.Refusal {
    var text: String {
        switch self {
        case .notLeader(let leader): leader.map { "\($0) leads" } ?? "no leader is known"
        case .tooMuchUncommitted(let bytes, let limit): "\(bytes) of \(limit) bytes wait to be committed"
        case .commandTooLarge(let bytes, let limit): "\(bytes) bytes, \(limit) allowed"
        case .transferring: "leadership is being handed over"
        case .changeUnderWay: "a change is under way"
        case .notCommittedInTerm: "no entry of this term is committed yet"
        case .notCaughtUp(let member, let behind): "\(member) has not caught up, \(behind) entries behind"
        case .unknownMember(let member): "\(member) is no member"
        case .alreadyMember(let member): "\(member) is that already"
        case .notVoter(let member): "\(member) is no voter"
        case .noVoterLeft: "no voter would be left"
        case .twoVotes(let node): "\(node) would have two votes"
        case .tooManyMembers(let limit): "more than \(limit) members"
        }
    }
}

extension Progress.Mode {
    func text(_ settings: RaftSettings) -> String {
        switch self {
        case .probe(let waiting): waiting ? "probe, waiting" : "probe"
        case .replicate(let window):
            window.isFull(settings) ? "replicate, window full" : window.isEmpty ? "replicate" : "replicate, in flight"
        case .snapshot(let id, let offset, _): "snapshot \(id) from byte \(offset)"
        }
    }
}

extension Persist {
    /// What the write holds, without its answers.
    var text: String {
        var parts: [String] = []
        if hardStateChanged { parts.append("\(hardState.term) vote=\(hardState.vote?.description ?? "nobody")") }
        if let snapshot { parts.append("snapshot \(snapshot.id)") }
        if !entries.isEmpty { parts.append("[" + entries.map(\.text).joined(separator: ", ") + "]") }
        return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }
}
