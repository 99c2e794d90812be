// The leading side: orders writes, sends them to every member, commits what all of them have on disk.

package import Model

extension Replica {
    /// Whose acknowledgement a write needs beside this node's: the committed and the pending in-sync set (rule R4), sorted.
    var required: [NodeID] {
        guard let descriptor else { return [] }
        let pending = settings.mutated(.forgetsPendingJoin) ? [] : hard.pendingJoin.map { [$0.node] } ?? []
        return Array(Set(descriptor.inSync + pending).subtracting([node])).sorted()
    }

    /// Moves everything that time, acknowledgements or the disk allow.
    mutating func advancePrimary(at now: LogicalInstant, leases: LeaseBook) {
        guard primary != nil, descriptor != nil else { return }
        primary?.engine.note(applied, of: min(commit, durable), at: now)
        compareLogs(at: now)
        openWhenFree(at: now)
        advanceCommit(at: now, leases: leases)
        serveWhenOpened(at: now)
        cancelOrphanSplit()
        driveJoin(at: now)
        watchFence(at: now)
        for peer in (primary?.peers.keys).map({ $0.sorted() }) ?? [] { feed(peer, at: now, leases: leases) }
        evictTheHidden(at: now)
        evictTheSilent(at: now, leases: leases)
        yieldIfStuck(at: now, leases: leases)
    }

    /// Opens the term with its first entry.
    private mutating func openWhenFree(at now: LogicalInstant) {
        guard var primary, primary.phase == .preparing, persistedTicket >= primary.runTicket else { return }
        primary.waits = primary.waits.filter { now < $0.value }
        if primary.waits.isEmpty, hasCompared || settings.mutated(.comparesNoLogs) {
            let opening = order(.opening, in: primary.term)
            primary.phase = .opening(opening.sequence)
            for peer in primary.peers.keys { primary.peers[peer]?.next = opening.sequence }
        }
        self.primary = primary
    }

    private mutating func serveWhenOpened(at now: LogicalInstant) {
        guard let primary, case .opening(let sequence) = primary.phase else { return }
        guard commit >= sequence && applied >= sequence || settings.mutated(.servesBeforeOpened) else { return }
        self.primary?.phase = .serving
        self.primary?.servingSince = now
    }

    /// Commits what this node and every required member have on disk, and answers its writers (rule R1).
    private mutating func advanceCommit(at now: LogicalInstant, leases: LeaseBook) {
        guard var primary, primary.phase != .preparing, let descriptor else { return }
        var everywhere = durable
        let counted = required.dropFirst(settings.mutated(.acknowledgesOneShort) ? 1 : 0)
        for member in counted where !settings.mutated(.acknowledgesAlone) {
            let peer = primary.peers[member]
            if settings.mutated(.acknowledgesBeforeEviction), let since = peer?.stalledSince,
                now >= since + settings.prepareTimeout
            {
                continue
            }
            let held = settings.mutated(.countsReceivedForDurable) ? peer?.received : peer?.durable
            everywhere = min(everywhere, held ?? 0)
        }
        commit = max(commit, everywhere)
        let done = primary.writers.prefix { $0.sequence <= commit }
        guard !done.isEmpty else { return }
        // Too few copies now: it is committed here, and may yet be lost. Without the right to serve alone nobody is told yet; it comes
        // in a moment, or with a member that joins, or the role goes and takes the answer with it.
        let isKept = descriptor.inSync.count >= minInSync || settings.mutated(.servesBelowMinimum)
        if isKept, !mayServeAlone(at: now, leases: leases) {
            self.primary = primary
            return
        }
        for writer in done {
            if isKept, let position = log.point(at: writer.sequence)?.position {
                actions.append(.acknowledge(writer.caller, position))
            } else {
                actions.append(.refuse(writer.caller, .outcomeUnknown))
            }
        }
        if !settings.mutated(.keepsToldWriters) { primary.writers.removeFirst(done.count) }
        self.primary = primary
    }

