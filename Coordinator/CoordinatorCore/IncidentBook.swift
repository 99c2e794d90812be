// The last failovers, and how long each of their three parts took.
//
// Every member begins an incident when it applies the entry, and follows by deltas and agents' reports what becomes of it: so each can
// answer for the cluster, and nothing of it is in the log. How long it took only the leader can say who had it committed; it tells the
// others. A member that has started again reads what is left of its log anew, and knows no clocks of that; what a snapshot stands for it
// does not know at all. Refused: keeping it in the catalog, for what was measured at one member is nothing to agree upon.

import Catalog
import Consensus
import Model

struct IncidentBook: Sendable {
    /// So many are kept, the newest.
    static let limit = 100

    /// In order.
    private(set) var incidents: [Incident] = []
    /// Which incidents wait for a partition, in order.
    private var waiting: [PartitionID: [LogIndex]] = [:]
    /// Of those that are measured here: when they were decided, and when the last partition so far was served.
    private var measured: [LogIndex: (decidedAt: LogicalInstant, servedAt: LogicalInstant?)] = [:]
    /// What leaders told of incidents that are not applied here yet.
    private var early: [LogIndex: (clocks: FailoverClocks, from: NodeID)] = [:]
    private var suspectedAt: [NodeID: LogicalInstant] = [:]
    private var accusedAt: [NodeID: LogicalInstant] = [:]

    /// How much is kept in all.
    var kept: Int { incidents.count + waiting.values.reduce(0) { $0 + $1.count } + measured.count + early.count }

    // MARK: - Before the decision

    mutating func suspected(_ node: NodeID, in topology: Topology, at now: LogicalInstant) {
        if mayFail(node, in: topology), suspectedAt[node] == nil { suspectedAt[node] = now }
    }

    mutating func alive(_ node: NodeID) {
        suspectedAt[node] = nil
        accusedAt[node] = nil
    }

    /// - Returns: how long detection took; nil when it is not the first report, or this member never suspected the node.
    mutating func accused(_ node: NodeID, in topology: Topology, at now: LogicalInstant) -> Span? {
        guard mayFail(node, in: topology), accusedAt[node] == nil else { return nil }
        accusedAt[node] = now
        return suspectedAt[node].map { now - $0 }
    }

    /// An accusation that nobody repeats came to nothing: the next one is another.
    mutating func forgetAccusations(but isAccused: (NodeID) -> Bool) {
        guard !accusedAt.isEmpty else { return }
        accusedAt = accusedAt.filter { isAccused($0.key) }
    }

    /// Of whom the topology knows nothing, no failure is ever committed, and nothing would end the measuring: of such there may be any
    /// number.
    private func mayFail(_ node: NodeID, in topology: Topology) -> Bool {
        topology.nodes[node].map { $0.status != .failed && $0.status != .decommissioned } ?? false
    }

    // MARK: - The decision

    /// Notes what an entry has come to that was accepted.
    ///
    /// - Parameter leader: this member, where it leads and can say how long it took: it had the entry committed, or knows since when the
    ///   node was accused.
    mutating func begin(
        _ onset: IncidentOnset, by entry: CatalogEntry, at index: LogIndex, changes: [TopologyChange], leader: NodeID?,
        now: LogicalInstant
    ) -> Incident? {
        var (changedHands, withoutPrimary, awaited) = (0, 0, [PartitionID: Epoch]())
        for case .partition(let partition) in changes
        where partition.status == .active && partition.primary != onset.node && onset.led.contains(partition.id) {
            if partition.primary == nil { withoutPrimary += 1 } else { changedHands += 1 }
            awaited[partition.id] = partition.epoch
        }
        let hasFailed = onset.cause != .dataLost
        guard hasFailed || !awaited.isEmpty else { return nil }
        var incident = Incident(
            id: index, node: onset.node, session: onset.session, cause: onset.cause, witnesses: onset.witnesses,
            silentZones: onset.silentZones, account: entry.reason, decidedAt: entry.time, changedHands: changedHands,
            withoutPrimary: withoutPrimary, awaited: awaited, hasReturned: !hasFailed)
        if let leader {
            incident.measuredBy = leader
            incident.clocks.decide = accusedAt[onset.node].map { now - $0 }
            if let accused = accusedAt[onset.node] { incident.clocks.detect = suspectedAt[onset.node].map { accused - $0 } }
            if !awaited.isEmpty { measured[index] = (now, nil) }
        } else if let told = early[index] {
            (incident.clocks, incident.measuredBy) = (told.clocks, told.from)
        }
        alive(onset.node)
        early = early.filter { $0.key > index }
        incidents.append(incident)
        for partition in awaited.keys { waiting[partition, default: []].append(index) }
        if incidents.count > Self.limit { forget(incidents.removeFirst()) }
        return incident
    }

