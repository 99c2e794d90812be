// A leader's work: append, send, count, commit, and step down when it no longer leads anybody (Raft §5.3, §5.4.2; thesis §6.2, §10.2.1).

import Model

/// What only a leader has.
struct Leadership: Sendable {
    /// Of every other member, and of those that leave until the group has committed that they do.
    var progress: [MemberID: Progress]
    /// Bytes appended and not committed, whoever appended them: a row of leaders that commit nothing adds up to one limit.
    var uncommittedBytes: Int
    var heartbeatDue: LogicalInstant
    var quorumCheckedAt: LogicalInstant
    var quorumCheckDue: LogicalInstant
    /// Whether there is something that the members have not been sent.
    var hasNews = true
    /// When they are told what was committed since, if no append goes out before.
    var commitNewsDue: LogicalInstant?
    /// Commits up to here are told at once: another member waits for them.
    var promptThrough = LogIndex.zero
    /// The newest read round begun; counted up by this leader, never used twice.
    var round: UInt64 = 0
    /// The round that is on its way.
    var openRound: ReadRound?
    var transfer: Raft.Transfer?
    /// What each member is being sent: kept, so that a newer snapshot does not make a slow member begin anew.
    var outgoing: [MemberID: OutgoingSnapshot] = [:]
}

extension Raft {
    mutating func becomeLeader(at now: LogicalInstant) {
        role = .leader
        reads.failForwarded()
        incoming = nil
        let peers = configuration.members.filter { $0 != id }
        let inherited = log.entries(from: log.commit.next, bytes: .max).reduce(0) { $0 + $1.content.weight }
        leadership = Leadership(
            progress: Dictionary(uniqueKeysWithValues: peers.map { ($0, Progress(next: log.last.index.next)) }),
            uncommittedBytes: inherited, heartbeatDue: now, quorumCheckedAt: now, quorumCheckDue: now + settings.electionTimeout
        )
        // The first entry of all says who founded the group, so that the log alone tells who belongs to it.
        _ = appendAsLeader(log.configurationIndex == .zero ? .configuration(configuration) : .leaderStarted)
    }

    mutating func appendAsLeader(_ content: EntryContent) -> EntryID {
        let entry = Entry(id: EntryID(term: term, index: log.last.index.next), content: content)
        log.append(entry)
        if case .configuration(let configuration) = content { track(configuration, appendedAt: entry.id.index) }
        leadership?.uncommittedBytes += content.weight
        leadership?.hasNews = true
        return entry.id
    }

    // MARK: - Time

    mutating func leaderTick(at now: LogicalInstant) {
        guard let current = leadership else { return }
        if now >= current.quorumCheckDue {
            guard leadsQuorum(since: current.quorumCheckedAt) else { return becomeFollower(term, leader: nil, at: now) }
            leadership?.quorumCheckedAt = now
            leadership?.quorumCheckDue = now + settings.electionTimeout
        }
        if let transfer = current.transfer, now >= transfer.until { leadership?.transfer = nil }
        if let due = current.commitNewsDue, now >= due { leadership?.hasNews = true }
        if now >= current.heartbeatDue { sendHeartbeats(at: now) }
    }

    private func leadsQuorum(since instant: LogicalInstant) -> Bool {
        guard let leadership else { return false }
        let active = leadership.progress.filter { $0.value.hasAnswered(since: instant) }.map(\.key)
        return configuration.isQuorum(Set(active + [id])) || mutated(.leadsAlone)
    }

    /// Whether a write of this member's own has been under way for too long.
    func isDiskStalled(at now: LogicalInstant) -> Bool {
        log.oldestWriteStartedAt.map { now - $0 >= settings.diskTimeout } ?? false
    }

    mutating func sendHeartbeats(at now: LogicalInstant) {
        guard let current = leadership else { return }
        leadership?.heartbeatDue = now + settings.heartbeatInterval
        for (peer, progress) in current.progress.sorted(by: { $0.key < $1.key }) { sendHeartbeat(to: peer, progress) }
    }

    mutating func sendHeartbeat(to peer: MemberID, _ progress: Progress) {
        let commit = mutated(.tellsCommitToAll) ? log.commit : min(log.commit, progress.match)
        messages.append(to: peer, .heartbeat(Heartbeat(term: term, commit: commit, round: leadership?.round ?? 0)))
    }

    // MARK: - Sending

    /// Sends what is new to everybody who may be sent something: one append for all proposals since the last call.
    mutating func broadcast(at now: LogicalInstant) {
        beginReadRound(at: now)
        guard let current = leadership, current.hasNews else { return }
        leadership?.hasNews = false
        leadership?.commitNewsDue = nil
        for peer in current.progress.keys.sorted() { send(to: peer, evenEmpty: true, at: now) }
    }

