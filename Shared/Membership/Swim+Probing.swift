import Model

/// The probe of this period.
struct Probe: Hashable, Sendable {
    let target: NodeID
    let sequence: UInt64
    let sentAt: LogicalInstant
    let helpersAt: LogicalInstant
    let endsAt: LogicalInstant
    var isEscalated = false
    /// Who was asked to help, and has said nothing yet.
    var silent: [NodeID] = []
    var asked = 0
}

/// A ping that we sent for somebody else.
struct Relay: Hashable, Sendable {
    /// Ours, and theirs.
    let sequence: UInt64
    let origin: String
    let originSequence: UInt64
    let target: NodeID
    let nackAt: LogicalInstant
    var nacked = false
    let endsAt: LogicalInstant
}

/// Each slot once, in an order that only a few numbers hold: steps of a width that shares no factor with the count.
struct ProbeRound: Hashable, Sendable {
    private var slots = 0
    private var width = 1
    private var slot = 0
    private var left = 0

    /// The next slot; nil when the round is over.
    mutating func next() -> Int? {
        guard left > 0 else { return nil }
        left -= 1
        slot = (slot + width) % slots
        return slot
    }

    mutating func begin(slots count: Int, using generator: inout SeededGenerator) {
        slots = count
        left = count
        guard count > 1 else { return (width, slot) = (1, 0) }
        slot = Int.random(in: 0..<count, using: &generator)
        repeat { width = Int.random(in: 1..<count, using: &generator) } while Self.commonFactor(width, count) > 1
    }

    private static func commonFactor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : commonFactor(b, a % b) }
}

// One member per period, in a round of its own order, so that each is probed within 2N - 1 periods (SWIM 4.3).
extension Swim {
    mutating func probing(at now: LogicalInstant, _ actions: inout [Action]) {
        if var current = probe {
            if !current.isEscalated, now >= current.helpersAt, now < current.endsAt {
                escalate(&current, &actions)
                probe = current
            }
            if now >= current.endsAt {
                probe = nil
                probeFailed(current, at: now, &actions)
            }
        }
        if probe == nil, now >= nextProbe { startProbe(at: now, &actions) }
        serveRelays(at: now, &actions)
    }

    private mutating func startProbe(at now: LogicalInstant, _ actions: inout [Action]) {
        nextProbe = now + tuning.probeInterval * patience
        guard let target = nextTarget() else { return }
        counters.probes += 1
        let number = sequence()
        probe = Probe(
            target: target.node, sequence: number, sentAt: now, helpersAt: now + tuning.probeTimeout * patience,
            endsAt: nextProbe)
        // Comparing costs no datagram of its own: a digest rides on a ping, of one that is likely to come back.
        let digest = target.status == .alive || mutated(.asksTheDeaf) ? digestIfDue(at: now) : nil
        actions.append(
            .send(
                message(
                    .ping(sequence: number, target: target.node), to: target, first: accusation(of: target), digest: digest),
                to: target.profile.gossip))
    }

    /// Buddy system: a suspect hears of the suspicion with the very ping that could clear it.
    func accusation(of member: Member) -> MemberRecord? {
        member.status == .alive || mutated(.hidesAccusations) ? nil : member.record
    }

    /// Suspects that need our word come first. While several are suspect, every other probe goes to a neighbour of one of them: a rack
    /// falls as a whole, and whoever stands beside the fallen is the likeliest to be down and not known to be.
    private mutating func nextTarget() -> Member? {
        while !doubted.isEmpty {
            let slot = doubted.removeFirst()
            if needsOurWord(slot) { return table[slot] }
        }
        looksAround.toggle()
        if looksAround, suspicions.entries.count > 1, !mutated(.looksNowhereElse),
            let fallen = suspicions.entries.randomElement(using: &generator).flatMap({ table[$0.slot] }),
            let neighbour = pick(1, where: { $0.status == .alive && $0.profile.zone == fallen.profile.zone }).first
        {
            return neighbour
        }
        for _ in 0..<2 {
            while let slot = round.next() {
                if let member = table[slot], member.isActive { return member }
            }
            if table.slots > 0 { round.begin(slots: table.slots, using: &generator) }
        }
        return nil
    }

    /// No answer in time: others are asked to try, and so is the link, all at once.
    private mutating func escalate(_ probe: inout Probe, _ actions: inout [Action]) {
        guard let target = table[probe.target] else { return }
        probe.isEscalated = true
        if !mutated(.asksNoLink) {
            actions.append(.stream(to: target.node, address: target.profile.link, sequence: probe.sequence))
        }
        probe.silent = askHelpers(about: target, sequence: probe.sequence, &actions)
        probe.asked = probe.silent.count
    }

    /// - Returns: who was asked to ping it for us.
    mutating func askHelpers(
        about target: Member, except others: [NodeID] = [], sequence: UInt64, _ actions: inout [Action]
    ) -> [NodeID] {
        guard !mutated(.asksNoHelpers) else { return [] }
        let helpers = pick(tuning.helpers) {
            $0.status == .alive && $0.node != target.node && !others.contains($0.node)
        }
        let body = SwimMessage.Body.pingRequest(sequence: sequence, target: target.node, address: target.profile.gossip)
        for helper in helpers { actions.append(.send(message(body), to: helper.profile.gossip)) }
        return helpers.map(\.node)
    }

