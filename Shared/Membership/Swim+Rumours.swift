import Model

/// A member that was told of its own past, and when: told again only after a while.
struct Correction: Hashable, Sendable {
    let node: NodeID
    let at: LogicalInstant
}

extension Swim.Action {
    /// Whether something was learned.
    fileprivate var isNews: Bool {
        if case .memberChanged = self { return true }
        return false
    }
}

// What comes in: who sent it, what it says of others, and of us.
extension Swim {
    mutating func receive(_ message: SwimMessage, from address: String, at now: LogicalInstant, _ actions: inout [Action]) {
        guard message.life.generation.number <= SwimLimits.latestGeneration || mutated(.believesAnyNumber) else {
            actions.append(.dropped(.implausible))
            return
        }
        guard message.from != node else {
            noticeIdentity(of: message, &actions)
            actions.append(.dropped(.echo))
            return
        }
        guard phase != .departed else { return }
        guard !isRetired(message.from, message.life) else {
            actions.append(.dropped(.retired))
            return
        }
        // Read before the rumours: they may settle what we hold of the sender.
        for _ in 0..<message.unknownRumours { actions.append(.dropped(.otherVersion)) }
        let changes = actions.count
        for rumour in message.rumours {
            hear(rumour, by: message.from, isNews: message.body != .records, at: now, &actions)
        }
        // Who has learned by comparing has more to learn.
        if message.body == .records, actions[changes...].contains(where: \.isNews) {
            nextSync = min(nextSync, now + tuning.syncInterval / 10)
        }
        noticeRevision(message, &actions)
        meet(message, from: address, at: now, &actions)
        if let digest = message.digest { compare(digest, from: address, &actions) }
        switch message.body {
        case .ping(let number, let target):
            guard target == node else {
                actions.append(.dropped(.misdirected))
                return
            }
            actions.append(.send(self.message(.ack(sequence: number), first: correction(of: message)), to: address))
        case .pingRequest(let number, let target, let targetAddress):
            guard target != node else {
                actions.append(.send(self.message(.ack(sequence: number)), to: address))
                return
            }
            relay(number, to: target, at: targetAddress, for: address, at: now, &actions)
        case .ack(let number): acknowledged(number, by: message.from, at: now, &actions)
        case .nack(let number): refused(number, by: message.from, &actions)
        case .gossip, .records: break
        }
    }

    /// What we hold against the sender, so that it can refute it; or of its later life, so that it knows that it is over.
    private func correction(of message: SwimMessage) -> MemberRecord? {
        guard let member = table[message.from] else { return nil }
        if message.life.generation < member.record.life.generation { return mutated(.tellsNoZombies) ? nil : member.record }
        guard member.status != .alive, message.life <= member.record.life, !mutated(.hidesAccusations) else { return nil }
        return member.record
    }

    /// The sender is somebody new, or somebody whom we must tell of the past.
    private mutating func meet(
        _ message: SwimMessage, from address: String, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        guard let slot = table.slot(of: message.from), let member = table[slot],
            member.record.life.generation >= message.life.generation
        else {
            // Unknown in this life: a comparison brings its profile. Both sides' knowledge travels.
            if mayTell(message.from, at: now) {
                actions.append(.send(self.message(.gossip, digest: digest(answer: true)), to: address))
            }
            return
        }
        if !member.inRoster, !member.hasSpoken { table.update(slot) { $0.hasSpoken = true } }
        if !member.heard, member.record.life.generation == message.life.generation {
            table.update(slot) {
                $0.heard = true
                $0.metAt = now
            }
            // Until now it was only expected.
            actions.append(.memberChanged(member.record))
        }
        // A ping's answer carries the correction anyway.
        if case .ping = message.body { return }
        if let held = correction(of: message), mayTell(message.from, at: now) {
            actions.append(.send(self.message(.gossip, first: held), to: address))
        }
    }