    /// Sends one append or more, or a snapshot when the entries are gone.
    private mutating func send(to peer: MemberID, evenEmpty: Bool, at now: LogicalInstant) {
        guard var progress = leadership?.progress[peer] else { return }
        var mayBeEmpty = evenEmpty
        while progress.maySend(settings) {
            let before = progress.next.previous
            guard let term = log.term(at: before) else {
                beginSnapshot(for: peer, &progress, at: now)
                break
            }
            let entries = log.entries(from: progress.next, bytes: settings.appendBytes)
            guard !entries.isEmpty || mayBeEmpty else { break }
            mayBeEmpty = false
            let previous = EntryID(term: term, index: before)
            messages.append(
                to: peer, .append(Append(term: self.term, previous: previous, entries: entries, commit: log.commit)))
            progress.toldCommit = log.commit
            if let last = entries.last {
                progress.sent(upTo: last.id.index, bytes: entries.reduce(0) { $0 + $1.content.weight })
            } else {
                // Nothing follows that could be counted: an empty probe waits for its answer like a full one.
                if case .probe = progress.mode { progress.sent(upTo: before, bytes: 0) }
                break
            }
        }
        leadership?.progress[peer] = progress
    }

    /// With the window full, or after silence: an empty append finds out what was lost.
    private mutating func probe(_ peer: MemberID, at now: LogicalInstant) {
        guard var progress = leadership?.progress[peer], case .replicate = progress.mode, !mutated(.neverProbesAgain) else {
            return
        }
        let before = progress.next.previous
        guard let term = log.term(at: before) else {
            // What was lost on its way is compacted away by now.
            beginSnapshot(for: peer, &progress, at: now)
            leadership?.progress[peer] = progress
            return
        }
        let previous = EntryID(term: term, index: before)
        messages.append(to: peer, .append(Append(term: self.term, previous: previous, entries: [], commit: log.commit)))
    }

    // MARK: - Answers

    mutating func handle(_ answer: AppendAnswer, from peer: MemberID, at now: LogicalInstant) {
        guard isLeader, var progress = leadership?.progress[peer] else { return }
        progress.answeredAt = now
        switch answer.outcome {
        case .staleTerm: break
        case .matched(let index):
            // Only a broken peer holds what was never sent to it.
            guard index <= log.last.index else { return }
            let rises = mutated(.staysInSnapshot) && progress.isInSnapshot ? false : progress.matched(index)
            leadership?.progress[peer] = progress
            if !progress.isInSnapshot { leadership?.outgoing[peer] = nil }
            if rises { advanceCommit(at: now) }
            // What is news for all it is sent with the others. What was committed while it could be sent nothing it hears now.
            if let leadership, !leadership.hasNews {
                send(to: peer, evenEmpty: leadership.commitNewsDue == nil && progress.toldCommit < log.commit, at: now)
            }
            if leadership?.transfer?.successor == peer { continueTransfer(at: now) }
            return
        case .rejected(let at, let hint):
            // The follower says where its log can agree at the latest; ours may know an even earlier place.
            let agreement = log.agreement(atLatest: hint)
            if progress.rejected(at: at, agreesAtLatest: agreement.index) {
                leadership?.progress[peer] = progress
                send(to: peer, evenEmpty: true, at: now)
                return
            }
        }
        leadership?.progress[peer] = progress
    }

    mutating func handle(_ answer: HeartbeatAnswer, from peer: MemberID, at now: LogicalInstant) {
        guard isLeader, var progress = leadership?.progress[peer] else { return }
        progress.answeredAt = now
        progress.confirmedRound = max(progress.confirmedRound, answer.round)
        if !mutated(.neverProbesAgain) { progress.linkWorks() }
        leadership?.progress[peer] = progress
        confirmReads()
        if leadership?.transfer?.successor == peer { continueTransfer(at: now) }
        if case .snapshot(_, let offset, let sentAt) = progress.mode, now - sentAt > settings.electionTimeout {
            sendChunk(to: peer, offset: offset, at: now)
        } else if case .probe = progress.mode {
            // Also where nothing is left to send it, after a snapshot of the whole log: it is asked again until it says that the logs agree.
            send(to: peer, evenEmpty: true, at: now)
        } else if progress.match < log.last.index {
            if progress.maySend(settings), progress.next <= log.last.index {
                send(to: peer, evenEmpty: true, at: now)
            } else {
                probe(peer, at: now)
            }
        }
    }

    // MARK: - Commit

    /// Counts only entries of the own term (Raft §5.4.2); earlier ones are committed with them. Its own log counts as far as it is on
    /// disk.
    mutating func advanceCommit(at now: LogicalInstant) {
        guard let leadership else { return }
        let own = mutated(.countsUnwrittenLog) ? log.last.index : log.stable
        let counted = mutated(.commitsByNewHalf) ? configuration.settled : configuration
        let index = counted.committed { node in
            node == id || (mutated(.countsSilentMember) && node == counted.voters[0])
                ? own : (leadership.progress[node]?.match ?? .zero)
        }
        guard index > log.commit, log.term(at: index) == term || mutated(.commitsOldTerms) else { return }
        for entry in log.entries(from: log.commit.next, bytes: .max) where entry.id.index <= index {
            self.leadership?.uncommittedBytes -= entry.content.weight
        }
        if settings.commitNewsDelay == .zero || leadership.promptThrough > log.commit {
            self.leadership?.hasNews = true
        } else {
            self.leadership?.commitNewsDue = leadership.commitNewsDue ?? now + settings.commitNewsDelay
        }
        log.commit(to: index)
        continueChange(at: now)
    }
}