    @discardableResult
    mutating func order(_ body: EntryBody, in term: Term) -> Entry {
        let entry = log.order(body, in: term)
        unsaved.append(.entry(id, entry))
        return entry
    }

    // MARK: - Callers

    mutating func write(
        _ payload: [UInt8], _ request: WriteOnceRequest?, for caller: CallerID, at now: LogicalInstant, leases: LeaseBook
    ) {
        if let refusal = refusalOfWrites(at: now, leases: leases) {
            actions.append(.refuse(caller, refusal))
        } else if let request {
            writeOnce(payload, request, for: caller)
        } else {
            order(payload, nil, for: caller)
        }
    }

    /// Orders the write unless it was ordered before (rule R8): what the engine had applied it has looked through, what came after
    /// that is in the log.
    private mutating func writeOnce(_ payload: [UInt8], _ request: WriteOnceRequest, for caller: CallerID) {
        if let earlier = request.earlier {
            actions.append(.acknowledge(caller, earlier))
            return
        }
        // So old a look at the engine says nothing of what the log has forgotten since.
        guard request.recalledAt >= log.base.sequence else {
            actions.append(.refuse(caller, .recovering))
            return
        }
        let unseen = settings.mutated(.looksOnlyInEngine) ? [] : log.entries(after: request.recalledAt)
        let earlier = unseen.first { entry in
            if case .write(_, let once?) = entry.body { once.key == request.once.key } else { false }
        }
        guard let earlier else { return order(payload, request.once, for: caller) }
        guard case .write(payload, _) = earlier.body else {
            actions.append(.refuse(caller, .keyReused))
            return
        }
        // One write may be asked for again and again while it waits for a member.
        guard primary.map({ $0.writers.count < settings.pendingWrites }) ?? false else {
            actions.append(.refuse(caller, .overloaded))
            return
        }
        let writer = PrimaryState.Writer(sequence: earlier.sequence, caller: caller)
        let place = primary?.writers.firstIndex { $0.sequence > writer.sequence } ?? primary?.writers.endIndex
        if let place { primary?.writers.insert(writer, at: place) }
    }

    private mutating func order(_ payload: [UInt8], _ once: WriteOnce?, for caller: CallerID) {
        guard let term = primary?.term else { return }
        let entry = order(.write(payload, once), in: term)
        primary?.writers.append(PrimaryState.Writer(sequence: entry.sequence, caller: caller))
    }

    /// Why a write would be refused now; nil when it would be ordered (rules E3, M4, R3, R6).
    package func refusalOfWrites(at now: LogicalInstant, leases: LeaseBook) -> Refusal? {
        guard let primary, let descriptor, !isRetired else { return .notPrimary }
        guard primary.phase == .serving, descriptor.status == .active else { return .recovering }
        guard hard.fence == nil else { return .fenced }
        guard descriptor.inSync.count >= minInSync || settings.mutated(.servesBelowMinimum) else {
            return .notEnoughInSync(have: descriptor.inSync.count, need: minInSync)
        }
        guard leases.isFit(at: now), mayServeAlone(at: now, leases: leases) else { return .noLease }
        let pending = log.lastSequence - commit
        guard pending < UInt64(settings.pendingWrites), hasRoom else { return .overloaded }
        let silent = required.filter { member in
            !isSpare(member) && primary.peers[member].map { owes($0, for: settings.prepareTimeout, at: now) } ?? false
        }
        if !silent.isEmpty {
            return .notEnoughInSync(have: descriptor.inSync.filter { !silent.contains($0) }.count, need: minInSync)
        }
        return nil
    }

    /// Whether the log may grow. Entries stay in it until the engine has them on disk, and beyond that for learners and for members that
    /// come back soon, within a budget (rule R9). What is kept so never stops writers, or nothing would ever make it less.
    var hasRoom: Bool { log.byteCount < settings.keptBytes + settings.pendingBytes }

