import Model

/// A refused link that is being looked into.
struct Refusal: Hashable, Sendable {
    let node: NodeID
    let sequence: UInt64
    /// When others are asked to ping for us.
    let helpersAt: LogicalInstant
    /// No end before this, and none after that.
    let endsAt: LogicalInstant
    let givesUpAt: LogicalInstant
    /// Whether our own link was refused; if not, others were refused, and this is the call without which we do not believe them.
    var isOurs: Bool
    var isEscalated = false
    var isAnswered = false
    /// Who was asked to help, and has said nothing yet.
    var silent: [NodeID] = []
    /// Whether anybody has said that it does not answer him either.
    var isHelped = false
    /// Whether there was nobody to ask but those who were refused themselves.
    var isAlone = false
}

// The fast path. The links of a process that ends are reset in the same instant, and new ones are refused: that is evidence which a
// slow or a paused process never gives. Whoever sees it pings at once, then asks others to, and if no answer comes in a few round
// trips he is a witness. Those nearest to the accused try its link as well; two witnesses are a verdict for whoever has called it
// in vain since, himself and through others who were not refused: where a network is cut in part, two are refused by one whom all
// others hear. A helper who says nothing may be late with its answer, so his silence is waited for, and proves nothing. A host that
// is gone refuses nothing, and takes the normal path.
extension Swim {
    /// A new link says whether its process is gone: a kernel takes it for one that stands still, and a network that threw away what it
    /// knew of the old one lets it through.
    mutating func linkEnded(_ other: NodeID, _ actions: inout [Action]) {
        guard phase == .running, !mutated(.ignoresRefusals), let member = table[other], member.isActive, member.heard else {
            return
        }
        actions.append(.stream(to: other, address: member.profile.link, sequence: sequence()))
    }

    mutating func linkRefused(_ other: NodeID, at now: LogicalInstant, _ actions: inout [Action]) {
        guard phase == .running, !mutated(.ignoresRefusals), let slot = table.slot(of: other) else { return }
        if lookInto(slot, isOurs: true, at: now, &actions) { counters.refusedLinks += 1 }
    }

    /// Pings somebody whose links are refused to us, or were to others: if no answer comes soon, we are one more who knows.
    /// - Returns: false when there is nothing to look into, or it is being done.
    @discardableResult
    mutating func lookInto(_ slot: Int, isOurs: Bool, at now: LogicalInstant, _ actions: inout [Action]) -> Bool {
        guard let member = table[slot], member.isActive, member.heard else { return false }
        let other = member.node
        if let index = refusals.firstIndex(where: { $0.node == other }) {
            // Who answered was there then, and may be gone now.
            guard isOurs, refusals[index].isAnswered, !mutated(.looksOnceAtRefusals) else {
                refusals[index].isOurs = refusals[index].isOurs || isOurs
                return false
            }
            refusals.remove(at: index)
        }
        guard refusals.count < SwimLimits.refusals || mutated(.looksIntoAllRefusals) else { return false }
        let number = sequence()
        let usual = roundTrips[slot].map { $0 * 4 } ?? tuning.probeTimeout
        let wait = min(max(usual, tuning.tick * 3), tuning.probeTimeout) * patience
        // A false alarm should cost one ping; who is refused to two is asked for by all means at once.
        let helpersAt = isOurs ? now + wait / 3 : now
        refusals.append(
            Refusal(
                node: other, sequence: number, helpersAt: helpersAt, endsAt: now + wait,
                // A helper says what he has to say in less than one of these; the other is for one who stood still for a moment.
                givesUpAt: helpersAt + tuning.probeTimeout * 2 * patience, isOurs: isOurs))
        let body = SwimMessage.Body.ping(sequence: number, target: other)
        actions.append(.send(message(body, to: member, first: accusation(of: member)), to: member.profile.gossip))
        if !isOurs { seekHelp(refusals.count - 1, &actions) }
        return true
    }

