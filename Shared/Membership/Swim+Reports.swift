import Model

/// A death that the control plane should hear of.
struct DeathReport: Hashable, Sendable {
    let node: NodeID
    let generation: Generation
    let session: SessionID
    /// Whether a probe of ours went unanswered, and when: a rumour is not evidence.
    var evidence: Bool
    var nextAt: LogicalInstant
    /// A ping that will make evidence, if it stays unanswered until `nextAt`.
    var checking: Bool
}

// Two independent witnesses make a failure (rule F2). Those nearest to the dead one by rendezvous hash speak at once, the others only
// after a while, if the matter is not settled by then (rule F7). Who merely heard of a death calls the dead one first.
extension Swim {
    /// So many speak at once.
    private static let firstSpeakers = 3

    /// The topology may know of a death before we do: then there is nothing left to report.
    mutating func settle(_ node: NodeID, _ session: SessionID) {
        settled[node] = max(settled[node] ?? .none, session)
        reports.removeAll { $0.node == node && $0.session <= session }
    }

    mutating func prepareReport(of member: Member, evidence: Bool, at now: LogicalInstant) {
        guard member.profile.kind == .agent, member.status == .dead else { return }
        reports.removeAll { $0.node == member.node }
        if let known = settled[member.node], member.profile.session <= known { return }
        var delay = Span.zero
        if speakingRank(for: member.node) >= Self.firstSpeakers {
            delay =
                tuning.reportInterval * 2
                + .microseconds(Int64.random(in: 0...tuning.reportInterval.microseconds * 2, using: &generator))
        }
        let graceEnds = startedAt + tuning.unheardGrace
        let earliest = member.heard ? now : max(now, graceEnds)
        reports.append(
            DeathReport(
                node: member.node, generation: member.record.life.generation, session: member.profile.session,
                evidence: evidence, nextAt: earliest + delay, checking: false))
    }

    mutating func sendReports(at now: LogicalInstant, _ actions: inout [Action]) {
        for index in reports.indices where now >= reports[index].nextAt {
            let report = reports[index]
            if report.evidence || report.checking {
                reports[index].evidence = true
                reports[index].nextAt = now + tuning.reportInterval
                // Who hears nobody has no word on others.
                if !isIsolated(at: now) { actions.append(.reportDeath(report.node, report.generation, report.session)) }
            } else if let member = table[report.node] {
                reports[index].checking = true
                reports[index].nextAt = now + tuning.probeTimeout * (1 + localHealth)
                let ping = message(.ping(sequence: sequence(), target: report.node), first: [member.record])
                actions.append(.send(ping, to: member.profile.gossip))
            }
        }
    }

    /// How many living members are nearer to `dead` than we are.
    private func speakingRank(for dead: NodeID) -> Int {
        let own = Self.distance(node, dead)
        return table.all.count { $0.status == .alive && $0.node != dead && Self.distance($0.node, dead) < own }
    }

    /// FNV-1a over both names: equal on every machine.
    private static func distance(_ speaker: NodeID, _ dead: NodeID) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in Array(speaker.name.utf8) + [0] + Array(dead.name.utf8) {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        return hash ^ (hash >> 29)
    }
}
