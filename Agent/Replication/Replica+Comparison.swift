// Before a term opens, the logs of the whole in-sync set are compared, and the new primary takes the longest (rules R5, E4).
//
// What was acknowledged is on every in-sync disk. So it is in the longest of their logs, the one with the latest term and in it the
// highest sequence (Raft, section 5.4.1), as long as one of those disks still holds what it once held: a primary whose own disk went
// back to an older state gets from the others what it has forgotten, and names no term that it has named before.

import Model

/// The comparison of all in-sync logs, as the primary to be conducts it.
struct LogComparison: Hashable, Sendable {
    /// Tells its answers from those to an earlier one.
    let number: UInt64
    let startedAt: LogicalInstant
    /// Members whose logs do not go on where this one ends.
    var answered: Set<NodeID> = []
    /// Where the search for the last common point with a longer log stands; nowhere yet: at the end of this log.
    var asked: [NodeID: LogPoint] = [:]
    var askedAt: [NodeID: LogicalInstant] = [:]
}

/// What the primary to be has asked before this replica could answer. Writers wait for the answer, and the question comes again only after
/// `resendInterval`: that would be the longest part of a planned hand-over.
struct HeldSurvey: Hashable, Sendable {
    let survey: ReplicationMessage.Survey
    let peer: NodeID
    let epoch: Epoch
}

extension Replica {
    /// Whether every member of the in-sync set has shown its log, and none goes on where this one ends.
    var hasCompared: Bool {
        guard let answered = primary?.comparison.answered, let descriptor else { return false }
        return descriptor.inSync.allSatisfy { $0 == node || answered.contains($0) }
    }

    /// Asks those who have not shown their logs.
    mutating func compareLogs(at now: LogicalInstant) {
        guard var primary, primary.phase == .preparing, let descriptor else { return }
        for member in descriptor.inSync where member != node && !primary.comparison.answered.contains(member) {
            if let asked = primary.comparison.askedAt[member], now < asked + settings.resendInterval { continue }
            primary.comparison.askedAt[member] = now
            let point = primary.comparison.asked[member] ?? log.last
            let survey = ReplicationMessage.Survey(number: primary.comparison.number, point: point)
            actions.append(.send(message(.survey(survey)), to: member))
        }
        self.primary = primary
    }

    /// Shows this log to the primary to be: where it ends, and what follows the point that was asked about.
    mutating func receive(_ survey: ReplicationMessage.Survey, from peer: NodeID) {
        guard let descriptor, descriptor.primary == peer, descriptor.inSync.contains(node), primary == nil, !isRetired,
            !isImporting
        else { return }
        guard persistedTicket >= ackBarrier else { return hold(survey, from: peer, in: descriptor.epoch) }
        let common = log.candidate(for: survey.point.position)
        var entries: [Entry] = []
        if common == survey.point {
            entries = log.entries(
                from: survey.point.sequence + 1, through: log.lastSequence, bytes: settings.prepareBytes,
                limit: settings.prepareEntries)
        }
        let standing = ReplicationMessage.Standing(
            number: survey.number, last: log.last, heard: newestTerm, common: common, entries: entries)
        actions.append(.send(message(.standing(standing)), to: peer))
    }

    /// Keeps a question until its epoch is learned, and is on disk here (rule R5). Of several the newest counts.
    mutating func hold(_ survey: ReplicationMessage.Survey, from peer: NodeID, in epoch: Epoch) {
        if let heldSurvey, heldSurvey.epoch > epoch { return }
        heldSurvey = HeldSurvey(survey: survey, peer: peer, epoch: epoch)
    }

    mutating func answerHeldSurvey() {
        guard let held = heldSurvey, let epoch = descriptor?.epoch, held.epoch <= epoch, persistedTicket >= ackBarrier else {
            return
        }
        heldSurvey = nil
        if held.epoch == epoch { receive(held.survey, from: held.peer) }
    }

    /// The newest term that this replica knows to have been.
    var newestTerm: Term { max(heardTerm, log.last.position.term) }

