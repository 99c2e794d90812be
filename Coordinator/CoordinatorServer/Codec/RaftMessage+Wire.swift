package import Consensus
import FoundationEssentials
import Model
package import Wire

extension Consensus.Message: WireCodable {
    package init(wire: ProtoRaftMessage) throws(WireError) {
        switch try Check.present(wire.message, "RaftMessage.message") {
        case .preVoteRequest(let request): self = .preVoteRequest(try VoteRequest(wire: request))
        case .preVoteAnswer(let answer): self = .preVoteAnswer(try VoteAnswer(wire: answer))
        case .voteRequest(let request): self = .voteRequest(try VoteRequest(wire: request))
        case .voteAnswer(let answer): self = .voteAnswer(try VoteAnswer(wire: answer))
        case .append(let append):
            self = .append(
                Append(
                    term: try readTerm(append.term), previous: try EntryID(wire: append.previous),
                    entries: try Check.list(append.entries, "Append.entries", Consensus.Entry.init(wire:)),
                    commit: try readIndex(append.commit)))
        case .appendAnswer(let answer):
            self = .appendAnswer(AppendAnswer(term: try readTerm(answer.term), outcome: try readOutcome(of: answer)))
        case .heartbeat(let beat):
            self = .heartbeat(
                Heartbeat(
                    term: try readTerm(beat.term), commit: try readIndex(beat.commit),
                    round: try Check.counter(beat.round, "Heartbeat.round")))
        case .heartbeatAnswer(let answer):
            self = .heartbeatAnswer(
                HeartbeatAnswer(
                    term: try readTerm(answer.term), round: try Check.counter(answer.round, "HeartbeatAnswer.round")))
        case .snapshotChunk(let chunk):
            self = .snapshotChunk(
                SnapshotChunk(
                    term: try readTerm(chunk.term), snapshot: try EntryID(wire: chunk.snapshot),
                    configuration: try MemberConfiguration(wire: chunk.configuration),
                    configurationIndex: try readIndex(chunk.configurationIndex),
                    totalBytes: try readByteCount(chunk.totalBytes), checksum: chunk.checksum,
                    offset: try readByteCount(chunk.offset),
                    bytes: try Check.bytes(chunk.bytes, "SnapshotChunk.bytes", atMost: Limits.frameBytes)))
        case .snapshotAnswer(let answer):
            self = .snapshotAnswer(
                SnapshotAnswer(
                    term: try readTerm(answer.term), snapshot: try EntryID(wire: answer.snapshot),
                    nextOffset: try readByteCount(answer.nextOffset)))
        case .timeoutNow(let word): self = .timeoutNow(TimeoutNow(term: try readTerm(word.term)))
        case .readRequest(let request):
            self = .readRequest(
                ReadRequest(term: try readTerm(request.term), number: try Check.counter(request.number, "ReadRequest.number")))
        case .readAnswer(let answer):
            self = .readAnswer(
                ReadAnswer(
                    term: try readTerm(answer.term), number: try Check.counter(answer.number, "ReadAnswer.number"),
                    index: try readIndex(answer.index)))
        }
    }

    package var wire: ProtoRaftMessage {
        var wire = ProtoRaftMessage()
        switch self {
        case .preVoteRequest(let request): wire.preVoteRequest = request.wire
        case .preVoteAnswer(let answer): wire.preVoteAnswer = answer.wire
        case .voteRequest(let request): wire.voteRequest = request.wire
        case .voteAnswer(let answer): wire.voteAnswer = answer.wire
        case .append(let append):
            wire.append.term = append.term.number
            wire.append.previous = append.previous.wire
            wire.append.entries = append.entries.map(\.wire)
            wire.append.commit = append.commit.number
        case .appendAnswer(let answer):
            wire.appendAnswer.term = answer.term.number
            switch answer.outcome {
            case .matched(let index): wire.appendAnswer.matched = index.number
            case .rejected(let index, let hint):
                wire.appendAnswer.rejected.at = index.number
                wire.appendAnswer.rejected.hint = hint.wire
            case .staleTerm: wire.appendAnswer.staleTerm = true
            }
        case .heartbeat(let beat):
            wire.heartbeat.term = beat.term.number
            wire.heartbeat.commit = beat.commit.number
            wire.heartbeat.round = beat.round
        case .heartbeatAnswer(let answer):
            wire.heartbeatAnswer.term = answer.term.number
            wire.heartbeatAnswer.round = answer.round
        case .snapshotChunk(let chunk):
            wire.snapshotChunk.term = chunk.term.number
            wire.snapshotChunk.snapshot = chunk.snapshot.wire
            wire.snapshotChunk.configuration = chunk.configuration.wire
            wire.snapshotChunk.configurationIndex = chunk.configurationIndex.number
            wire.snapshotChunk.totalBytes = UInt64(chunk.totalBytes)
            wire.snapshotChunk.checksum = chunk.checksum
            wire.snapshotChunk.offset = UInt64(chunk.offset)
            wire.snapshotChunk.bytes = Data(chunk.bytes)
        case .snapshotAnswer(let answer):
            wire.snapshotAnswer.term = answer.term.number
            wire.snapshotAnswer.snapshot = answer.snapshot.wire
            wire.snapshotAnswer.nextOffset = UInt64(answer.nextOffset)
        case .timeoutNow(let word): wire.timeoutNow.term = word.term.number
        case .readRequest(let request):
            wire.readRequest.term = request.term.number
            wire.readRequest.number = request.number
        case .readAnswer(let answer):
            wire.readAnswer.term = answer.term.number
            wire.readAnswer.number = answer.number
            wire.readAnswer.index = answer.index.number
        }
        return wire
    }
}

private func readTerm(_ number: UInt64) throws(WireError) -> Term { Term(try Check.counter(number, "RaftMessage.term")) }

private func readIndex(_ number: UInt64) throws(WireError) -> LogIndex {
    LogIndex(try Check.counter(number, "RaftMessage.index"))
}

/// A size or a place in a snapshot; far below what would overflow when two are added.
private func readByteCount(_ number: UInt64) throws(WireError) -> Int {
    guard number <= 1 << 40 else { throw WireError("SnapshotChunk.offset", .invalid("\(number) is out of range")) }
    return Int(number)
}

private func readOutcome(of answer: ProtoRaftMessage.AppendAnswer) throws(WireError) -> AppendAnswer.Outcome {
    switch try Check.present(answer.outcome, "AppendAnswer.outcome") {
    case .matched(let number): return .matched(try readIndex(number))
    case .rejected(let rejection): return .rejected(at: try readIndex(rejection.at), hint: try EntryID(wire: rejection.hint))
    case .staleTerm(let marker):
        try Check.marker(marker, "AppendAnswer.stale_term")
        return .staleTerm
    }
}
