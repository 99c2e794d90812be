import Model

// What goes out unasked: gossip, comparisons, and calls to the dead.
extension Swim {
    /// A good-bye is told to more at once: the process ends soon.
    private var fanout: Int { phase == .running ? tuning.gossipFanout : 2 * tuning.gossipFanout }

    mutating func gossip(at now: LogicalInstant, _ actions: inout [Action]) {
        guard !queue.isEmpty, !(phase == .running && mutated(.gossipsOnProbesAlone)) else { return }
        // What nobody was told yet does not wait for the others. Who hears nobody may be heard by nobody either, and what he tells
        // then does not count as told: he would go on at that pace for as long as he is alone.
        let isAlone = phase == .running && isIsolated(at: now) && !mutated(.talksToItself)
        let wait =
            isAlone ? tuning.gossipInterval * patience : queue.isFresh ? tuning.gossipInterval / 4 : tuning.gossipInterval
        guard now - lastGossip >= wait else { return }
        lastGossip = now
        let listeners = pick(fanout, where: \.isActive)
        // Whoever comes later compares with us.
        if listeners.isEmpty { queue = GossipQueue() }
        for member in listeners {
            let message = message(.gossip, to: member)
            guard !message.rumours.isEmpty else { break }
            actions.append(.send(message, to: member.profile.gossip))
        }
    }

    // MARK: - Comparing

    func digest(answer: Bool) -> TableDigest? {
        if mutated(.neverCompares) { return nil }
        var sums = table.digest
        if phase == .running { sums.toggle(node, life) }
        return TableDigest(sums: sums.folded(to: TableDigest.Sums.buckets(members: memberCount)), answer: answer)
    }

    /// The digest that the next ping takes along, if its time has come.
    mutating func digestIfDue(at now: LogicalInstant) -> TableDigest? {
        guard now >= nextSync else { return nil }
        // Jitter keeps members that started together from comparing together for ever. In the beginning there is more to learn: after
        // one second, two, four …
        let usual = tuning.syncInterval / 2 + jitter(upTo: tuning.syncInterval)
        nextSync = now + (mutated(.waitsToCompare) ? usual : min(usual, now - startedAt))
        return digest(answer: true)
    }

    /// Sends what we hold in the buckets that differ, and then our own sums, so that the other sees what it has to tell.
    mutating func compare(_ theirs: TableDigest, from address: String, _ actions: inout [Action]) {
        let count = theirs.sums.count
        guard count > 0, count <= TableDigest.mostSums, count & (count - 1) == 0 else {
            return actions.append(.dropped(.implausible))
        }
        guard !mutated(.neverCompares) else { return }
        var ours = table.digest
        if phase == .running { ours.toggle(node, life) }
        let sums = ours.folded(to: count)
        let differing = (0..<count).map { sums[$0] != theirs.sums[$0] }
        guard differing.contains(true) else { return }
        counters.exchanges += 1
        sendRecords(in: differing, to: address, &actions)
        guard theirs.answer else { return }
        actions.append(.send(message(.gossip, digest: TableDigest(sums: sums, answer: false)), to: address))
    }

    /// All that we hold in some buckets, in as many datagrams as it takes, up to a limit: then from somewhere in the middle, so that the
    /// next exchange brings the rest.
    private mutating func sendRecords(in wanted: [Bool], to address: String, _ actions: inout [Action]) {
        let body = SwimMessage.Body.records
        let budget = Limits.datagramBytes - SwimMessage.overhead(from: node, body: body)
        var page: [MemberRecord] = []
        var left = budget
        var pages = 0
        func isWanted(_ node: NodeID) -> Bool { wanted[Int(nameHash(node) % UInt64(wanted.count))] }
        func close(_ actions: inout [Action]) {
            pages += 1
            actions.append(
                .send(SwimMessage(from: node, life: life, revision: newestRevision, body: body, rumours: page), to: address))
            page = []
            left = budget
        }
        if isWanted(node) {
            page.append(ownRecord)
            left -= ownRecord.weight
        }
        let first = table.slots > 0 ? Int.random(in: 0..<table.slots, using: &generator) : 0
        for offset in 0..<table.slots {
            guard let member = table[(first + offset) % table.slots], member.heard, isWanted(member.node) else { continue }
            if member.record.weight > left || page.count == SwimMessage.mostRumours {
                close(&actions)
                if pages == SwimLimits.recordPages { return }
            }
            page.append(member.record)
            left -= member.record.weight
        }
        if !page.isEmpty { close(&actions) }
    }

    // MARK: - Those who should be there

    /// Calls one of those who should be there and are not: the dead, and the roster's unheard.
    mutating func reconnect(at now: LogicalInstant, _ actions: inout [Action]) {
        guard now >= nextReconnect else { return }
        // Nobody at all answers yet: try faster, a cluster starts together. Later, those that started together do not call together: all
        // at once they would exchange all that they hold in the instant in which a cut heals.
        let usual = tuning.reconnectInterval / 2 + jitter(upTo: tuning.reconnectInterval)
        nextReconnect = now + (lastAck == nil ? tuning.probeInterval : usual)
        guard let slot = table.missing.random(using: &generator), let member = table[slot] else { return }
        if member.status == .dead, mutated(.forgetsTheDead) { return }
        let body = SwimMessage.Body.ping(sequence: sequence(), target: member.node)
        actions.append(
            .send(
                message(body, to: member, first: member.status == .dead ? member.record : nil, digest: digest(answer: true)),
                to: member.profile.gossip))
    }

    mutating func jitter(upTo span: Span) -> Span {
        .microseconds(Int64.random(in: 0...max(0, span.microseconds), using: &generator))
    }
}