    /// At most one unasked answer to one node in a probe interval: a zombie is told, not flooded.
    mutating func mayTell(_ node: NodeID, at now: LogicalInstant) -> Bool {
        if mutated(.tellsZombiesAlways) { return true }
        corrected.removeAll { now - $0.at >= tuning.probeInterval }
        guard corrected.count < SwimLimits.corrections, !corrected.contains(where: { $0.node == node }) else { return false }
        corrected.append(Correction(node: node, at: now))
        return true
    }

    private mutating func noticeRevision(_ message: SwimMessage, _ actions: inout [Action]) {
        // A coordinator tells of what it has applied. It could ask nobody about what it has only heard of, and would tell it on for ever.
        guard profile.kind == .agent, message.revision > newestRevision, !disbelievedRevisions.contains(message.revision) else {
            return
        }
        newestRevision = message.revision
        actions.append(.revisionHeard(message.revision, from: message.from))
    }

    mutating func noteApplied(_ revision: Revision) {
        appliedRevision = max(appliedRevision, revision)
        newestRevision = max(newestRevision, revision)
    }

    /// Any other revision counts as before, a lower one too: what is real may lie between ours and one that was wrong.
    mutating func disbelieve(_ revision: Revision) {
        guard revision > appliedRevision else { return }
        counters.disbelievedRevisions += 1
        disbelievedRevisions.append(revision)
        disbelievedRevisions.removeFirst(max(0, disbelievedRevisions.count - SwimLimits.disbelievedRevisions))
        if newestRevision == revision { newestRevision = appliedRevision }
    }

    private mutating func noticeIdentity(of message: SwimMessage, _ actions: inout [Action]) {
        guard message.life.generation > life.generation else { return }
        var record = ownRecord
        record.life = message.life
        tellOfIdentity(record, &actions)
    }

    // MARK: Rumours

    /// - Parameter isNews: whether it is told because it is new; if not, it is from a comparison, and others know it.
    private mutating func hear(
        _ told: MemberRecord, by sender: NodeID, isNews: Bool, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        guard told.profile.fits, let rumour = credible(told, by: sender) else { return actions.append(.dropped(.implausible)) }
        guard rumour.profile.versions.meets(.ours) else { return actions.append(.dropped(.otherVersion)) }
        guard !isRetired(rumour.node, rumour.life) else { return actions.append(.dropped(.retired)) }
        guard rumour.node != node else { return hearOfOurselves(rumour, &actions) }
        guard let slot = table.slot(of: rumour.node), let member = table[slot] else {
            return welcome(rumour, isNews: isNews, at: now, &actions)
        }
        guard !isDisputed(rumour, beside: member, slot, &actions) else { return actions.append(.dropped(.disputed)) }
        let isOwnWord = sender == rumour.node
        guard outranks(rumour, member.record) else {
            if isOwnWord, rumour.status == .left, rumour.life == member.record.life { confirmFarewell(of: slot) }
            return confirm(slot, by: rumour, at: now, &actions)
        }
        let news = withProfile(of: member, rumour)
        switch news.status {
        case .alive, .left: replace(slot, with: news, isOwnWord: isOwnWord, at: now, &actions)
        case .suspect: suspect(slot, on: news, at: now, &actions)
        case .dead:
            if accepts(news, on: member, slot, at: now) {
                replace(slot, with: news, isOwnWord: false, at: now, &actions)
            } else {
                var doubt = news
                doubt.status = .suspect
                suspect(slot, on: doubt, at: now, &actions)
                if news.refused { lookInto(slot, isOurs: false, at: now, &actions) } else { call(slot, at: now, &actions) }
            }
        }
    }

