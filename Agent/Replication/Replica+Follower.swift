// The following side: keeps this log equal to the primary's, and says what of it is on disk.

import Model

extension Replica {
    mutating func receive(_ message: ReplicationMessage, from peer: NodeID, at now: LogicalInstant) {
        guard let descriptor, message.partition == id else { return }
        if case .yielded = message.body {
            // It may come before the descriptor that it speaks of.
            yielded = max(yielded, message.epoch)
            if message.epoch >= descriptor.epoch { primary?.waits = [:] }
        }
        if message.epoch > descriptor.epoch {
            // A bare number proves nothing; the descriptor comes from the coordinators (rule E2).
            if case .survey(let survey) = message.body { hold(survey, from: peer, in: message.epoch) }
            actions.append(.askTopology(message.epoch))
            return
        }
        switch message.body {
        case .prepare(let prepare):
            guard message.epoch == descriptor.epoch || settings.mutated(.followsAnybody) else {
                actions.append(.send(self.message(.stale), to: peer))
                return
            }
            receive(prepare, from: peer, at: now)
        case .ack(let ack):
            guard message.epoch == descriptor.epoch else { return }
            receive(ack, from: peer, at: now)
        case .nack(let nack):
            guard message.epoch == descriptor.epoch else { return }
            receive(nack, from: peer, at: now)
        case .survey(let survey):
            guard message.epoch == descriptor.epoch else {
                actions.append(.send(self.message(.stale), to: peer))
                return
            }
            receive(survey, from: peer)
        case .standing(let standing):
            guard message.epoch == descriptor.epoch else { return }
            receive(standing, from: peer, at: now)
        case .stale, .yielded: break
        }
    }

    private mutating func receive(_ prepare: ReplicationMessage.Prepare, from peer: NodeID, at now: LogicalInstant) {
        guard let descriptor, descriptor.primary == peer || settings.mutated(.followsAnybody),
            descriptor.replica(on: node) != nil, primary == nil, !isRetired, prepare.term.epoch <= descriptor.epoch
        else { return }
        guard prepare.term >= heardTerm else {
            refuse(prepare, at: prepare.previous)
            return
        }
        if prepare.term > heardTerm {
            heardTerm = prepare.term
            agreed = settled
            ackedDurable = 0
        }
        // An entry of a later term than the primary's own: its disk has gone back behind its earlier runs (rule E4).
        guard !isImporting, prepare.term >= log.last.position.term else {
            refuse(prepare, at: prepare.previous)
            return
        }
        // Every later primary has what is committed: matching starts there at the latest.
        var entries = prepare.entries[...]
        var previous = prepare.previous
        if previous.sequence < settled {
            while let first = entries.first, first.sequence <= settled {
                previous = first.point
                entries.removeFirst()
            }
            if previous.sequence < settled {
                reply(wanted: prepare.wantsReply)
                return
            }
        }
        guard let own = log.point(at: previous.sequence) else {
            refuse(prepare, at: previous)
            return
        }
        guard own == previous else {
            refuse(prepare, at: previous)
            return
        }
        take(entries, after: previous)
        commit = max(commit, min(prepare.commit, agreed))
        // Words of an earlier life were counted by a clock that may have begun anew.
        if let voucher = prepare.voucher, voucher.incarnation == incarnation, voucher.spokenAt <= now {
            let through = settings.mutated(.takesVouchedForApplied) ? applied : prepare.commit
            freshness.take(voucher.spokenAt, through: through, applied: applied)
        }
        reply(wanted: prepare.wantsReply)
    }

    /// Appends what is new and cuts what contradicts it.
    ///
    /// What the engine does not take in stays in this log, whose end is no later than the primary's own would be: a member that takes no
    /// more is left behind (rule R3), and comes back when its engine goes on.
    /// - Precondition: `previous` stands here, at or after what is settled, so nothing committed is cut.
    private mutating func take(_ entries: ArraySlice<Entry>, after previous: LogPoint) {
        agreed = max(agreed, previous.sequence)
        var agreedPoint = previous
        for entry in entries {
            // A broken chain is damage on the way: what was good stays, the rest is sent again. Asked before anything is cut, since an
            // entry out of place could name one that is settled.
            guard entry.follows(agreedPoint) else { return }
            agreedPoint = entry.point
            if let own = log.point(at: entry.sequence), own == entry.point {
                agreed = max(agreed, entry.sequence)
                continue
            }
            guard hasRoom else { return }
            if log.point(at: entry.sequence) != nil { cut(through: entry.sequence - 1) }
            log.append(entry)
            unsaved.append(.entry(id, entry))
            agreed = entry.sequence
        }
    }

    private mutating func refuse(_ prepare: ReplicationMessage.Prepare, at previous: LogPoint) {
        let isPast = log.last.position.term > prepare.term
        let hint =
            isPast ? log.last.position : standing(before: previous)
        // A new copy of anything but a trifle is faster by snapshot than by replay.
        let wantsSnapshot = isImporting || isEmpty && prepare.commit > settings.replayedEntries
        let nack = ReplicationMessage.Nack(
            term: prepare.term, refused: prepare.previous.sequence, hint: hint,
            committed: log.point(at: settled)?.position ?? log.base.position, wantsSnapshot: wantsSnapshot,
            incarnation: incarnation, heard: newestTerm)
        guard let primary = descriptor?.primary else { return }
        actions.append(.send(message(.nack(nack)), to: primary))
    }

    /// The newest position here that may agree with a log in which `point` stands.
    private func standing(before point: LogPoint) -> Position {
        guard let own = log.point(at: min(point.sequence, log.lastSequence)) else { return log.base.position }
        // Another entry at the very same position: the search goes on before it.
        let isOther = own.position == point.position && own != point && own.sequence > log.base.sequence
        return isOther ? log.point(at: own.sequence - 1)?.position ?? log.base.position : own.position
    }

    private mutating func reply(wanted: Bool) {
        if wanted { ackedDurable = 0 }
    }

    /// Acknowledges what is on disk and agrees with the primary's log (rule R1), when that is more than was said or was asked.
    mutating func acknowledgeToPrimary(at now: LogicalInstant) {
        guard primary == nil, haltReason == nil, !isRetired, let leader = descriptor?.primary, leader != node,
            heardTerm > Term(epoch: Epoch(0), run: 0), persistedTicket >= ackBarrier
        else { return }
        let saved = min(durable, agreed)
        guard saved + 1 > ackedDurable else { return }
        ackedDurable = saved + 1
        let ack = ReplicationMessage.Ack(
            term: heardTerm, received: agreed, durable: saved, verified: lastVerified, incarnation: incarnation,
            applied: applied, spokenAt: now, isCopied: hard.isCopied)
        actions.append(.send(message(.ack(ack)), to: leader))
    }
}
