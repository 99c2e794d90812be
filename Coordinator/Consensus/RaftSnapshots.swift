// Snapshots to followers whose entries are compacted away, in chunks, one at a time (Raft §7).
//
// A receiver keeps what it has of a snapshot through lost links and new leaders, and says where to go on; it starts anew only when
// the snapshot is another one. Nothing is installed whose checksum differs from that of the sender.

import Model

/// A snapshot on its way to a member.
struct OutgoingSnapshot: Sendable {
    private(set) var snapshot: Snapshot
    /// Of its bytes, CRC-32C.
    let checksum: UInt32

    init(_ snapshot: Snapshot) {
        self.snapshot = snapshot
        checksum = snapshot.contents.checksum
    }

    /// Nil when the bytes cannot be read now: the receiver asks again.
    func chunk(at offset: Int, limit: Int, term: Term) -> SnapshotChunk? {
        let end = min(offset + limit, snapshot.contents.count)
        guard let bytes = snapshot.contents.bytes(in: offset..<end), bytes.count == end - offset else { return nil }
        return SnapshotChunk(
            term: term, snapshot: snapshot.id, configuration: snapshot.configuration,
            configurationIndex: snapshot.configurationIndex, totalBytes: snapshot.contents.count, checksum: checksum,
            offset: offset, bytes: bytes)
    }

    mutating func keep(_ contents: SnapshotContents) { snapshot.contents = contents }
}

/// A snapshot that is coming in.
struct IncomingSnapshot: Sendable {
    let id: EntryID
    let configuration: MemberConfiguration
    let configurationIndex: LogIndex
    let totalBytes: Int
    let checksum: UInt32
    private(set) var bytes: [UInt8] = []
    private var running = CRC32C()

    init(startingWith chunk: SnapshotChunk) {
        id = chunk.snapshot
        configuration = chunk.configuration
        configurationIndex = chunk.configurationIndex
        totalBytes = chunk.totalBytes
        checksum = chunk.checksum
    }

    func isSame(as chunk: SnapshotChunk) -> Bool {
        id == chunk.snapshot && configuration == chunk.configuration && configurationIndex == chunk.configurationIndex
            && totalBytes == chunk.totalBytes && checksum == chunk.checksum
    }

    /// Takes what comes next; anything else is left aside.
    mutating func take(_ chunk: SnapshotChunk) {
        guard chunk.offset == bytes.count, chunk.bytes.count <= totalBytes - bytes.count else { return }
        bytes += chunk.bytes
        running.update(chunk.bytes)
    }

    var isComplete: Bool { bytes.count == totalBytes }
    var isIntact: Bool { running.value == checksum }
}

extension Raft {
    // MARK: - Sending

    mutating func beginSnapshot(for peer: MemberID, _ progress: inout Progress, at now: LogicalInstant) {
        // One that was installed here a moment ago may still be on its way to the disk.
        guard progress.hasAnswered(since: now - settings.electionTimeout), snapshot.id.index >= log.base.index else { return }
        let outgoing = newestOutgoing()
        leadership?.outgoing[peer] = outgoing
        progress.sendSnapshot(outgoing.snapshot.id, offset: 0, at: now)
        send(outgoing, from: 0, to: peer)
    }

    private mutating func send(_ outgoing: OutgoingSnapshot, from offset: Int, to peer: MemberID) {
        guard let chunk = outgoing.chunk(at: offset, limit: settings.snapshotChunkBytes, term: term) else { return }
        messages.append(to: peer, .snapshotChunk(chunk))
    }

    /// The bytes of the snapshot are kept elsewhere from here on, and not in memory.
    package mutating func keepSnapshot(_ id: EntryID, in contents: SnapshotContents) {
        guard snapshot.id == id, snapshot.contents.count == contents.count else { return }
        snapshot.contents = contents
        guard let outgoing = leadership?.outgoing else { return }
        leadership?.outgoing = outgoing.mapValues { outgoing in
            guard outgoing.snapshot.id == id else { return outgoing }
            var kept = outgoing
            kept.keep(contents)
            return kept
        }
    }

    /// The newest snapshot; its checksum is counted once for all members that it goes to.
    private func newestOutgoing() -> OutgoingSnapshot {
        leadership?.outgoing.values.first { $0.snapshot.id == snapshot.id } ?? OutgoingSnapshot(snapshot)
    }

    mutating func sendChunk(to peer: MemberID, offset: Int, at now: LogicalInstant) {
        guard var progress = leadership?.progress[peer], progress.isInSnapshot, let outgoing = leadership?.outgoing[peer],
            offset <= outgoing.snapshot.contents.count
        else { return }
        progress.sendSnapshot(outgoing.snapshot.id, offset: offset, at: now)
        leadership?.progress[peer] = progress
        send(outgoing, from: offset, to: peer)
    }

    mutating func handle(_ answer: SnapshotAnswer, from peer: MemberID, at now: LogicalInstant) {
        guard isLeader, let progress = leadership?.progress[peer] else { return }
        leadership?.progress[peer]?.answeredAt = now
        // What it asks for is on its way: the answer came twice, and each would call for another.
        if case .snapshot(_, answer.nextOffset, _) = progress.mode { return }
        guard let outgoing = leadership?.outgoing[peer], outgoing.snapshot.id == answer.snapshot, answer.nextOffset >= 0,
            // All of it is there: the answer to the last chunk is an acknowledgement, when the snapshot is on disk.
            answer.nextOffset < outgoing.snapshot.contents.count
        else { return }
        sendChunk(to: peer, offset: answer.nextOffset, at: now)
    }

    // MARK: - Receiving

    mutating func handle(_ chunk: SnapshotChunk, from leader: MemberID) {
        if chunk.snapshot.index <= log.commit {
            incoming = nil
            return answers.append(
                to: leader, .appendAnswer(AppendAnswer(term: term, outcome: .matched(chunk.snapshot.index))))
        }
        guard chunk.totalBytes >= 0, chunk.totalBytes <= settings.snapshotBytes else { return }
        var snapshot = incoming.flatMap { $0.isSame(as: chunk) ? $0 : nil } ?? IncomingSnapshot(startingWith: chunk)
        // Taken out while it grows, or each chunk would copy all that came before.
        incoming = nil
        snapshot.take(chunk)
        if snapshot.isComplete, !snapshot.isIntact {
            // Not answered: the sender asks again after a while, hears that nothing of it is here, and begins anew.
            return incoming = IncomingSnapshot(startingWith: chunk)
        }
        guard snapshot.isComplete else {
            incoming = snapshot
            let answer = SnapshotAnswer(term: term, snapshot: snapshot.id, nextOffset: snapshot.bytes.count)
            return answers.append(to: leader, .snapshotAnswer(answer))
        }
        let members = mutated(.snapshotForgetsMembers) ? configuration : snapshot.configuration
        install(
            Snapshot(
                id: snapshot.id, configuration: members, configurationIndex: snapshot.configurationIndex, data: snapshot.bytes))
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