    /// Whether this member knows since when the node was accused.
    func isAccused(_ node: NodeID) -> Bool { accusedAt[node] != nil }

    private mutating func forget(_ incident: Incident) {
        measured[incident.id] = nil
        for partition in incident.awaited.keys { stopWaiting(for: partition, incident.id) }
    }

    private mutating func stopWaiting(for partition: PartitionID, _ id: LogIndex) {
        waiting[partition]?.removeAll { $0 == id }
        if waiting[partition]?.isEmpty == true { waiting[partition] = nil }
    }

    /// What the leader of another incident, or of this one before it is applied here, measured of it.
    mutating func take(_ clocks: FailoverClocks, of id: LogIndex, from leader: NodeID) {
        if let place = place(of: id) {
            guard incidents[place].measuredBy.map({ $0 == leader }) ?? true else { return }
            (incidents[place].clocks, incidents[place].measuredBy) = (clocks, leader)
        } else if incidents.last.map({ $0.id < id }) ?? true {
            early[id] = (clocks, leader)
            if early.count > Self.limit, let oldest = early.keys.min() { early[oldest] = nil }
        }
    }

    private func place(of id: LogIndex) -> Int? { incidents.lastIndex { $0.id == id } }

    // MARK: - What comes of it

    /// Nodes that return, and partitions that are no more, for which nobody waits.
    /// - Returns: what is over by that, in order.
    mutating func follow(_ delta: TopologyDelta) -> [Incident] {
        guard !incidents.isEmpty else { return [] }
        var over: [LogIndex] = []
        for change in delta.changes {
            if case .node(let node) = change, node.status != .failed, node.status != .decommissioned {
                for place in incidents.indices where incidents[place].node == node.id { incidents[place].hasReturned = true }
            } else if case .partitionRetired(let id, _, _) = change {
                over += notAwaited(id) { _ in true }
            }
        }
        return ended(over)
    }

    /// After a snapshot, of which no deltas came.
    mutating func look(at topology: Topology) {
        for place in incidents.indices where !incidents[place].hasReturned {
            let status = topology.nodes[incidents[place].node]?.status
            incidents[place].hasReturned = status != .failed && status != .decommissioned && status != nil
        }
        for id in waiting.keys.sorted() where topology.partitions[id] == nil { _ = ended(notAwaited(id) { _ in true }) }
    }

    /// Partitions that an agent says it serves, as of the epoch at which they were taken from their node, or of a later one.
    /// - Returns: what is over by that, in order.
    mutating func follow(_ report: NodeReport, at now: LogicalInstant) -> [Incident] {
        guard !waiting.isEmpty else { return [] }
        var over: [LogIndex] = []
        for replica in report.partitions where waiting[replica.partition] != nil {
            guard replica.isPrimary, let servingFor = replica.servingFor else { continue }
            over += notAwaited(replica.partition, servedAt: now - servingFor) { $0 <= replica.epoch }
        }
        return ended(over)
    }

    /// - Returns: the incidents that wait for nothing more.
    private mutating func notAwaited(
        _ partition: PartitionID, servedAt instant: LogicalInstant? = nil, where isServed: (Epoch) -> Bool
    ) -> [LogIndex] {
        var over: [LogIndex] = []
        for id in waiting[partition] ?? [] {
            guard let place = place(of: id), let epoch = incidents[place].awaited[partition], isServed(epoch) else { continue }
            incidents[place].awaited[partition] = nil
            stopWaiting(for: partition, id)
            if let instant, let known = measured[id] {
                measured[id]?.servedAt = max(known.servedAt ?? known.decidedAt, instant)
            }
            if incidents[place].awaited.isEmpty { over.append(id) }
        }
        return over
    }

    private mutating func ended(_ ids: [LogIndex]) -> [Incident] {
        ids.sorted().compactMap { id in
            guard let place = place(of: id) else { return nil }
            if let (decidedAt, servedAt) = measured.removeValue(forKey: id), let servedAt {
                incidents[place].clocks.recover = servedAt - decidedAt
            }
            return incidents[place]
        }
    }
}