    mutating func read(for caller: CallerID, at now: LogicalInstant, leases: LeaseBook) {
        if let refusal = refusalOfReads(at: now, leases: leases) {
            actions.append(.refuse(caller, refusal))
        } else {
            let through = settings.mutated(.readsWithoutWaiting) ? 0 : commit
            // Where the engine takes in nothing for long, those who asked have long been told that nobody answers.
            guard primary.map({ $0.readers.count < settings.pendingReads }) ?? false else {
                actions.append(.refuse(caller, .overloaded))
                return
            }
            primary?.readers.append(PrimaryState.Reader(caller: caller, through: through))
        }
    }

    /// Why a strong read would be refused now. Asked before the wait for the engine, after it, and for each page (R2, L1).
    package func refusalOfReads(at now: LogicalInstant, leases: LeaseBook) -> Refusal? {
        guard let primary, let descriptor, !isRetired else { return .notPrimary }
        guard primary.phase == .serving else { return .recovering }
        let isCovered = required.allSatisfy { leases.holds(id, at: descriptor.epoch, from: $0, now: now) }
        guard isCovered || settings.mutated(.readsWithoutGrants), leases.isFit(at: now),
            mayServeAlone(at: now, leases: leases)
        else { return .noLease }
        return nil
    }

    mutating func answerReaders(at now: LogicalInstant, leases: LeaseBook) {
        guard let readers = primary?.readers, readers.contains(where: { $0.through <= applied }) else { return }
        let refusal = refusalOfReads(at: now, leases: leases)
        for reader in readers where reader.through <= applied {
            actions.append(refusal.map { .refuse(reader.caller, $0) } ?? .readable(reader.caller))
        }
        primary?.readers.removeAll { $0.through <= applied }
    }

    /// The last in-sync member of several replicas serves only under grants from a majority of all of them, or from the coordinators'
    /// leader (rule R6). Without the second half, one dead node of two would stop the partition until it is replaced.
    ///
    /// What is guarded against is an operator's promotion of another node, while this one is cut off and believes in its role; nothing
    /// else can take the role of the last in-sync member away without its part in it. A replica that is known to have failed is counted
    /// all the same: that it cannot be promoted by itself does not say that nobody promotes it.
    func mayServeAlone(at now: LogicalInstant, leases: LeaseBook) -> Bool {
        !standsAlone || settings.mutated(.servesAlone) || isGrantedByMajority(at: now, leases: leases)
            || leases.holdsFromCoordinators(at: now)
    }

    /// Whether this primary serves only with the coordinators' leave.
    package func needsCoordinators(at now: LogicalInstant, leases: LeaseBook) -> Bool {
        primary != nil && standsAlone && !isGrantedByMajority(at: now, leases: leases)
    }

    private var standsAlone: Bool {
        descriptor.map { $0.replicas.count > 1 && $0.inSync == [node] } ?? false
    }

    private func isGrantedByMajority(at now: LogicalInstant, leases: LeaseBook) -> Bool {
        guard let descriptor else { return false }
        let granted = descriptor.replicas.filter { replica in
            replica.node == node || leases.holds(id, at: descriptor.epoch, from: replica.node, now: now)
        }
        return granted.count * 2 > descriptor.replicas.count
    }

    // MARK: - Peers

    /// Sends what the peer lacks and its window allows; a beacon when there is nothing to send.
    private mutating func feed(_ id: NodeID, at now: LogicalInstant, leases: LeaseBook) {
        guard let primary, primary.phase != .preparing, var peer = primary.peers[id] else { return }
        let isQuiet = { (span: Span) in peer.sentAt.map { now >= $0 + span } ?? true }
        switch peer.mode {
        case .probing:
            if isQuiet(settings.resendInterval) { send(to: id, &peer, wantsReply: true, at: now, leases: leases) }
        case .snapshot:
            if isQuiet(settings.beaconInterval) {
                peer.next = log.lastSequence + 1
                send(to: id, &peer, wantsReply: true, at: now, leases: leases)
            }
        case .streaming:
            while peer.next <= log.lastSequence, peer.flights.count < settings.windowPrepares,
                peer.flightBytes < settings.windowBytes
            {
                let before = peer.next
                send(to: id, &peer, wantsReply: false, at: now, leases: leases)
                if peer.next == before { break }
            }
            if !peer.flights.isEmpty, let stalled = peer.stalledSince, now >= stalled + settings.prepareTimeout / 2,
                isQuiet(settings.prepareTimeout / 2)
            {
                peer.probeAgain()
                send(to: id, &peer, wantsReply: true, at: now, leases: leases)
            } else if isQuiet(settings.beaconInterval) {
                send(to: id, &peer, wantsReply: true, at: now, leases: leases)
            } else if peer.flights.isEmpty, commit > peer.sentCommit {
                send(to: id, &peer, wantsReply: false, at: now, leases: leases)
            }
        }
        if peer.durable >= log.lastSequence {
            peer.stalledSince = nil
        } else if peer.stalledSince == nil {
            peer.stalledSince = now
        }
        if owes(peer, for: settings.prepareTimeout, at: now) { peer.wasLate(at: now, isRequired: required.contains(id)) }
        self.primary?.peers[id] = peer
    }