    mutating func receive(_ standing: ReplicationMessage.Standing, from peer: NodeID, at now: LogicalInstant) {
        guard let primary, primary.phase == .preparing, standing.number == primary.comparison.number, let descriptor,
            descriptor.inSync.contains(peer), standing.heard.epoch <= descriptor.epoch,
            standing.last.position.term <= standing.heard
        else { return }
        raiseRun(above: standing.heard)
        guard isBehind(standing.last) else {
            self.primary?.comparison.answered.insert(peer)
            return
        }
        self.primary?.comparison.askedAt[peer] = nil
        guard let common = standing.common else {
            // What stands before the first entry that the other keeps is committed, and is not here.
            return halt(.behindAcknowledged(peer: peer, acknowledged: standing.last.sequence, last: log.lastSequence))
        }
        if log.point(at: common.sequence) == common {
            // What is committed here is in every in-sync log, or one of the two disks has lost it.
            guard common.sequence >= settled else {
                return halt(.lacksCommitted(peer: peer, committed: standing.last.position))
            }
            if standing.entries.isEmpty {
                self.primary?.comparison.asked[peer] = common
            } else {
                adopt(standing.entries, after: common)
                self.primary?.comparison.asked[peer] = nil
                if !isBehind(standing.last) { self.primary?.comparison.answered.insert(peer) }
            }
        } else if let earlier = self.earlier(than: common), earlier.sequence >= settled {
            self.primary?.comparison.asked[peer] = earlier
        } else {
            halt(.lacksCommitted(peer: peer, committed: standing.last.position))
        }
    }

    /// Whether a log that ends there has what this one lacks.
    private func isBehind(_ other: LogPoint) -> Bool {
        let (own, other) = (log.last.position, other.position)
        return (own.term, own.sequence) < (other.term, other.sequence)
    }

    /// The newest point here that may agree with a log in which `point` stands, though this one has another there.
    private func earlier(than point: LogPoint) -> LogPoint? {
        guard let found = log.candidate(for: point.position) else { return nil }
        guard found.position == point.position else { return found }
        return found.sequence > log.base.sequence ? log.point(at: found.sequence - 1) : nil
    }

    private mutating func adopt(_ entries: [Entry], after point: LogPoint) {
        if log.lastSequence > point.sequence { cut(through: point.sequence) }
        for entry in entries {
            guard entry.follows(log.last), let term = primary?.term, entry.position.term < term else { return }
            log.append(entry)
            unsaved.append(.entry(id, entry))
        }
    }

    /// Takes a run above every one that was heard of, on disk before the term opens.
    private mutating func raiseRun(above heard: Term) {
        guard let descriptor, let term = primary?.term, heard >= term, heard.run < .max else { return }
        hard.run = max(hard.run, heard.run) + 1
        saveHardState()
        let (raised, ticket) = (Term(epoch: descriptor.epoch, run: hard.run), ticketOfThisStep)
        primary?.term = raised
        primary?.runTicket = ticket
    }

    /// Takes the role up anew: somebody has heard of a later term than this one, so this disk has gone back behind its own (rule E4).
    mutating func reopen(above heard: Term, at now: LogicalInstant) {
        guard let descriptor, heard.epoch <= descriptor.epoch, heard.run < .max else { return }
        depose()
        hard.run = max(hard.run, heard.run)
        promote(to: descriptor, at: now)
    }

    /// Proposes to leave out a member that does not show its log, once another has: with nobody to compare with, nothing is served (E4).
    mutating func evictTheHidden(at now: LogicalInstant) {
        guard let primary, primary.phase == .preparing, let descriptor, descriptor.status == .active,
            now >= primary.comparison.startedAt + settings.openingTimeout, descriptor.inSync.count > max(1, minInSync)
        else { return }
        let others = descriptor.inSync.filter { $0 != node }
        guard others.contains(where: primary.comparison.answered.contains),
            let hidden = others.first(where: { !primary.comparison.answered.contains($0) })
        else { return }
        evict(hidden, because: .isHidden, from: descriptor, at: now)
    }
}
