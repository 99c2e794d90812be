import Model

/// A member that was told of its own past, and when: told again only after a while.
struct Correction: Hashable, Sendable {
    let node: NodeID
    let at: LogicalInstant
}

// What comes in: who sent it, what it says of others, and of us.
extension Swim {
    mutating func receive(_ message: SwimMessage, from address: String, at now: LogicalInstant, _ actions: inout [Action]) {
        guard message.from != node else {
            noticeIdentity(of: message, &actions)
            actions.append(.dropped(.echo))
            return
        }
        guard phase != .departed else { return }
        // Read before the rumours: they may settle what we hold of the sender.
        for rumour in message.rumours { hear(rumour, at: now, &actions) }
        noticeRevision(message, &actions)
        meet(message, from: address, at: now, &actions)
        switch message.body {
        case .ping(let number, let target):
            guard target == node else {
                actions.append(.dropped(.misdirected))
                return
            }
            actions.append(.send(self.message(.ack(sequence: number), first: accusation(against: message)), to: address))
        case .pingRequest(let number, let target, let targetAddress):
            guard target != node else {
                actions.append(.send(self.message(.ack(sequence: number)), to: address))
                return
            }
            relay(number, to: target, at: targetAddress, for: address, at: now, &actions)
        case .ack(let number): acknowledged(number, by: message.from, at: now, &actions)
        case .nack(let number): refused(number, &actions)
        case .gossip: break
        case .sync(let page, _, let answer):
            // One answer per exchange, whatever its pages say.
            if answer, page == 0 { sendSync(to: address, answer: false, &actions) }
        }
    }

    /// What we hold against the sender's present life, so that it can refute it.
    private func accusation(against message: SwimMessage) -> [MemberRecord] {
        guard let member = table[message.from], member.status != .alive, message.life <= member.record.life else { return [] }
        return [member.record]
    }

    /// The sender is somebody new, or somebody whom we must tell of the past.
    private mutating func meet(
        _ message: SwimMessage, from address: String, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        guard let member = table[message.from], member.record.life.generation >= message.life.generation else {
            // Unknown in this life: a sync brings its profile. Both sides' knowledge travels.
            if mayTell(message.from, at: now) { sendSync(to: address, answer: true, &actions) }
            return
        }
        if !member.heard, member.record.life.generation == message.life.generation {
            table[message.from]?.heard = true
            table[message.from]?.metAt = now
        }
        // A ping's answer carries the accusation anyway.
        if case .ping = message.body { return }
        let held = accusation(against: message)
        if !held.isEmpty, mayTell(message.from, at: now) {
            actions.append(.send(self.message(.gossip, first: held), to: address))
        }
    }

    /// At most one unasked answer to one node in a probe interval: a zombie is told, not flooded.
    private mutating func mayTell(_ node: NodeID, at now: LogicalInstant) -> Bool {
        corrected.removeAll { now - $0.at >= tuning.probeInterval }
        guard corrected.count < 256, !corrected.contains(where: { $0.node == node }) else { return false }
        corrected.append(Correction(node: node, at: now))
        return true
    }

    private mutating func noticeRevision(_ message: SwimMessage, _ actions: inout [Action]) {
        guard message.revision > newestRevision else { return }
        newestRevision = message.revision
        actions.append(.revisionHeard(message.revision, from: message.from))
    }

    private mutating func noticeIdentity(of message: SwimMessage, _ actions: inout [Action]) {
        guard message.life.generation > life.generation, !toldOfIdentity else { return }
        toldOfIdentity = true
        var record = ownRecord
        record.life = message.life
        actions.append(.identityInUse(record))
    }

    // MARK: Rumours