    private mutating func send(
        to id: NodeID, _ peer: inout PeerProgress, wantsReply: Bool, at now: LogicalInstant, leases: LeaseBook
    ) {
        guard let term = primary?.term else { return }
        guard let previous = log.point(at: peer.next - 1) else {
            peer.mode = .snapshot
            peer.cameBySnapshot = true
            peer.next = log.lastSequence + 1
            return
        }
        let entries = log.entries(
            from: peer.next, through: log.lastSequence, bytes: settings.prepareBytes, limit: settings.prepareEntries)
        let prepare = ReplicationMessage.Prepare(
            term: term, previous: previous, entries: entries, commit: commit, wantsReply: wantsReply,
            voucher: voucher(for: peer, at: now, leases: leases))
        actions.append(.send(message(.prepare(prepare)), to: id))
        peer.sentAt = now
        if wantsReply, peer.unansweredSince == nil { peer.unansweredSince = now }
        peer.sentCommit = commit
        if let last = entries.last {
            let bytes = entries.reduce(0) { $0 + $1.body.byteCount }
            peer.flights.append(PeerProgress.Flight(through: last.sequence, bytes: bytes))
            if peer.mode == .streaming { peer.next = last.sequence + 1 }
        }
    }

    private func voucher(for peer: PeerProgress, at now: LogicalInstant, leases: LeaseBook) -> Voucher? {
        let hasRight = refusalOfReads(at: now, leases: leases) == nil || settings.mutated(.vouchesWithoutRight)
        guard let spokenAt = peer.spokenAt, hasRight else { return nil }
        return Voucher(incarnation: peer.incarnation, spokenAt: spokenAt)
    }

    mutating func receive(_ ack: ReplicationMessage.Ack, from id: NodeID, at now: LogicalInstant) {
        guard let primary, let descriptor, ack.term == primary.term, var peer = primary.peers[id] else { return }
        guard hears(ack.incarnation, from: id, &peer) else { return }
        guard ack.received <= log.lastSequence, ack.durable <= ack.received else {
            halt(.behindAcknowledged(peer: id, acknowledged: ack.received, last: log.lastSequence))
            return
        }
        peer.heard(at: now)
        peer.saidIn = descriptor.epoch
        peer.spokenAt = max(peer.spokenAt ?? ack.spokenAt, ack.spokenAt)
        peer.received = max(peer.received, ack.received)
        if ack.durable > peer.durable {
            peer.durable = ack.durable
            peer.stalledSince = peer.durable < log.lastSequence ? now : nil
        }
        peer.landed(through: peer.received)
        // It has come to have what was kept for it.
        if let pin = peer.pin, peer.received >= pin { peer.pin = nil }
        // Who led before may have ordered the copy, and taken with it what came of the comparison.
        if ack.isCopied { peer.cameBySnapshot = true }
        peer.engine.note(ack.applied, of: min(peer.sentCommit, peer.durable), at: now)
        // That an empty learner agrees to nothing at all is no reason to replay everything to it. After a start a peer speaks for what it
        // knows to be committed, which may end before this log begins: how much more of its log agrees the search goes on to find.
        let isWithinReach = peer.received >= log.base.sequence
        let canFollow = isWithinReach && (peer.mode != .snapshot || peer.received > 0)
        if peer.mode != .streaming, canFollow {
            peer.mode = .streaming
            peer.flights = []
            peer.next = peer.received + 1
        }
        if let report = ack.verified {
            peer.verified = report
            self.primary?.verification?.taken(report, by: id)
        }
        self.primary?.peers[id] = peer
    }

