// Read leases between pairs of nodes (rules L1 to L3; after CockroachDB's store liveness): one beacon per pair covers every
// partition that the two share. The holder counts from before it asked, the grantor from when it received, both on their own
// monotonic clocks, so that the right always ends at the holder first.

package import Model

package struct LeaseSettings: Hashable, Sendable {
    /// The longest lease: a constant of the cluster.
    package var duration: Span = .milliseconds(800)
    package var interval: Span = .milliseconds(200)
    /// Parts in a thousand by which two clocks may drift apart.
    package var driftPerMille: Int64 = 10
    /// A node whose own log completed no fsync for so long asks for nothing and serves nothing (rule L3).
    package var ownSyncBound: Span = .milliseconds(500)

    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    package init() {}

    /// How long a grantor holds itself bound.
    package var bound: Span { duration * (1_000 + driftPerMille) / 1_000 }
    /// How long a holder may use a grant of `duration`.
    package func usable(_ duration: Span) -> Span {
        min(duration, self.duration) * (1_000 - driftPerMille) / 1_000
    }
}

/// "Grant me a lease on whatever we share; I know the topology up to `revision`."
package struct LeaseRequest: Hashable, Sendable {
    package let number: UInt64
    package let revision: Revision

    package init(number: UInt64, revision: Revision) {
        self.number = number
        self.revision = revision
    }
}

/// A partition that the grantor knows at a newer epoch than the holder may: the grant gives no right to it.
package struct LeaseExclusion: Hashable, Sendable {
    package let partition: PartitionID
    package let epoch: Epoch

    package init(partition: PartitionID, epoch: Epoch) {
        self.partition = partition
        self.epoch = epoch
    }
}

package struct LeaseGrant: Hashable, Sendable {
    /// The request's number.
    package let number: UInt64
    package let duration: Span
    /// Sorted by partition.
    package let exclusions: [LeaseExclusion]

    package init(number: UInt64, duration: Span, exclusions: [LeaseExclusion]) {
        self.number = number
        self.duration = duration
        self.exclusions = exclusions
    }
}

