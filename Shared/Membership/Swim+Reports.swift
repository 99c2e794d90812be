package import Model

/// Deaths that the control plane should hear of, all that are due at one time.
package struct DeathFindings: Hashable, Sendable {
    package struct Death: Hashable, Sendable {
        package let node: NodeID
        package let generation: Generation
        package let session: SessionID
        package let process: FoundDeath.Process
        /// Who accused it, in order; itself, if it has left.
        package let witnesses: [NodeID]
    }

    /// In the order in which they were found.
    package let deaths: [Death]
    /// The reporter's local health; 0 is healthy.
    package let localHealth: Int64
}

/// A death that the control plane should hear of.
struct Finding: Hashable, Sendable {
    let slot: Int
    let node: NodeID
    let session: SessionID
    /// Whether a probe of ours went unanswered: a rumour is not evidence.
    var evidence: Bool
    var nextAt: LogicalInstant
    /// A ping that will make evidence, if it stays unanswered until `nextAt`.
    var checking: Bool
    /// Whether it was told, and is now told again.
    var isTold = false
}

// Two independent witnesses make a failure (rule F2). Those nearest to the dead one by rendezvous hash speak at once, the others only
// after a while, if the matter is not settled by then (rule F7). Who merely heard of a death calls the dead one first. While many fall,
// what is found within one period is told together. Who should be there and has left in good order is told of in the same way, since
// what it led must not wait for its return: on its own word at once, on others' once it has been called in vain.
extension Swim {
    /// The topology may know of a death before we do: then there is nothing left to report.
    mutating func settle(_ sessions: [NodeID: SessionID], at now: LogicalInstant) {
        let returned = settled.keys.filter { sessions[$0] == nil }.sorted()
        settled = sessions
        if mutated(.reportsTheSettled) { return }
        findings.removeAll { finding in sessions[finding.node].map { finding.session <= $0 } ?? false }
        // It may have died again before we heard that it had returned.
        for node in returned { if let slot = table.slot(of: node) { prepareReport(of: slot, evidence: false, at: now) } }
    }

    mutating func prepareReport(of slot: Int, evidence: Bool, at now: LogicalInstant) {
        findings.removeAll { $0.slot == slot }
        guard let member = table[slot], member.profile.kind == .agent, member.isOver else { return }
        if let known = settled[member.node], member.profile.session <= known, !mutated(.reportsTheSettled) { return }
        var delay = Span.zero
        if !isAmong(nearest: SwimLimits.firstSpeakers, to: member.node), !mutated(.reportsAtOnce) {
            delay = tuning.reportInterval * 2 + jitter(upTo: tuning.reportInterval * 2)
        }
        let earliest = member.heard || mutated(.sparesNoLatecomers) ? now : max(now, startedAt + tuning.unheardGrace)
        findings.append(
            Finding(
                slot: slot, node: member.node, session: member.profile.session, evidence: evidence || mutated(.reportsRumours),
                nextAt: earliest + delay, checking: false))
    }

    /// What we have heard from others it says itself.
    mutating func confirmFarewell(of slot: Int) {
        for index in findings.indices where findings[index].slot == slot { findings[index].evidence = true }
    }

    /// Whom we have called because of a rumour has answered: that is no evidence of its death. It is called again later.
    mutating func doubtDeath(of sender: NodeID, at now: LogicalInstant) {
        for index in findings.indices
        where findings[index].node == sender && findings[index].checking && !findings[index].evidence {
            findings[index].checking = false
            findings[index].nextAt = now + tuning.reportInterval
        }
    }

    mutating func report(at now: LogicalInstant, _ actions: inout [Action]) {
        guard !findings.isEmpty else { return }
        // The topology may be about to name it; later, nobody will ever say that he knows.
        findings = findings.filter { finding in
            guard let member = table[finding.slot], !member.inRoster else { return true }
            return now - member.since <= SwimLimits.strangerReports
        }
        guard !findings.isEmpty else { return }
        var deaths: [DeathFindings.Death] = []
        let together = suspicions.entries.count > 1 && !mutated(.reportsSingly)
        // What is told again joins what is due, and after a report comes none for a moment: or the deaths of a hundred, and their
        // repetitions, would be as many messages.
        let soon = findings.contains { now >= $0.nextAt } && !mutated(.reportsSingly) ? now + tuning.reportInterval / 2 : now
        let mayTell = lastReport.map { now - $0 >= tuning.probeTimeout } ?? true || mutated(.reportsSingly)
        for index in findings.indices where (findings[index].isTold ? soon : now) >= findings[index].nextAt {
            let finding = findings[index]
            guard let member = table[finding.slot] else { continue }
            if finding.evidence || finding.checking {
                findings[index].evidence = true
                // More are about to follow: one period is not waited for twice.
                if !mayTell || together && now - member.since < tuning.probeInterval { continue }
                findings[index].nextAt = now + tuning.reportInterval
                findings[index].isTold = true
                deaths.append(
                    DeathFindings.Death(
                        node: finding.node, generation: member.record.life.generation, session: finding.session,
                        process: FoundDeath.Process(store: member.profile.store, gossip: member.profile.gossip),
                        witnesses: member.status == .left ? [member.node] : member.accusers))
            } else {
                findings[index].checking = true
                findings[index].nextAt = now + tuning.probeTimeout * patience
                let body = SwimMessage.Body.ping(sequence: sequence(), target: finding.node)
                actions.append(.send(message(body, to: member, first: accusation(of: member)), to: member.profile.gossip))
            }
        }
        // Who hears nobody has no word on others.
        guard !deaths.isEmpty, !isIsolated(at: now) else { return }
        lastReport = now
        let size = mutated(.reportsSingly) ? 1 : SwimLimits.deathsOfReport
        for first in stride(from: 0, to: deaths.count, by: size) {
            actions.append(
                .reportDeaths(
                    DeathFindings(
                        deaths: Array(deaths[first..<min(first + size, deaths.count)]), localHealth: localHealth)))
        }
    }

    /// Whether fewer than `count` living members are nearer to `other` than we are. Ends as soon as it is known.
    func isAmong(nearest count: Int, to other: NodeID) -> Bool {
        let point = nameHash(other)
        let own = mixed(nameHash(node) ^ point)
        var nearer = 0
        for slot in 0..<table.slots {
            guard let member = table[slot], member.status == .alive, member.node != other,
                mixed(nameHash(member.node) ^ point) < own
            else { continue }
            nearer += 1
            if nearer == count { return false }
        }
        return true
    }
}
