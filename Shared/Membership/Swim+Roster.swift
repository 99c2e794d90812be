import Model

// What the control plane knows for certain: who should be there, and who never again.
extension Swim {
    /// Takes those who should be there as alive until probes say otherwise. A node that is in the roster no more stays what it is;
    /// once it is dead or gone, it is forgotten in time.
    mutating func adopt(_ entries: [RosterEntry], at now: LogicalInstant, _ actions: inout [Action]) {
        let named = Set(entries.map(\.node))
        for slot in 0..<table.slots {
            guard let member = table[slot], member.inRoster, !named.contains(member.node) else { continue }
            table.update(slot) { $0.inRoster = false }
            findings.removeAll { $0.slot == slot }
        }
        for entry in entries where entry.node != node && entry.profile.fits { adopt(entry, at: now, &actions) }
    }

    private mutating func adopt(_ entry: RosterEntry, at now: LogicalInstant, _ actions: inout [Action]) {
        let life = Life(generation: entry.generation, incarnation: 0)
        guard !isRetired(entry.node, life) else { return }
        let record = MemberRecord(node: entry.node, life: life, status: .alive, profile: entry.profile)
        guard let slot = table.slot(of: entry.node), let member = table[slot] else {
            var member = Member(record: record, at: now, heard: false, inRoster: true)
            member.isCommitted = entry.profile.session != .none
            table.insert(member)
            actions.append(.memberChanged(record))
            return
        }
        let isRegistered = entry.profile.session != .none
        let isSameLife = member.record.life.generation == entry.generation
        let isCommitted = isRegistered && isSameLife
        // Of two processes of one name and generation, that which was registered is the member, whichever we met first.
        let isCopy =
            isCommitted && member.profile.isOfAnother(than: entry.profile) && !mutated(.keepsToTheCopy)
        if member.record.life.generation < entry.generation || isCopy {
            // A newer life was committed before we met it.
            let copy = member.record
            if isCopy { dispute(slot, by: copy, &actions) }
            table.update(slot) {
                $0 = Member(record: record, at: now, heard: false, inRoster: true)
                $0.isCommitted = isRegistered
                $0.isDisputed = isCopy
            }
            suspicions[slot] = nil
            roundTrips[slot] = nil
            queue.forget(slot)
            findings.removeAll { $0.slot == slot }
            actions.append(.memberChanged(record))
        } else if !member.inRoster || member.profile.session < entry.profile.session || isCommitted != member.isCommitted {
            table.update(slot) {
                $0.inRoster = true
                $0.isCommitted = isCommitted
                // The control plane knows the session before gossip does.
                if $0.record.life.generation == entry.generation, $0.profile.session < entry.profile.session {
                    $0.record.profile.session = entry.profile.session
                }
            }
            // It may have gone before we knew that anybody waits for it.
            if !member.inRoster { prepareReport(of: slot, evidence: false, at: now) }
        }
    }

    // MARK: - Tombstones

    mutating func retire(_ stones: [Tombstone], at now: LogicalInstant, _ actions: inout [Action]) {
        retired = [:]
        guard !mutated(.ignoresTombstones) else { return }
        for stone in stones {
            retired[stone.node] = max(retired[stone.node] ?? stone.through, stone.through)
            guard let slot = table.slot(of: stone.node), let member = table[slot], member.status != .left,
                isRetired(stone.node, member.record.life)
            else { continue }
            table.update(slot) {
                $0.record.status = .left
                $0.since = now
                $0.inRoster = false
                $0.accusers = []
            }
            suspicions[slot] = nil
            queue.forget(slot)
            findings.removeAll { $0.slot == slot }
            if let gone = table[slot] { actions.append(.memberChanged(gone.record)) }
        }
    }

    func isRetired(_ node: NodeID, _ life: Life) -> Bool {
        guard !retired.isEmpty, let through = retired[node] else { return false }
        return life.generation <= through
    }

    // MARK: - Forgetting

    mutating func reap(at now: LogicalInstant) {
        guard now >= nextReap, !mutated(.neverReaps) else { return }
        nextReap = now + tuning.reapAfter / 24
        for slot in table.gone.slots {
            guard let member = table[slot], now - member.since > tuning.reapAfter else { continue }
            forget(slot)
        }
    }

    private mutating func forget(_ slot: Int) {
        table.remove(slot)
        roundTrips[slot] = nil
        suspicions[slot] = nil
        queue.forget(slot)
        findings.removeAll { $0.slot == slot }
        doubted.removeAll { $0 == slot }
    }

    /// Where there are as many as may be whom no roster names, the one goes of whom we have had its name only for the longest time;
    /// before all others one that is dead or gone.
    /// - Returns: false when each of them lives and has spoken to us: then it is the newcomer who is not taken.
    mutating func makeRoomForStranger() -> Bool {
        guard table.strangers >= tuning.strangers, !mutated(.takesAnyStranger) else { return true }
        counters.refusedStrangers += 1
        var first: (slot: Int, isActive: Bool, metAt: LogicalInstant)?
        table.forEach { slot, member in
            guard !member.inRoster, !member.isActive || !member.hasSpoken else { return }
            if let first, (first.isActive ? 1 : 0, first.metAt) <= (member.isActive ? 1 : 0, member.metAt) { return }
            first = (slot, member.isActive, member.metAt)
        }
        guard let first else { return false }
        forget(first.slot)
        return true
    }
}