/// What one node has granted to the others, and they to it.
package struct LeaseBook: Hashable, Sendable {
    private struct Held: Hashable, Sendable {
        var number: UInt64 = 0
        var until = LogicalInstant(microseconds: .min)
        var exclusions: [PartitionID: Epoch] = [:]
        /// Requests without an answer yet, oldest first.
        var asked: [Asked] = []
    }

    private struct Asked: Hashable, Sendable {
        let number: UInt64
        let at: LogicalInstant
    }

    private let settings: LeaseSettings
    private let startedAt: LogicalInstant
    /// The coordinators' leader was sure of its quorum after it was asked, and nothing was committed until then that is not in the
    /// topology at this revision.
    private struct Confirmation: Hashable, Sendable {
        let askedAt: LogicalInstant
        let revision: Revision
    }

    private var held: [NodeID: Held] = [:]
    /// In the order in which they were asked for.
    private var confirmations: [Confirmation] = []
    /// The topology that this node knows.
    private var known = Revision.none
    private var granted: [NodeID: LogicalInstant] = [:]
    private var nextNumber: UInt64
    private var nextRound: LogicalInstant
    private var lastOwnSync: LogicalInstant

    /// - Parameter generation: the node's count of starts; a grant for an earlier life's request is not taken for one of this.
    package init(startedAt: LogicalInstant, generation: Generation, settings: LeaseSettings = LeaseSettings()) {
        self.settings = settings
        self.startedAt = startedAt
        self.nextNumber = generation.number << 40
        self.nextRound = startedAt
        self.lastOwnSync = startedAt
    }

    /// The node's own log completed an fsync.
    package mutating func ownLogSynced(at now: LogicalInstant) { lastOwnSync = max(lastOwnSync, now) }

    /// Whether this node's own log still proves itself (rule L3).
    package func isFit(at now: LogicalInstant) -> Bool {
        now - lastOwnSync < settings.ownSyncBound || settings.mutated(.holdsLeasesOnStalledDisk)
    }

    /// The requests that are due, in the order of `peers`.
    package mutating func requests(to peers: [NodeID], knowing revision: Revision, at now: LogicalInstant)
        -> [(peer: NodeID, request: LeaseRequest)]
    {
        guard now >= nextRound, isFit(at: now) else { return [] }
        nextRound = now + settings.interval
        return peers.map { peer in
            nextNumber += 1
            held[peer, default: Held()].asked.append(Asked(number: nextNumber, at: now))
            if held[peer, default: Held()].asked.count > 16 { held[peer]?.asked.removeFirst() }
            return (peer, LeaseRequest(number: nextNumber, revision: revision))
        }
    }

    /// Grants what `peer` asks. The caller lists what the peer may not know yet (rule L1).
    package mutating func grant(
        _ request: LeaseRequest, to peer: NodeID, excluding exclusions: [LeaseExclusion], at now: LogicalInstant
    ) -> LeaseGrant {
        granted[peer] = max(granted[peer] ?? now, now + settings.bound)
        return LeaseGrant(
            number: request.number, duration: settings.duration,
            exclusions: exclusions.sorted { ($0.partition, $0.epoch) < ($1.partition, $1.epoch) })
    }

    /// Takes a grant, unless a later one was taken or it answers nothing that was asked.
    package mutating func granted(_ grant: LeaseGrant, by peer: NodeID, at now: LogicalInstant) {
        guard var lease = held[peer], let asked = lease.asked.first(where: { $0.number == grant.number }),
            grant.number > lease.number
        else { return }
        lease.asked.removeAll { $0.number <= grant.number }
        lease.number = grant.number
        lease.until = (settings.mutated(.countsGrantFromArrival) ? now : asked.at) + settings.usable(grant.duration)
        lease.exclusions = [:]
        for exclusion in grant.exclusions { lease.exclusions[exclusion.partition] = exclusion.epoch }
        held[peer] = lease
    }

    /// Whether `peer`'s grant covers this partition at this epoch now.
    package func holds(_ partition: PartitionID, at epoch: Epoch, from peer: NodeID, now: LogicalInstant) -> Bool {
        guard isFit(at: now), let lease = held[peer], now < lease.until else { return false }
        return lease.exclusions[partition].map { $0 <= epoch } ?? true
    }

    /// This node has learned the topology at a revision.
    package mutating func knows(_ revision: Revision) { known = max(known, revision) }

    /// The coordinators' leader answered what it was asked at `asked`. Newer answers do not take the place of older ones: the topology
    /// that they speak of may be still on its way.
    package mutating func confirmed(_ revision: Revision, askedAt asked: LogicalInstant) {
        guard confirmations.last.map({ $0.askedAt < asked }) ?? true else { return }
        confirmations.append(Confirmation(askedAt: asked, revision: revision))
        if confirmations.count > 8 { confirmations.removeFirst() }
    }

    /// Whether the coordinators' leader grants this node what its topology says (rule R6).
    ///
    /// That takes no book at the leader. At the moment of asking, what this node knows was all that was committed; and whoever is promoted
    /// by a later entry without this node's part must wait the longest lease out from when it learned of it.
    package func holdsFromCoordinators(at now: LogicalInstant) -> Bool {
        isFit(at: now)
            && confirmations.contains { known >= $0.revision && now < $0.askedAt + settings.usable(settings.duration) }
    }

    /// When a right ends that anybody was given by `now`.
    package func longestGrantEnds(from now: LogicalInstant) -> LogicalInstant { now + settings.bound }

    /// Until when `peer` may believe that it has a grant of this node. A node that has just started cannot know, and assumes the
    /// longest (rule L2).
    package func lastGrantEnds(for peer: NodeID) -> LogicalInstant {
        if settings.mutated(.startForgetsGrants) { return granted[peer] ?? startedAt }
        return max(granted[peer] ?? startedAt, startedAt + settings.bound)
    }
}

extension LeaseSettings {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