    /// Whether word of that log of the peer counts; what was known of an older one is forgotten, its comparison too (rule M6).
    private mutating func hears(_ incarnation: UInt64, from id: NodeID, _ peer: inout PeerProgress) -> Bool {
        let known = peer.incarnation
        guard peer.hears(incarnation, last: log.lastSequence) else { return false }
        if known > 0, known != incarnation, primary?.verification?.checksums[id] != nil { primary?.verification = nil }
        return true
    }

    mutating func receive(_ nack: ReplicationMessage.Nack, from id: NodeID, at now: LogicalInstant) {
        guard let primary, nack.term == primary.term, var peer = primary.peers[id] else { return }
        guard hears(nack.incarnation, from: id, &peer) else { return }
        self.primary?.peers[id] = peer
        if nack.heard > primary.term { return reopen(above: nack.heard, at: now) }
        let isInSync = descriptor?.inSync.contains(id) ?? false
        if isInSync, nack.hint.term > primary.term { return halt(.lacksCommitted(peer: id, committed: nack.hint)) }
        // A late one: the peer has acknowledged past it since.
        guard nack.refused > peer.received || peer.received == 0, nack.hint.sequence <= nack.refused else { return }
        peer.heard(at: now)
        peer.flights = []
        if isInSync, nack.hint.sequence < min(commit, nack.refused), !settings.mutated(.believesShortLogs) {
            // Every in-sync disk has what is committed; this one has lost some of it (rule E4).
            peer.hasLost = true
        }
        if nack.committed.sequence > log.base.sequence, log.point(at: nack.committed.sequence)?.position != nack.committed {
            // What is committed is in the log of every rightful primary: this disk has lost it (rule E4). A learner alone proves
            // nothing; it is built anew.
            if isInSync { return halt(.lacksCommitted(peer: id, committed: nack.committed)) }
            peer.mode = .snapshot
            peer.cameBySnapshot = true
            self.primary?.peers[id] = peer
            return
        }
        let candidate = log.candidate(for: nack.hint).flatMap { point in
            point.sequence < nack.refused ? point : log.point(at: nack.refused - min(1, nack.refused))
        }
        if let candidate, isInSync || !nack.wantsSnapshot {
            if peer.mode == .snapshot || peer.next != candidate.sequence + 1 { peer.sentAt = nil }
            peer.mode = .probing
            peer.next = candidate.sequence + 1
        } else {
            peer.mode = .snapshot
            peer.cameBySnapshot = true
        }
        self.primary?.peers[id] = peer
    }

    mutating func snapshotSending(to id: NodeID, at sequence: UInt64?) {
        if let sequence {
            // Where an earlier try has left it is not known yet; one that broke is not forgotten, for this one may go on with it.
            let kept = primary?.peers[id]?.pin ?? sequence
            primary?.peers[id]?.pin = min(kept, sequence)
            // What was compared is about to be replaced; and an entry that the snapshot covers is one that the peer never compares
            // at.
            primary?.verification = nil
            return
        }
        guard primary?.peers[id]?.mode == .snapshot else { return }
        // It has ended. Where the peer stands now its next answer says; until then nobody may start another one.
        let next = log.lastSequence + 1
        primary?.peers[id]?.mode = .probing
        primary?.peers[id]?.next = next
        primary?.peers[id]?.sentAt = nil
    }