    private mutating func seekHelp(_ index: Int, _ actions: inout [Action]) {
        refusals[index].isEscalated = true
        guard let slot = table.slot(of: refusals[index].node), let member = table[slot] else { return }
        // Of those who were refused themselves we know what they would say.
        let refusers = suspicions[slot]?.refusers ?? []
        let others = table.activeCount - 1 - refusers.count { $0 != node && table[$0]?.isActive == true }
        refusals[index].isAlone = others <= 0
        refusals[index].silent = askHelpers(about: member, except: refusers, sequence: refusals[index].sequence, &actions)
    }

    mutating func lookIntoRefusals(at now: LogicalInstant, _ actions: inout [Action]) {
        guard !refusals.isEmpty else { return }
        for index in refusals.indices
        where !refusals[index].isAnswered && !refusals[index].isEscalated && now >= refusals[index].helpersAt {
            seekHelp(index, &actions)
        }
        let due = refusals.filter { refusal in
            now >= refusal.endsAt && (refusal.isAnswered || now >= refusal.givesUpAt || isInVain(refusal))
        }
        guard !due.isEmpty else { return }
        refusals.removeAll { refusal in due.contains { $0.sequence == refusal.sequence } }
        for refusal in due where !refusal.isAnswered {
            // Asked before anything that is concluded here changes who counts.
            let wasInVain = isInVain(refusal)
            if refusal.isOurs { accuse(refusal.node, refused: true, at: now, &actions) }
            if wasInVain, let slot = table.slot(of: refusal.node) { suspicions[slot]?.noteCalledInVain(by: refusal.sequence) }
        }
    }

    /// Whether everybody whom we have asked has heard nothing either, but for those of whom nothing can be expected: or one who is
    /// late with an answer would make us condemn the living.
    private func isInVain(_ refusal: Refusal) -> Bool {
        if mutated(.needsNoHelpers) { return true }
        guard refusal.isEscalated else { return false }
        return refusal.isAlone || refusal.isHelped && refusal.silent.allSatisfy { table[$0]?.status != .alive }
    }

    /// A helper has heard nothing.
    mutating func refusalHelped(_ index: Int, by helper: NodeID) {
        guard refusals[index].silent.contains(helper) else { return }
        refusals[index].silent.removeAll { $0 == helper }
        refusals[index].isHelped = true
    }

    /// It has answered us, or somebody whom we asked.
    mutating func refusalAnswered(_ index: Int, at now: LogicalInstant) {
        refusals[index].isAnswered = true
        if let slot = table.slot(of: refusals[index].node) { suspicions[slot]?.answered(at: now, number: nextSequence) }
    }

    /// Somebody was refused; the nearest of the others see for themselves.
    mutating func seekSecondWitness(against slot: Int, on rumour: MemberRecord, _ actions: inout [Action]) {
        guard rumour.refused, rumour.accuser != node, let member = table[slot], let suspicion = suspicions[slot],
            !suspicion.isCertain, !refusals.contains(where: { $0.node == member.node }),
            isAmong(nearest: SwimLimits.firstSpeakers + 1, to: member.node)
        else { return }
        actions.append(.stream(to: member.node, address: member.profile.link, sequence: sequence()))
    }

    /// A member has answered over its link. That ends our own suspicion of it, and nobody else's: only the member itself can refute what
    /// others say, and whoever else suspects it has found out, and judges, by calls of its own. So one whom no datagram reaches is held
    /// dead by those alone who have not reached it in any way.
    mutating func streamAnswered(_ number: UInt64, by other: NodeID, at now: LogicalInstant) {
        guard number <= nextSequence else { return }
        noteAnswer(to: number, at: now)
        // However long ago it was asked, it took part in a handshake a moment ago. Where that takes longer than the rest of a period,
        // the suspicion has begun meanwhile.
        let slot = table.slot(of: other)
        let isSuspect = slot.map { suspicions[$0] != nil } ?? false
        if let slot { suspicions[slot]?.answered(at: now, number: nextSequence) }
        let isProbed = probe?.sequence == number && probe?.target == other
        // It lives. That the datagrams were lost says nothing good of our network, so our health is as it was.
        if isProbed { probe = nil }
        if isProbed || isSuspect { counters.savedByLink += 1 }
    }
}