    mutating func hear(_ rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]) {
        guard rumour.profile.fits else {
            actions.append(.dropped(.implausible))
            return
        }
        guard rumour.node != node else {
            hearOfOurselves(rumour, &actions)
            return
        }
        guard let member = table[rumour.node] else {
            welcome(rumour, at: now, &actions)
            return
        }
        guard rumour.outranks(member.record) else {
            confirm(member, by: rumour, at: now)
            return
        }
        switch rumour.status {
        case .alive, .left: replace(member, with: rumour, at: now, &actions)
        case .suspect: suspect(member, on: rumour, at: now, &actions)
        case .dead:
            if accepts(rumour, on: member, at: now) {
                replace(member, with: rumour, at: now, &actions)
            } else {
                var doubt = rumour
                doubt.status = .suspect
                suspect(member, on: doubt, at: now, &actions)
            }
        }
    }

    /// Whether a heard verdict counts at once: about a life newer than we knew, about one that we hold dead already, or about a
    /// suspect who has had time to refute. Otherwise it is one more accusation, and ours to judge when its time is over.
    private func accepts(_ verdict: MemberRecord, on member: Member, at now: LogicalInstant) -> Bool {
        if member.record.life.generation < verdict.life.generation || !member.isActive { return true }
        guard member.record.life == verdict.life, let suspicion = member.suspicion else { return false }
        return suspicion.isRipe(at: now)
    }

    private mutating func welcome(_ rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]) {
        var member = Member(record: rumour, since: now, metAt: now, heard: true, inRoster: false, suspicion: nil)
        if rumour.status == .suspect {
            member.suspicion = suspicion(of: member, by: rumour.accuser ?? node, at: now, members: memberCount + 1)
        }
        table[rumour.node] = member
        if member.isActive { addToRound(rumour.node) }
        queue.insert(rumour)
        actions.append(.memberChanged(rumour))
    }

    private mutating func replace(
        _ member: Member, with rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        var updated = member
        updated.record = rumour
        if !member.heard || rumour.life.generation != member.record.life.generation { updated.metAt = now }
        updated.heard = true
        updated.suspicion = nil
        if updated.status != member.status || rumour.life.generation != member.record.life.generation { updated.since = now }
        table[member.node] = updated
        queue.insert(rumour)
        switch rumour.status {
        case .alive:
            reports.removeAll { $0.node == member.node }
            if !member.isActive { addToRound(member.node) }
        case .dead: prepareReport(of: updated, evidence: member.suspicion?.accusers.contains(node) ?? false, at: now)
        case .left: reports.removeAll { $0.node == member.node }
        case .suspect: break
        }
        actions.append(.memberChanged(rumour))
    }

    /// Starts or strengthens a suspicion. The rumour outranks what we hold, or is our own.
    mutating func suspect(_ member: Member, on rumour: MemberRecord, at now: LogicalInstant, _ actions: inout [Action]) {
        if member.status == .suspect, member.record.life == rumour.life {
            confirm(member, by: rumour, at: now)
            return
        }
        counters.suspicions += 1
        var updated = member
        updated.record = rumour
        updated.record.status = .suspect
        updated.since = now
        updated.suspicion = suspicion(of: member, by: rumour.accuser ?? node, at: now, members: memberCount)
        table[member.node] = updated
        queue.insert(updated.record)
        actions.append(.memberChanged(updated.record))
    }

    private func suspicion(of member: Member, by accuser: NodeID, at now: LogicalInstant, members: Int) -> Suspicion {
        let isYoung = now - member.metAt < tuning.youth
        return Suspicion(
            by: accuser, at: now, members: members, patience: isYoung ? tuning.youthPatience : 1, tuning: tuning)
    }

    /// A second accuser of a suspicion that we hold: it shortens the time, and travels on under its own name.
    private mutating func confirm(_ member: Member, by rumour: MemberRecord, at now: LogicalInstant) {
        guard member.status == .suspect, rumour.status == .suspect || rumour.status == .dead,
            rumour.life == member.record.life, let accuser = rumour.accuser
        else { return }
        var updated = member
        guard updated.suspicion?.confirm(by: accuser) == true else { return }
        updated.record.accuser = accuser
        table[member.node] = updated
        queue.insert(updated.record)
    }

    /// Refutes what is said of our present life; a rumour about a past one is outranked by what we tell of ourselves anyway.
    private mutating func hearOfOurselves(_ rumour: MemberRecord, _ actions: inout [Action]) {
        let ours = ownRecord
        if rumour.life.generation > life.generation
            || (rumour.life == life && rumour.profile.store != profile.store && rumour.status == .alive)
        {
            guard !toldOfIdentity else { return }
            toldOfIdentity = true
            actions.append(.identityInUse(rumour))
            return
        }
        guard phase == .running else { return }
        if rumour.outranks(ours) {
            life.incarnation = max(life.incarnation, rumour.life.incarnation) + 1
            counters.refutations += 1
            sicken(by: 1)
            queue.insert(ownRecord)
        } else if rumour.life.generation < life.generation || rumour.status != .alive && rumour.life < life {
            // Of the past, or refuted already: whoever still says so has missed what we are now.
            queue.insert(ours)
        }
    }

    // MARK: Verdicts

    mutating func judgeSuspects(at now: LogicalInstant, _ actions: inout [Action]) {
        for member in table.all {
            guard let suspicion = member.suspicion, now + tuning.probeTimeout >= suspicion.deadline else { continue }
            guard let calledAt = suspicion.calledAt else {
                table[member.node]?.suspicion?.calledAt = now
                let ping = message(.ping(sequence: sequence(), target: member.node), first: [member.record])
                actions.append(.send(ping, to: member.profile.gossip))
                continue
            }
            guard now >= suspicion.deadline, now - calledAt >= tuning.probeTimeout else { continue }
            // With nobody else to ask, silence of the suspect is all there will ever be.
            let witnesses = table.all.contains { $0.isActive && $0.node != member.node }
            if witnesses, lastAck.map({ $0 < suspicion.since }) ?? true { continue }
            counters.verdicts += 1
            var verdict = member.record
            verdict.status = .dead
            verdict.accuser = node
            var updated = member
            updated.record = verdict
            updated.since = now
            updated.suspicion = nil
            table[member.node] = updated
            queue.insert(verdict)
            prepareReport(of: updated, evidence: true, at: now)
            actions.append(.memberChanged(verdict))
        }
    }
}