    /// Proposes to leave out whoever holds up the others (rule R3), unless the partition would then refuse writes anyway. A member that
    /// has lost what it acknowledged leaves in any case (rule E4). So does a learner whose join is pending: its removal raises the epoch,
    /// and whichever of the two is committed first settles the join (rule R4).
    ///
    /// Where nothing is written nobody owes anything, but without a word from a member there is no lease of its either, and no strong read
    /// (rule L1). That costs no writer, so it is given longer.
    private mutating func evictTheSilent(at now: LogicalInstant, leases: LeaseBook) {
        guard let primary, primary.phase != .preparing, let descriptor, descriptor.status == .active,
            durable == log.lastSequence || durable > commit
        else { return }
        let patience = primary.phase == .serving ? settings.prepareTimeout : settings.openingTimeout
        for member in required {
            guard let peer = primary.peers[member] else { continue }
            // After a pause of this node answers of that time may still be on their way in.
            let isMute =
                leases.isFit(at: now) && peer.unansweredSince.map { now >= $0 + settings.openingTimeout } ?? false
            let isLate = owes(peer, for: patience, at: now)
            // What a pending member holds is not given up for a snapshot while a join may be on its way that counts on it (rule R4).
            let hasLost = peer.hasLost || hard.pendingJoin?.node == member && peer.mode == .snapshot
            guard hasLost || isSpare(member) && (isLate || isMute) else { continue }
            let cause: EvictionCause = hasLost ? .hasLost : isMute ? .isMute : .owes
            return evict(member, because: cause, from: descriptor, at: now)
        }
    }

    /// Whether the partition takes writes without this member.
    private func isSpare(_ member: NodeID) -> Bool {
        guard let descriptor else { return false }
        return descriptor.inSync.count > max(1, minInSync) || !descriptor.inSync.contains(member)
    }

    /// Whether a member has for so long not taken in what is on this disk.
    private func owes(_ peer: PeerProgress, for span: Span, at now: LogicalInstant) -> Bool {
        peer.durable < durable && peer.stalledSince.map { now >= $0 + span } ?? false
    }

    /// Leaves the role, and the in-sync set for as long as it takes to be found up to date, where this node's engine has for long not
    /// taken in what is committed, as on a full disk, and another's has (rule F6): strong reads wait here for nothing. The copy is not
    /// damaged: it follows from its log, and is in sync again. Where nobody's engine goes on, nothing would be won.
    ///
    /// So too where nothing reaches the disk of this node's log: it has no lease meanwhile, and answers nobody (rule L3).
    private mutating func yieldIfStuck(at now: LogicalInstant, leases: LeaseBook) {
        // From when it was seen: after a pause of the process there was none to see it.
        let unfitSince = leases.isFit(at: now) ? nil : primary?.unfitSince ?? now
        primary?.unfitSince = unfitSince
        guard let primary, primary.phase != .preparing, let descriptor, descriptor.status == .active else { return }
        let isUnfit = unfitSince.map { now >= $0 + settings.enginePatience } ?? false
        let isStuck = primary.engine.isStuck(for: settings.enginePatience, at: now)
        guard isUnfit || isStuck else { return }
        let isSpared = descriptor.inSync.contains { member in
            guard member != node, let peer = primary.peers[member], let heard = peer.heardAt,
                now < heard + settings.prepareTimeout, !peer.engine.isStuck(for: settings.engineHiccup, at: now)
            else { return false }
            return isUnfit ? peer.durable >= log.lastSequence : peer.engine.applied > applied
        }
        if isSpared { evict(node, because: isUnfit ? .logIsStuck : .engineIsStuck, from: descriptor, at: now) }
    }

    mutating func evict(
        _ member: NodeID, because cause: EvictionCause, from descriptor: PartitionDescriptor, at now: LogicalInstant
    ) {
        let proposal = PartitionProposal.evict(id, node: member, expecting: descriptor.epoch)
        if !proposals.knows(proposal) { actions.append(.evicting(member, cause)) }
        propose(proposal, at: now)
    }

    mutating func propose(_ proposal: PartitionProposal, at now: LogicalInstant) {
        if let request = proposals.want(proposal, at: now) { actions.append(.propose(proposal, request)) }
    }
}