    private mutating func probeFailed(_ probe: Probe, at now: LogicalInstant, _ actions: inout [Action]) {
        counters.failedProbes += 1
        if probe.silent.count == probe.asked { counters.unheardProbes += 1 }
        // Helpers who do not even say "nack" point at our own link or load (Lifeguard, LHA-Probe); unless they are in doubt themselves,
        // as when many fall at once.
        sicken(by: probe.asked > 0 ? Int64(probe.silent.count { table[$0]?.status == .alive }) : 1)
        accuse(probe.target, refused: false, at: now, &actions)
    }

    /// What we found out ourselves.
    mutating func accuse(_ target: NodeID, refused: Bool, at now: LogicalInstant, _ actions: inout [Action]) {
        guard let slot = table.slot(of: target), let member = table[slot], member.isActive else { return }
        var accusation = member.record
        accusation.status = .suspect
        accusation.accuser = node
        accusation.refused = refused
        suspect(slot, on: accusation, at: now, &actions)
    }

    mutating func acknowledged(_ number: UInt64, by sender: NodeID, at now: LogicalInstant, _ actions: inout [Action]) {
        guard number > firstSequence, number <= nextSequence else {
            actions.append(.dropped(.late))
            return
        }
        answered(number, by: sender, at: now)
        if let current = probe, current.sequence == number {
            probe = nil
            // After a detour nobody can tell which way the answer came, and where our own tick is overdue, it has waited for us.
            if !current.isEscalated, now - tickDue <= tuning.tick, let slot = table.slot(of: current.target) {
                noteRoundTrip(now - current.sentAt, to: slot)
            }
            recover()
            return
        }
        if let index = refusals.firstIndex(where: { $0.sequence == number }) {
            refusalAnswered(index, at: now)
            return
        }
        guard let index = relays.firstIndex(where: { $0.sequence == number && $0.target == sender }) else {
            actions.append(.dropped(.late))
            return
        }
        let relay = relays.remove(at: index)
        actions.append(.send(message(.ack(sequence: relay.originSequence)), to: relay.origin))
    }

    /// Somebody has answered a ping of ours, however late. A suspect that answers what was sent since the suspicion began is there,
    /// and will refute: its time starts anew.
    private mutating func answered(_ number: UInt64, by sender: NodeID, at now: LogicalInstant) {
        // Before all suspicions begin anew with this answer, which is this one's own.
        let slot = table.slot(of: sender)
        let clears = slot.flatMap { suspicions[$0] }.map { number > $0.number } ?? false
        noteAnswer(to: number, at: now)
        doubtDeath(of: sender, at: now)
        guard clears, let slot else { return }
        suspicions[slot]?.answered(at: now, number: nextSequence)
    }

    /// Somebody has answered. Where nobody did for a while, whom we suspect was silent because of us, and was called in vain long ago:
    /// each has its time anew, and is called in it, and so hears what it has to refute.
    mutating func noteAnswer(to number: UInt64, at now: LogicalInstant) {
        // Where many fall, nobody answers for a moment either.
        let silence = now - (lastAck ?? startedAt)
        if silence > tuning.syncInterval, isIsolated(at: now), !mutated(.blamesOthersForItsCut) {
            suspicions.restart(at: now, number: nextSequence)
        }
        lastAck = now
        lastAnswered = max(lastAnswered, number)
    }

    mutating func refused(_ number: UInt64, by helper: NodeID, _ actions: inout [Action]) {
        if let index = refusals.firstIndex(where: { $0.sequence == number }) { return refusalHelped(index, by: helper) }
        guard probe?.sequence == number else {
            actions.append(.dropped(.late))
            return
        }
        probe?.silent.removeAll { $0 == helper }
    }

    mutating func relay(
        _ number: UInt64, to target: NodeID, at address: String, for origin: String, at now: LogicalInstant,
        _ actions: inout [Action]
    ) {
        if relays.count >= SwimLimits.relays {
            // Whose origin was told already is waited for in vain, most likely.
            guard let told = relays.firstIndex(where: \.nacked) else { return }
            relays.remove(at: told)
        }
        let own = sequence()
        // Our own knowledge of the address is at least as good as the asker's where we have any.
        let known = table[target]
        relays.append(
            Relay(
                sequence: own, origin: origin, originSequence: number, target: target,
                // A tick early, since ticks are what it waits for: a nack after the origin's period is none.
                nackAt: now + tuning.probeTimeout * 4 / 5 - tuning.tick,
                endsAt: now + tuning.probeInterval * (1 + tuning.healthCeiling)))
        let body = SwimMessage.Body.ping(sequence: own, target: target)
        let ping = message(body, to: known, first: known.flatMap(accusation(of:)))
        actions.append(.send(ping, to: known?.profile.gossip ?? address))
    }

    private mutating func serveRelays(at now: LogicalInstant, _ actions: inout [Action]) {
        guard !relays.isEmpty else { return }
        for index in relays.indices where !relays[index].nacked && now >= relays[index].nackAt {
            relays[index].nacked = true
            if mutated(.sendsNoNacks) { continue }
            actions.append(.send(message(.nack(sequence: relays[index].originSequence)), to: relays[index].origin))
        }
        relays.removeAll { now >= $0.endsAt }
    }
}
