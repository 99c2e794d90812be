package import Catalog
package import Consensus
package import Model

/// A failover's three clocks: from the first suspicion of a node to the first report of its death, from there to the committed entry, and
/// from the entry until the last of the partitions that it took from the node was served again. Nil is what was not measured, or not yet.
package struct FailoverClocks: Hashable, Sendable {
    package var detect: Span?
    package var decide: Span?
    package var recover: Span?

    package init(detect: Span? = nil, decide: Span? = nil, recover: Span? = nil) {
        self.detect = detect
        self.decide = decide
        self.recover = recover
    }
}

/// One entry that took the partitions which a node led away from it, and what came of that.
package struct Incident: Hashable, Sendable {
    package enum Cause: String, Hashable, Sendable, CaseIterable {
        /// Enough witnesses found it dead (rule F2).
        case witnesses
        /// They stood in one zone, for those of the others were silent.
        case silentZone = "silent-zone"
        /// It came back without its data, before anybody had found it dead (rule E4).
        case dataLost = "data-lost"
    }

    package enum State: String, Hashable, Sendable, CaseIterable {
        /// Something that it led is not known to be served. *Can move to: recovered, returned.*
        case recovering
        /// All of that is served. *Can move to: returned.*
        case recovered
        /// And the node is there again.
        case returned
    }

    /// The index of the entry, so that every member has the same name for it.
    package let id: LogIndex
    package let node: NodeID
    /// Which was over.
    package let session: SessionID
    package let cause: Cause
    /// Who had found it dead; of a node that lost its data, nobody.
    package let witnesses: [Witness]
    package let silentZones: [ZoneName]
    /// What stands in the entry for people to read.
    package let account: String
    /// The leader's stamp on the entry.
    package let decidedAt: WallTime
    /// Of the partitions that the node led: how many another one led from then on, and how many nobody, for they had no other copy in
    /// sync.
    package let changedHands: Int
    package let withoutPrimary: Int
    /// Those that are not known to be served again, and since which epoch that would count.
    package internal(set) var awaited: [PartitionID: Epoch]
    package internal(set) var hasReturned: Bool
    package internal(set) var clocks: FailoverClocks
    /// The leader whose clocks they are; nil where it is not known, as after a start.
    package internal(set) var measuredBy: NodeID?

    package var state: State { !awaited.isEmpty ? .recovering : hasReturned ? .returned : .recovered }

    package init(
        id: LogIndex, node: NodeID, session: SessionID, cause: Cause, witnesses: [Witness], silentZones: [ZoneName],
        account: String, decidedAt: WallTime, changedHands: Int, withoutPrimary: Int, awaited: [PartitionID: Epoch],
        hasReturned: Bool, clocks: FailoverClocks = FailoverClocks(), measuredBy: NodeID? = nil
    ) {
        self.id = id
        self.node = node
        self.session = session
        self.cause = cause
        self.witnesses = witnesses
        self.silentZones = silentZones
        self.account = account
        self.decidedAt = decidedAt
        self.changedHands = changedHands
        self.withoutPrimary = withoutPrimary
        self.awaited = awaited
        self.hasReturned = hasReturned
        self.clocks = clocks
        self.measuredBy = measuredBy
    }
}

/// What a leader measures as it happens.
package enum FailoverNews: Hashable, Sendable {
    /// Somebody reported a death, so long after it was first suspected here.
    case detected(NodeID, Span)
    case decided(Incident)
    /// All that it took from its node is served again.
    case recovered(Incident)
}

/// What an entry may begin, as things stand before it is applied.
struct IncidentOnset: Sendable {
    let node: NodeID
    let session: SessionID
    let cause: Incident.Cause
    let witnesses: [Witness]
    let silentZones: [ZoneName]
    /// What the node leads.
    let led: Set<PartitionID>

    /// - Returns: nil for a command that takes nothing from anybody.
    /// - Complexity: O(partitions), where the node leads any; applying the command is no less.
    init?(of command: Command, in catalog: CatalogState) {
        if case .nodeFailed(let node, let session, let witnesses, let silentZones) = command {
            self.node = node
            self.session = session
            self.witnesses = witnesses
            self.silentZones = silentZones
            cause = silentZones.isEmpty ? .witnesses : .silentZone
        } else if case .registerNode(let start) = command, let known = catalog.topology.nodes[start.node],
            known.session != .none,
            known.store != start.store || !start.isLogIntact
        {
            node = start.node
            session = known.session
            (witnesses, silentZones) = ([], [])
            cause = .dataLost
        } else {
            return nil
        }
        guard catalog.topology.tally.primaries[node] != nil else {
            led = []
            return
        }
        let id = node
        led = Set(catalog.topology.partitions.values.lazy.filter { $0.primary == id }.map(\.id))
    }
}