    /// What of a rumour can be believed, so that no number silences its subject or locks it out: as much above what is held of it
    /// as a healthy member may have come further unheard, and no more. Its answer may exceed what it answers by as much again as
    /// others who have not heard the accusation believe. Where we have missed so much that even its own word is too high, that
    /// counts for as much as can be believed now, and for more the next time; and of what we hear of ourselves, we answer no more
    /// than others believe.
    /// - Returns: nil when nothing of it can.
    private func credible(_ rumour: MemberRecord, by sender: NodeID) -> MemberRecord? {
        if mutated(.believesAnyNumber) { return rumour }
        let isOurs = rumour.node == node
        let held = isOurs ? life : table[rumour.node]?.record.life
        let isRefutation: Bool
        switch rumour.status {
        case .alive, .left: isRefutation = true
        case .suspect, .dead: isRefutation = false
        }
        let isOwnWord = isRefutation && sender == rumour.node && !mutated(.believesNoLeap)
        var credible = rumour
        let latest = min(
            (held?.generation.number ?? 0) + SwimLimits.generations * (isRefutation ? 2 : 1), SwimLimits.latestGeneration)
        if rumour.life.generation.number > latest {
            guard isOwnWord, rumour.life.generation.number <= SwimLimits.latestGeneration else { return nil }
            credible.life = Life(generation: Generation(latest), incarnation: 0)
        }
        var most = SwimLimits.incarnation
        if let held, held.generation == credible.life.generation { most = max(most, held.incarnation) }
        if isOurs {
            // What outbids it is what the others believe.
            most += SwimLimits.refutations - 1
        } else if isRefutation {
            most += SwimLimits.refutations
        }
        if credible.life.incarnation > most {
            guard isOwnWord || isOurs else { return nil }
            credible.life.incarnation = most
        }
        return credible
    }

    private func outranks(_ rumour: MemberRecord, _ held: MemberRecord) -> Bool {
        if mutated(.acceptsOldNews) { return rumour != held }
        if mutated(.ignoresGenerations) {
            return (held.life.incarnation, held.status.rawValue) < (rumour.life.incarnation, rumour.status.rawValue)
        }
        return rumour.outranks(held)
    }

    /// What a member says of itself is fixed for one incarnation: who repeats it later may have it wrong.
    private func withProfile(of member: Member, _ rumour: MemberRecord) -> MemberRecord {
        guard member.heard, member.record.life == rumour.life, !mutated(.changesProfiles) else { return rumour }
        var kept = rumour
        kept.profile = member.profile
        return kept
    }

    /// Whether it is another process than the one that we know in this generation: a copied folder, most likely. A process has one
    /// store and one address all its life. Or one that was registered before the one that is registered now: whatever later life it
    /// says it has, that is its successor's death which it outlives.
    private mutating func isDisputed(
        _ rumour: MemberRecord, beside member: Member, _ slot: Int, _ actions: inout [Action]
    ) -> Bool {
        let isCopy =
            (member.heard || member.isCommitted) && member.record.life.generation == rumour.life.generation
            && member.profile.isOfAnother(than: rumour.profile)
        let isPredecessor =
            member.isCommitted && member.record.life.generation < rumour.life.generation && rumour.profile.session != .none
            && rumour.profile.session < member.profile.session
        guard isCopy || isPredecessor, !mutated(.ignoresDisputes) else { return false }
        dispute(slot, by: rumour, &actions)
        return true
    }

    mutating func dispute(_ slot: Int, by rumour: MemberRecord, _ actions: inout [Action]) {
        guard table[slot]?.isDisputed == false else { return }
        counters.disputedIdentities += 1
        table.update(slot) { $0.isDisputed = true }
        actions.append(.identityDisputed(rumour))
    }

    private mutating func welcome(
        _ rumour: MemberRecord, isNews: Bool, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        // Whoever we never knew, and who is no more, need not be remembered: or the dead would be handed on for ever.
        guard rumour.status == .alive || rumour.status == .suspect || mutated(.remindsOfTheDead) else { return }
        guard makeRoomForStranger() else { return actions.append(.dropped(.crowded)) }
        let member = Member(record: rumour, at: now, heard: true, inRoster: false)
        let slot = table.insert(member)
        if rumour.status == .suspect { beginSuspicion(slot, on: rumour, at: now) }
        if isNews { spread(slot) }
        actions.append(.memberChanged(rumour))
    }

