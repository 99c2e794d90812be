// Snapshots to followers whose entries are compacted away, in chunks, one at a time (Raft §7).

import Model

/// A snapshot that is coming in.
struct IncomingSnapshot: Sendable {
    let id: EntryID
    let configuration: MemberConfiguration
    let totalBytes: Int
    var bytes: [UInt8]
}

extension Raft {
    mutating func beginSnapshot(for peer: MemberID, _ progress: inout Progress, at now: LogicalInstant) {
        // One that was installed here a moment ago may still be on its way to the disk.
        guard progress.isActive, snapshot.id.index >= log.base.index else { return }
        progress.sendSnapshot(snapshot.id, offset: 0, at: now)
        messages.append(to: peer, .snapshotChunk(chunk(at: 0)))
    }

    private func chunk(at offset: Int) -> SnapshotChunk {
        let end = min(offset + settings.snapshotChunkBytes, snapshot.data.count)
        return SnapshotChunk(
            term: term, snapshot: snapshot.id, configuration: snapshot.configuration, totalBytes: snapshot.data.count,
            offset: offset, bytes: Array(snapshot.data[offset..<end]))
    }

    mutating func sendChunk(to peer: MemberID, offset: Int, at now: LogicalInstant) {
        guard var progress = leadership?.progress[peer], case .snapshot(let id, _, _) = progress.mode else { return }
        // A newer snapshot was taken meanwhile: the old one's bytes are gone, begin with the new one.
        let from = id == snapshot.id && offset <= snapshot.data.count ? offset : 0
        progress.sendSnapshot(snapshot.id, offset: from, at: now)
        leadership?.progress[peer] = progress
        messages.append(to: peer, .snapshotChunk(chunk(at: from)))
    }

    mutating func handle(_ answer: SnapshotAnswer, from peer: MemberID, at now: LogicalInstant) {
        guard isLeader, let progress = leadership?.progress[peer] else { return }
        leadership?.progress[peer]?.isActive = true
        guard case .snapshot(let id, _, _) = progress.mode, id == answer.snapshot, answer.nextOffset >= 0 else { return }
        // All of it is there: the answer to the last chunk is an acknowledgement, when the snapshot is on disk.
        guard answer.nextOffset < snapshot.data.count || id != snapshot.id else { return }
        sendChunk(to: peer, offset: answer.nextOffset, at: now)
    }

    mutating func handle(_ chunk: SnapshotChunk, from leader: MemberID) {
        if chunk.snapshot.index <= log.commit {
            incoming = nil
            return answers.append(
                to: leader, .appendAnswer(AppendAnswer(term: term, outcome: .matched(chunk.snapshot.index))))
        }
        guard chunk.totalBytes >= 0, chunk.totalBytes <= settings.snapshotBytes else { return }
        if incoming?.id != chunk.snapshot || incoming?.totalBytes != chunk.totalBytes {
            incoming = IncomingSnapshot(
                id: chunk.snapshot, configuration: chunk.configuration, totalBytes: chunk.totalBytes, bytes: [])
        }
        guard var snapshot = incoming else { return }
        if chunk.offset == snapshot.bytes.count, chunk.bytes.count <= snapshot.totalBytes - snapshot.bytes.count {
            snapshot.bytes += chunk.bytes
        }
        incoming = snapshot
        guard snapshot.bytes.count == snapshot.totalBytes else {
            let answer = SnapshotAnswer(term: term, snapshot: snapshot.id, nextOffset: snapshot.bytes.count)
            return answers.append(to: leader, .snapshotAnswer(answer))
        }
        incoming = nil
        install(Snapshot(id: snapshot.id, configuration: snapshot.configuration, data: snapshot.bytes))
        answers.append(to: leader, .appendAnswer(AppendAnswer(term: term, outcome: .matched(snapshot.id.index))))
    }

    private mutating func install(_ snapshot: Snapshot) {
        if log.holds(snapshot.id) {
            // Everything in it is here already, only not known to be committed.
            log.commit(to: snapshot.id.index)
        } else {
            log.restore(snapshot)
            freshSnapshot = snapshot
            replacesLog = true
            installing = snapshot
        }
    }
}
