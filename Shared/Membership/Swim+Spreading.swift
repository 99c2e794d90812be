import Model

// What goes out unasked: gossip, whole exchanges, calls to the dead, and the roster behind them.
extension Swim {
    /// A good-bye is told to more at once: the process ends soon.
    private var fanout: Int { phase == .running ? tuning.gossipFanout : 2 * tuning.gossipFanout }

    mutating func gossip(at now: LogicalInstant, _ actions: inout [Action]) {
        guard now >= nextGossip else { return }
        nextGossip = now + tuning.gossipInterval
        guard !queue.isEmpty else { return }
        for member in pick(fanout, where: \.isActive) {
            let message = message(.gossip)
            guard !message.rumours.isEmpty else { break }
            actions.append(.send(message, to: member.profile.gossip))
        }
    }

    mutating func synchronize(at now: LogicalInstant, _ actions: inout [Action]) {
        guard now >= nextSync else { return }
        // Jitter keeps members that started together from exchanging together for ever.
        nextSync = now + tuning.syncInterval / 2 + jitter(upTo: tuning.syncInterval)
        for member in pick(1, where: { $0.status == .alive }) {
            sendSync(to: member.profile.gossip, answer: true, &actions)
        }
    }

    /// Calls one of those who should be there and are not: the dead, and the roster's unheard.
    mutating func reconnect(at now: LogicalInstant, _ actions: inout [Action]) {
        guard now >= nextReconnect else { return }
        let missing = pick(1) { $0.status == .dead || ($0.inRoster && !$0.heard) }
        // Nobody at all answers yet: try faster, a cluster starts together.
        let alone = lastAck == nil
        nextReconnect = now + (alone ? tuning.probeInterval : tuning.reconnectInterval)
        for member in missing {
            let held = member.status == .dead ? [member.record] : []
            actions.append(
                .send(message(.ping(sequence: sequence(), target: member.node), first: held), to: member.profile.gossip))
            sendSync(to: member.profile.gossip, answer: true, &actions)
        }
    }

    /// All that we know, ourselves first, in as many datagrams as it takes.
    mutating func sendSync(to address: String, answer: Bool, _ actions: inout [Action]) {
        let budget = Limits.datagramBytes - SwimMessage.overhead(from: node, body: .sync(page: 0, pages: 1, answer: answer))
        var pages: [[MemberRecord]] = [[]]
        var left = budget
        for record in [ownRecord] + table.all.filter(\.heard).map(\.record) {
            if record.weight > left {
                pages.append([])
                left = budget
            }
            left -= record.weight
            pages[pages.count - 1].append(record)
        }
        let count = UInt16(clamping: pages.count)
        for (index, page) in pages.prefix(Int(UInt16.max)).enumerated() {
            let body = SwimMessage.Body.sync(page: UInt16(index), pages: count, answer: answer)
            actions.append(
                .send(SwimMessage(from: node, life: life, revision: revision, body: body, rumours: page), to: address))
        }
    }

    private mutating func jitter(upTo span: Span) -> Span {
        .microseconds(Int64.random(in: 0...max(0, span.microseconds), using: &generator))
    }

    // MARK: The roster

    /// Takes those who should be there as alive until probes say otherwise. A node that is in the roster no more stays what it is;
    /// once it is dead or gone, it is forgotten in time.
    mutating func adopt(_ entries: [RosterEntry], at now: LogicalInstant, _ actions: inout [Action]) {
        table.update { $0.inRoster = false }
        for entry in entries where entry.node != node && entry.profile.fits {
            guard var member = table[entry.node] else {
                let record = MemberRecord(
                    node: entry.node, life: Life(generation: entry.generation, incarnation: 0), status: .alive,
                    profile: entry.profile)
                table[entry.node] = Member(record: record, since: now, metAt: now, heard: false, inRoster: true, suspicion: nil)
                addToRound(entry.node)
                actions.append(.memberChanged(record))
                continue
            }
            member.inRoster = true
            if member.record.life.generation < entry.generation {
                // A newer life was committed before we met it.
                member.record = MemberRecord(
                    node: entry.node, life: Life(generation: entry.generation, incarnation: 0), status: .alive,
                    profile: entry.profile)
                member.since = now
                member.metAt = now
                member.heard = false
                member.suspicion = nil
                reports.removeAll { $0.node == entry.node }
                addToRound(entry.node)
                actions.append(.memberChanged(member.record))
            } else if member.record.life.generation == entry.generation, member.profile.session < entry.profile.session {
                // The control plane knows the session before gossip does.
                member.record.profile.session = entry.profile.session
            }
            table[entry.node] = member
        }
    }

    mutating func reap(at now: LogicalInstant) {
        for member in table.all where !member.isActive && !member.inRoster && now - member.since > tuning.reapAfter {
            table[member.node] = nil
            settled[member.node] = nil
            queue.forget(member.node)
            reports.removeAll { $0.node == member.node }
        }
    }
}
