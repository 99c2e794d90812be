package import Model

/// What is believed of a member, for people to read.
package struct MemberBelief: Hashable, Sendable {
    package let member: Member
    /// For how long it has had its status.
    package let age: Span
    /// Nil when no ping of ours was answered without a detour.
    package let roundTrip: Span?
}

// What others may ask: the table as people and the control plane see it.
extension Swim {
    /// All other members that we hold, in the order of their names.
    package var members: [Member] { table.all.sorted { $0.node < $1.node } }
    /// The same, as they look now.
    package func beliefs(at now: LogicalInstant) -> [MemberBelief] {
        members.map { MemberBelief(member: $0, age: max(.zero, now - $0.since), roundTrip: roundTrip(to: $0.node)) }
    }
    package func member(_ node: NodeID) -> Member? { table[node] }
    package func status(of node: NodeID) -> MemberStatus? { table[node]?.status }
    package func count(of status: MemberStatus) -> Int { table.count(of: status) }
    /// How many should be there and are not: dead, or in the roster and never heard of.
    package var missingCount: Int { table.missing.slots.count }
    /// Equal for members that hold the same lives for alive, themselves included.
    package var agreement: UInt32 {
        var sums = table.digest
        sums.toggle(node, life)
        return sums.folded(to: 1)[0]
    }
    /// How many are remembered at all, and how many rumours wait to be told.
    package var rememberedCount: Int { table.all.count }
    package var queuedCount: Int { queue.count }

    /// Ourselves, as we tell others.
    package var ownRecord: MemberRecord {
        let farewell = mutated(.takesLeavingForDeath) ? MemberStatus.dead : .left
        return MemberRecord(node: node, life: life, status: phase == .running ? .alive : farewell, profile: profile)
    }

    /// True when we have called others for a while and nobody answers: what we believe of them is worth nothing.
    package func isIsolated(at now: LogicalInstant) -> Bool {
        table.activeCount > 0 && now - (lastAck ?? startedAt) > tuning.probeInterval * (4 + 2 * localHealth)
    }

    /// The time of a ping that was answered since this was last asked.
    package mutating func takeRoundTrip() -> Span? {
        defer { lastRoundTrip = nil }
        return lastRoundTrip
    }

    /// How long pings to `node` take, smoothed as TCP does (RFC 6298); nil when none was answered without a detour.
    package func roundTrip(to node: NodeID) -> Span? { table.slot(of: node).flatMap { roundTrips[$0] } }

    /// The same to each zone: the median of its members, in the order of the zones' names. One row of the matrix of latencies.
    package var roundTripsByZone: [(zone: ZoneName, median: Span)] {
        var times: [(zone: ZoneName, time: Span)] = []
        table.forEach { slot, member in
            if member.isActive, let time = roundTrips[slot] { times.append((member.profile.zone, time)) }
        }
        times.sort { ($0.zone, $0.time) < ($1.zone, $1.time) }
        var rows: [(zone: ZoneName, median: Span)] = []
        var first = 0
        for index in times.indices where index == times.count - 1 || times[index + 1].zone != times[index].zone {
            rows.append((times[index].zone, times[(first + index) / 2].time))
            first = index + 1
        }
        return rows
    }

    mutating func noteRoundTrip(_ time: Span, to slot: Int) {
        lastRoundTrip = time
        roundTrips[slot] = roundTrips[slot].map { $0 + (time - $0) / 8 } ?? time
    }
}
