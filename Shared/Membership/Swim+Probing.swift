import Model

/// The probe of this period.
struct Probe: Hashable, Sendable {
    let target: NodeID
    let sequence: UInt64
    let sentAt: LogicalInstant
    let helpersAt: LogicalInstant
    let endsAt: LogicalInstant
    var helpersAsked = 0
    var nacks = 0
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

// One member per period, in a shuffled round, so that each is probed within 2N - 1 periods (SWIM 4.3).
extension Swim {
    /// Relays kept at once: one helper serves few origins in a period; more is a flood.
    private static let relayLimit = 64

    mutating func probing(at now: LogicalInstant, _ actions: inout [Action]) {
        if var current = probe {
            if current.helpersAsked == 0, now >= current.helpersAt, now < current.endsAt {
                askHelpers(&current, &actions)
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
        let scale = 1 + localHealth
        nextProbe = now + tuning.probeInterval * scale
        guard let target = nextTarget() else { return }
        counters.probes += 1
        let number = sequence()
        probe = Probe(
            target: target.node, sequence: number, sentAt: now, helpersAt: now + tuning.probeTimeout * scale, endsAt: nextProbe)
        // Buddy system: a suspect hears of the suspicion with the very ping that could clear it.
        let buddy = target.status == .suspect ? [target.record] : []
        actions.append(.send(message(.ping(sequence: number, target: target.node), first: buddy), to: target.profile.gossip))
    }

    private mutating func nextTarget() -> Member? {
        for _ in 0..<2 {
            while let node = probeOrder.popLast() {
                if let member = table[node], member.isActive { return member }
            }
            probeOrder = table.all.filter(\.isActive).map(\.node).shuffled(using: &generator)
        }
        return nil
    }

    /// A newcomer gets a random place in the round under way, so that its first probe is not predictable (SWIM 4.3).
    mutating func addToRound(_ node: NodeID) {
        probeOrder.insert(node, at: Int.random(in: 0...probeOrder.count, using: &generator))
    }

    private mutating func askHelpers(_ probe: inout Probe, _ actions: inout [Action]) {
        guard let target = table[probe.target] else { return }
        let helpers = pick(tuning.helpers) { $0.status == .alive && $0.node != target.node }
        probe.helpersAsked = helpers.count
        for helper in helpers {
            let body = SwimMessage.Body.pingRequest(
                sequence: probe.sequence, target: target.node, address: target.profile.gossip)
            actions.append(.send(message(body), to: helper.profile.gossip))
        }
    }

    private mutating func probeFailed(_ probe: Probe, at now: LogicalInstant, _ actions: inout [Action]) {
        counters.failedProbes += 1
        // Helpers who do not even say "nack" point at our own link or load (Lifeguard, LHA-Probe).
        sicken(by: probe.helpersAsked == 0 ? 1 : Int64(probe.helpersAsked - min(probe.nacks, probe.helpersAsked)))
        guard let member = table[probe.target], member.isActive else { return }
        var accusation = member.record
        accusation.status = .suspect
        accusation.accuser = node
        suspect(member, on: accusation, at: now, &actions)
    }

    mutating func acknowledged(_ number: UInt64, by sender: NodeID, at now: LogicalInstant, _ actions: inout [Action]) {
        if let current = probe, current.sequence == number {
            probe = nil
            lastAck = now
            // After a detour nobody can tell which way the answer came.
            if current.helpersAsked == 0 { roundTrip = now - current.sentAt }
            recover()
            return
        }
        guard let index = relays.firstIndex(where: { $0.sequence == number && $0.target == sender }) else {
            actions.append(.dropped(.late))
            return
        }
        let relay = relays.remove(at: index)
        lastAck = now
        actions.append(.send(message(.ack(sequence: relay.originSequence)), to: relay.origin))
    }

    mutating func refused(_ number: UInt64, _ actions: inout [Action]) {
        guard probe?.sequence == number else {
            actions.append(.dropped(.late))
            return
        }
        probe?.nacks += 1
    }

    mutating func relay(
        _ number: UInt64, to target: NodeID, at address: String, for origin: String, at now: LogicalInstant,
        _ actions: inout [Action]
    ) {
        guard relays.count < Self.relayLimit else { return }
        let own = sequence()
        // Our own knowledge of the address is at least as good as the asker's where we have any.
        let known = table[target]
        relays.append(
            Relay(
                sequence: own, origin: origin, originSequence: number, target: target,
                nackAt: now + tuning.probeTimeout * 4 / 5, endsAt: now + tuning.probeInterval * (1 + tuning.healthCeiling)))
        let buddy = known.map { $0.status == .suspect ? [$0.record] : [] } ?? []
        actions.append(
            .send(message(.ping(sequence: own, target: target), first: buddy), to: known?.profile.gossip ?? address))
    }

    private mutating func serveRelays(at now: LogicalInstant, _ actions: inout [Action]) {
        for index in relays.indices where !relays[index].nacked && now >= relays[index].nackAt {
            relays[index].nacked = true
            actions.append(.send(message(.nack(sequence: relays[index].originSequence)), to: relays[index].origin))
        }
        relays.removeAll { now >= $0.endsAt }
    }
}