    /// - Parameter isOwnWord: whether the member says so itself.
    private mutating func replace(
        _ slot: Int, with rumour: MemberRecord, isOwnWord: Bool, at now: LogicalInstant, _ actions: inout [Action]
    ) {
        guard let member = table[slot] else { return }
        let isNewLife = rumour.life.generation != member.record.life.generation
        if member.status == .dead, rumour.status == .alive, !isNewLife {
            counters.falsePositives += 1
            // It was cut off from us, and hardly alone: who else is back, of whom we were not told?
            if !mutated(.asksForNoOthers) { nextSync = min(nextSync, now + tuning.syncInterval / 10) }
        }
        // What we found out about one life says nothing of the next.
        let evidence = !isNewLife && (suspicions[slot].map { hasEvidence($0, at: now) } ?? false)
        table.update(slot) {
            $0.record = rumour
            if !member.heard || isNewLife { $0.metAt = now }
            $0.heard = true
            if rumour.status != member.status || isNewLife { $0.since = now }
            if isNewLife { $0.isDisputed = false }
            if isNewLife { $0.isCommitted = false }
            if rumour.status != .dead { $0.accusers = [] }
        }
        suspicions[slot] = nil
        spread(slot)
        switch rumour.status {
        case .alive: findings.removeAll { $0.slot == slot }
        case .left: prepareReport(of: slot, evidence: isOwnWord || mutated(.believesFarewells), at: now)
        case .dead: prepareReport(of: slot, evidence: evidence, at: now)
        case .suspect: break
        }
        actions.append(.memberChanged(rumour))
    }

    /// Puts what we hold of a member into the queue.
    mutating func spread(_ slot: Int) {
        guard let member = table[slot] else { return }
        queue.insert(slot, member.status)
    }

    /// Whether it is about another process that goes by our name in our generation: a process has one store and one address.
    private func isOfAnother(_ rumour: MemberRecord) -> Bool {
        rumour.life.generation == life.generation && !mutated(.outbidsItsCopy) && rumour.profile.isOfAnother(than: profile)
    }

    private mutating func tellOfIdentity(_ other: MemberRecord, _ actions: inout [Action]) {
        guard !toldOfIdentity else { return }
        toldOfIdentity = true
        counters.identitiesInUse += 1
        actions.append(.identityInUse(other))
    }

    /// Refutes what is said of our present life; a rumour about a past one is outranked by what we tell of ourselves anyway.
    private mutating func hearOfOurselves(_ rumour: MemberRecord, _ actions: inout [Action]) {
        let ours = ownRecord
        // Two processes that refuted what is said of the other would outbid each other for ever. The others have kept to the first that
        // they met, and heed no refutation by the second: that one is told of, and yields.
        if rumour.life.generation > life.generation || isOfAnother(rumour) {
            tellOfIdentity(rumour, &actions)
            outlive(rumour)
            return
        }
        guard phase == .running, !mutated(.refutesNothing) else { return }
        if rumour.outranks(ours) {
            life.incarnation = max(life.incarnation, rumour.life.incarnation) + 1
            counters.refutations += 1
            sicken(by: 1)
            tellOfOurselves()
        } else if rumour.life.generation < life.generation || rumour.status != .alive && rumour.life < life {
            // Of the past, or refuted already: whoever still says so has missed what we are now.
            tellOfOurselves()
        }
    }

    /// A later life of which we are told that it has ended: nobody would believe us before as many starts as that number is ahead.
    /// With our store and at our address it was a wrong number, or our disk has gone back, for nobody else lives there; elsewhere it was
    /// a copy of us, if we are registered and it never was. We go on behind it. One that was registered is our successor.
    private mutating func outlive(_ rumour: MemberRecord) {
        let wasCopy = profile.session != .none && rumour.profile.session == .none && !mutated(.diesWithItsCopy)
        guard rumour.life.generation > life.generation, rumour.life.generation.number < SwimLimits.latestGeneration,
            rumour.status == .dead || rumour.status == .left, wasCopy || !rumour.profile.isOfAnother(than: profile),
            phase == .running, !mutated(.outlivesNothing)
        else { return }
        counters.refutations += 1
        begin(in: Generation(rumour.life.generation.number + 1))
    }
}
