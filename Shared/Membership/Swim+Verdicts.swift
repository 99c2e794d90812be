import Model

// From suspicion to verdict.
extension Swim {
    /// Starts or strengthens a suspicion. The rumour outranks what we hold, or is our own.
    mutating func suspect(_ slot: Int, on rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]) {
        guard let member = table[slot] else { return }
        if member.status == .suspect, member.record.life == rumour.life {
            return confirm(slot, by: rumour, at: now, &actions)
        }
        counters.suspicions += 1
        if member.status == .dead {
            // It has refuted since, and is accused anew: that death is none, and whoever was to hear of it need not.
            counters.falsePositives += member.record.life.generation == rumour.life.generation ? 1 : 0
            findings.removeAll { $0.slot == slot }
        }
        let isNewLife = member.record.life.generation != rumour.life.generation
        // What was found out about its last life says nothing about this one.
        if isNewLife { findings.removeAll { $0.slot == slot } }
        table.update(slot) {
            $0.record = rumour
            $0.since = now
            guard isNewLife else { return }
            $0.metAt = now
            $0.heard = true
            $0.isDisputed = false
            $0.isCommitted = false
        }
        beginSuspicion(slot, on: rumour, at: now)
        spread(slot)
        actions.append(.memberChanged(rumour))
        seekSecondWitness(against: slot, on: rumour, &actions)
        doubt(slot)
    }

    /// Those nearest to a suspect probe it next, so that it has its accusers in time, or is cleared, by rule and not by luck: as many
    /// as it takes beside the first, and one who may be gone himself.
    private mutating func doubt(_ slot: Int) {
        guard needsOurWord(slot), let member = table[slot], doubted.count < SwimLimits.doubts, !doubted.contains(slot),
            !mutated(.confirmsByLuck), isAmong(nearest: tuning.confirmations + 2, to: member.node)
        else { return }
        doubted.append(slot)
    }

    /// Whether another accuser would shorten the suspicion, and we are none yet.
    func needsOurWord(_ slot: Int) -> Bool {
        guard let suspicion = suspicions[slot] else { return false }
        return suspicion.wantsAccusers && !suspicion.accusers.contains(node)
    }

    mutating func beginSuspicion(_ slot: Int, on rumour: MemberRecord, at now: LogicalInstant) {
        guard let member = table[slot] else { return }
        let isYoung = now - member.metAt < tuning.youth && !mutated(.sparesNoYouth)
        var suspicion = Suspicion(
            at: now, members: memberCount, patience: isYoung ? tuning.youthPatience : 1, number: nextSequence, tuning: tuning)
        _ = suspicion.accuse(by: rumour.accuser ?? node, refused: rumour.refused)
        suspicions[slot] = suspicion
        table.update(slot) { $0.accusers = suspicion.accusers }
    }

    /// A second accuser of a suspicion that we hold: it shortens the time, and travels on under its own name.
    mutating func confirm(_ slot: Int, by rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]) {
        guard let member = table[slot], member.status == .suspect, rumour.status == .suspect || rumour.status == .dead,
            rumour.life == member.record.life, let accuser = rumour.accuser,
            suspicions[slot]?.accuse(by: accuser, refused: rumour.refused) == true
        else { return }
        let accusers = suspicions[slot]?.accusers ?? []
        table.update(slot) {
            $0.record.accuser = accuser
            $0.record.refused = rumour.refused
            $0.accusers = accusers
        }
        spread(slot)
        seekSecondWitness(against: slot, on: rumour, &actions)
    }

    /// Whether a heard verdict counts at once: about a life newer than we knew, about one that we hold dead already, about a suspect
    /// who has had time to refute and whom we have called in vain, or whose links were refused to two and who does not answer us.
    /// Otherwise it is one more accusation, and ours to judge when its time is over.
    ///
    /// Where the halves of a large cut meet again, hundreds are accused in one instant, and many a refutation is late: a verdict that is
    /// heard twice, once as an accusation and again when the suspect has had its time, would kill who answers everybody that asks.
    func accepts(_ verdict: MemberRecord, on member: Member, _ slot: Int, at now: LogicalInstant) -> Bool {
        if mutated(.believesVerdicts) { return true }
        if member.record.life.generation < verdict.life.generation || !member.isActive { return true }
        guard member.record.life == verdict.life, var suspicion = suspicions[slot] else { return false }
        if verdict.refused, let accuser = verdict.accuser {
            _ = suspicion.accuse(by: accuser, refused: true)
            if suspicion.isCertain, suspicion.isCalledInVain || mutated(.believesRefusers) { return true }
        }
        return suspicion.isRipe(at: now) && (isDeaf(suspicion, at: now) || mutated(.believesUncalled))
    }

    /// Whether a suspect has not answered us either.
    func isDeaf(_ suspicion: Suspicion, at now: LogicalInstant) -> Bool {
        suspicion.isDeaf(to: callsInVain, for: tuning.probeTimeout, at: now)
    }

    /// Whether we have found out ourselves that it does not answer.
    func hasEvidence(_ suspicion: Suspicion, at now: LogicalInstant) -> Bool {
        suspicion.accusers.contains(node) || suspicion.isCalledInVain || isDeaf(suspicion, at: now)
    }

    private var callsInVain: Int {
        if mutated(.believesUncalled) { return 0 }
        return mutated(.callsOnce) ? 1 : SwimLimits.callsInVain
    }

    mutating func judgeSuspects(at now: LogicalInstant, _ actions: inout [Action]) {
        guard !suspicions.entries.isEmpty else { return }
        for entry in suspicions.entries {
            askIfLong(entry, at: now)
            if isOver(entry, at: now, &actions) { condemn(entry, at: now, &actions) }
        }
    }

    /// A suspicion that outlasts its shortest time lacks accusers, or we have missed what became of it: whoever we compare with next
    /// knows. A rumour ends after so many tellings, heard or not. Where many have fallen, whoever we ask may be among them: so we ask
    /// again.
    private mutating func askIfLong(_ entry: SuspicionList.Entry, at now: LogicalInstant) {
        let last = entry.suspicion.askedAt ?? entry.suspicion.since
        guard now - last >= entry.suspicion.shortestLength, !mutated(.waitsInDoubt),
            !(mutated(.asksOnce) && entry.suspicion.askedAt != nil)
        else { return }
        suspicions[entry.slot]?.askedAt = now
        nextSync = now
    }

    private mutating func isOver(
        _ entry: SuspicionList.Entry, at now: LogicalInstant, _ actions: inout [Action]
    ) -> Bool {
        let suspicion = entry.suspicion
        let needed = mutated(.trustsOneRefusal) ? 1 : SwimLimits.refusers
        if suspicion.refusers.count >= needed {
            if suspicion.isCalledInVain || mutated(.believesRefusers) { return true }
            lookInto(entry.slot, isOurs: false, at: now, &actions)
        }
        let length = mutated(.needsNoConfirmation) ? suspicion.shortestLength : suspicion.length
        // A judge that is sick itself gives the suspect more time; one lost answer is no sickness yet.
        // With nobody else to ask, its silence is all there will ever be, and no sign of our health.
        let hasOthers = table.activeCount > 1
        let deadline = suspicion.since + length * (hasOthers && !mutated(.judgesWhenSick) ? max(1, localHealth) : 1)
        if suspicion.wantsCall(at: now, early: callsInVain, lastAt: deadline - tuning.probeTimeout) {
            suspicions[entry.slot]?.noteCall(at: now)
            call(entry.slot, at: now, &actions)
            return false
        }
        guard now >= deadline, suspicion.isDeaf(to: callsInVain + 1, for: tuning.probeTimeout, at: now) else { return false }
        return !hasOthers || lastAnswered > suspicion.number || mutated(.judgesUnheard)
    }

    /// Pings a suspect out of its turn, with what is held against it.
    mutating func call(_ slot: Int, at now: LogicalInstant, _ actions: inout [Action]) {
        guard let member = table[slot] else { return }
        let body = SwimMessage.Body.ping(sequence: sequence(), target: member.node)
        actions.append(.send(message(body, to: member, first: accusation(of: member)), to: member.profile.gossip))
    }

    private mutating func condemn(_ entry: SuspicionList.Entry, at now: LogicalInstant, _ actions: inout [Action]) {
        guard let member = table[entry.slot] else { return }
        counters.verdicts += 1
        var verdict = member.record
        verdict.status = .dead
        verdict.accuser = node
        verdict.refused = entry.suspicion.isCertain
        table.update(entry.slot) {
            $0.record = verdict
            $0.since = now
        }
        suspicions[entry.slot] = nil
        spread(entry.slot)
        prepareReport(of: entry.slot, evidence: hasEvidence(entry.suspicion, at: now), at: now)
        actions.append(.memberChanged(verdict))
    }
}
