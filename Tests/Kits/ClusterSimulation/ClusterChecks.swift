// What must hold after every step of a simulated cluster, and when it has come to rest.

import AgentCore
import Catalog
import Consensus
import CoordinatorCore
import Model
import Replication
import SimulationKit

struct ClusterChecks: Sendable {
    private let places: ClusterPlaces
    /// The committed topology, put together from what the first coordinator to apply each entry published.
    private(set) var truth = Topology()
    private(set) var deltas: [Revision: TopologyDelta] = [:]
    private var truths: [Revision: Topology] = [:]
    /// The revision at which each agent stood last, in this life.
    private var seen: [Revision]
    /// The revision that each agent took last for one that its disk holds, in all its lives.
    private var saved: [Revision]
    /// Each agent's session, and the newest of its earlier starts.
    private var sessions: [(now: SessionID, before: SessionID)]

    /// What was committed of the coordinators' group, at its place in the log.
    private var groups: [LogIndex: MemberConfiguration] = [:]
    /// The last of it; nil: what it was founded with.
    private(set) var group: MemberConfiguration?

    private struct Reign: Hashable {
        let partition: PartitionID
        let epoch: Epoch
    }
    private struct Place: Hashable {
        let partition: PartitionID
        let position: Position
    }
    private struct Copy: Hashable {
        let host: Int
        let partition: PartitionID
    }
    private var writers: [Reign: Int] = [:]
    private var values: [Place: UInt64] = [:]
    private var entries: [Place: LogPoint] = [:]
    /// Of each copy, the epoch and the run of which its log on disk told last.
    private var terms: [Copy: Replication.Term] = [:]
    private var ledger = WriteLedger()
    var gossip = GossipRingChecks()
    var losses = AgentLosses()
    private(set) var acknowledgements = 0
    /// Of all agents, in all their lives.
    private(set) var droppedSegments = 0
    private(set) var snapshots = 0

    /// Those within which a partition may keep what it likes; and what was written since the last look, and by it: checkpoints.
    private static let segments = EntryMarks.freeSegments + 3

    init(_ places: ClusterPlaces) {
        self.places = places
        seen = Array(repeating: .none, count: places.zones.count)
        saved = seen
        sessions = Array(repeating: (.none, .none), count: places.zones.count)
        truths[.none] = truth
    }

    mutating func began(_ host: Int) {
        seen[host] = .none
        sessions[host].before = max(sessions[host].before, sessions[host].now)
    }

    /// A host has another disk, and an empty one: what the one before it held binds nobody.
    mutating func renewed(_ host: Int) {
        saved[host] = .none
        terms = terms.filter { $0.key.host != host }
        gossip.renewed(places.node(host))
        losses.lost(places.node(host), at: truth.revision)
    }

    // MARK: - The topology

    /// A coordinator has applied an entry that changed the topology: all of them by the same change, each key in one descriptor, epochs
    /// by ones (rules C4, E1, M8).
    mutating func committed(_ delta: TopologyDelta) throws(Violation) {
        if let known = deltas[delta.to] {
            guard known == delta else { throw Violation("two coordinators came to \(delta.to) by different changes") }
            return
        }
        guard delta.from == truth.revision, delta.to > delta.from else {
            throw Violation("the change \(delta.from) to \(delta.to) does not follow \(truth.revision)")
        }
        let before = truth
        do { try truth.apply(delta) } catch { throw Violation("the change to \(delta.to) cannot be applied: \(error)") }
        deltas[delta.to] = delta
        truths[delta.to] = truth
        let found = Invariants.violations(in: truth) + Invariants.violations(from: before, to: truth)
        if let first = found.first { throw Violation("at \(delta.to): \(first)") }
        try gossip.committed(from: before, to: truth)
        for node in before.nodes.values.filter({ $0.status == .decommissioned }).sorted(by: { $0.id < $1.id }) {
            guard truth.nodes[node.id] == node, held(by: node.id) == nil else {
                throw Violation("at \(delta.to): \(node.id), which is gone for good, counts again")
            }
        }
    }

    /// A partition with a place on a node.
    private func held(by node: NodeID) -> PartitionID? {
        truth.partitions.values.filter { $0.replica(on: node) != nil || $0.primary == node }.map(\.id).min()
    }

    /// Whether each agent's disk holds a topology of which this is so.
    func allHave(_ isSo: (Topology) -> Bool) -> Bool {
        places.agents.indices.allSatisfy {
            places.agents[$0] == losses.gone || truths[saved[places.members.count + $0]].map(isSo) ?? false
        }
    }

    /// What an agent takes for the topology was committed so, and never goes back (rules T1, T3).
    mutating func follows(_ agent: AgentProcess) throws(Violation) {
        let revision = agent.core.topology.revision
        guard revision != seen[agent.host] else { return }
        guard revision > seen[agent.host] else {
            throw Violation("\(agent.node) went back from \(seen[agent.host]) to \(revision)")
        }
        seen[agent.host] = revision
        guard let committed = truths[revision] else {
            throw Violation("\(agent.node) is at \(revision), which is not committed")
        }
        guard committed == agent.core.topology else {
            throw Violation("\(agent.node) takes another topology for \(revision) than was committed")
        }
    }

    /// A start has a session of its own (rule E6).
    mutating func isOwn(_ session: SessionID, of host: Int) throws(Violation) {
        guard session != .none else { return }
        guard session > sessions[host].before else {
            throw Violation("\(places.node(host)) has started again, and goes on in session \(session)")
        }
        sessions[host].now = session
    }

    // MARK: - The coordinators' group

    /// A coordinator knows of a configuration that is committed: there is one at each place.
    mutating func agreed(_ group: MemberConfiguration, at index: LogIndex) throws(Violation) {
        if let known = groups[index] {
            guard known == group else {
                throw Violation("both \(known) and \(group) are the group as it is committed at \(index)")
            }
            return
        }
        groups[index] = group
        if groups.keys.max() == index { self.group = group }
    }

    /// How often an operator's wish or a new store has changed it.
    var groupChanges: Int { groups.values.count { !$0.isJoint } - 1 }

    // MARK: - Copies

    /// What an agent takes for the topology on its disk is there: by it copies are removed (rule M3). `mirror` is what a start would find.
    mutating func saves(_ agent: AgentProcess, _ mirror: @autoclosure () -> Topology?) throws(Violation) {
        let revision = agent.core.savedRevision
        guard revision != saved[agent.host] else { return }
        guard revision > saved[agent.host] else {
            throw Violation("\(agent.node) had \(saved[agent.host]) on its disk, and takes \(revision) for saved")
        }
        saved[agent.host] = revision
        guard let found = mirror()?.revision, found >= revision else {
            throw Violation("\(agent.node) takes \(revision) for saved, which its disk does not hold")
        }
    }

    /// What an agent says of its copies is so on its disk (rule M3). `engine` is what a start would find there; nil: nothing that counts.
    func isSaid(
        _ effects: Effects<ClusterMessage>, by agent: AgentProcess,
        from engine: @autoclosure () -> [PartitionID: EnginePartition]?
    ) throws(Violation) {
        for outgoing in effects.messages {
            guard case .question(.propose(_, let proposal, _), _, _) = outgoing.message else { continue }
            switch proposal {
            case .replicaReady(let id, _) where engine()?[id] == nil:
                throw Violation("\(agent.node) says that it has \(id), which its engine's disk does not hold")
            case .cleaned(_, let cleanup) where engine()?[cleanup.partition]?.storage == cleanup.storage:
                throw Violation("\(agent.node) says that \(cleanup.partition) is gone, which its engine's disk holds")
            default: break
            }
        }
    }

    /// A start must not miss a copy that was removed because it is placed here no more (rule M3).
    func removed(
        _ copy: (partition: PartitionID, storage: StorageID), by agent: AgentProcess, _ mirror: Topology?
    ) throws(Violation) {
        let isCounted = { (topology: Topology?) in
            let replica = topology?.partitions[copy.partition]?.replica(on: agent.node)
            return replica?.role == .inSync && replica?.storage == copy.storage
        }
        guard agent.core.topology.partitions[copy.partition] != nil, !isCounted(agent.core.topology), isCounted(mirror) else {
            return
        }
        throw Violation("\(agent.node) removes \(copy.partition), which its topology on disk still counts on")
    }

    // MARK: - Writes

    /// One writer for each partition and epoch, and one write for each position (rules E1, R1); and one position for each write, whoever
    /// answers for it and however often (rule R8).
    mutating func acknowledged(
        _ done: AgentProcess.AcknowledgedWrite, by host: Int, at now: LogicalInstant
    ) throws(Violation) {
        acknowledgements += 1
        ledger.note(done, at: now)
        if done.isRepeated { return try ledger.answered(done) }
        try ledger.stands(done.value, of: done.register, at: done.position, in: done.partition)
        try writes(done.partition, at: done.position.epoch, by: host)
        try holds(done.value, at: done.position, of: done.partition)
    }

    private mutating func writes(_ partition: PartitionID, at epoch: Epoch, by host: Int) throws(Violation) {
        let reign = Reign(partition: partition, epoch: epoch)
        guard let other = writers.updateValue(host, forKey: reign), other != host else { return }
        throw Violation("\(places.node(other)) and \(places.node(host)) both wrote \(partition) at \(epoch)")
    }

    /// An entry goes to an agent's log. Whoever has it first has ordered it: acknowledged or not, one node does so in an epoch (rule E1),
    /// and one entry stands at a position.
    mutating func logged(_ point: LogPoint, of partition: PartitionID, by host: Int) throws(Violation) {
        let place = Place(partition: partition, position: point.position)
        if let other = entries[place] {
            guard other != point else { return }
            throw Violation(
                "\(places.node(host)) has an entry of \(partition) at \(point.position) that others do not have there")
        }
        entries[place] = point
        try writes(partition, at: point.position.epoch, by: host)
    }

    /// What the disk says of a copy's epoch and run never goes back, over starts too, until the copy is given up (rules E1, R1).
    mutating func states(_ state: Replication.HardState?, of partition: PartitionID, by host: Int) throws(Violation) {
        let copy = Copy(host: host, partition: partition)
        let term = state.map { Replication.Term(epoch: $0.epoch, run: $0.run) }
        if let before = terms[copy], let term, term < before {
            throw Violation("\(places.node(host)) went back from \(before) to \(term) in \(partition), on its disk")
        }
        terms[copy] = term
    }

    /// What is applied at a position is the same everywhere, and nothing is applied at two.
    mutating func applied(_ write: AgentProcess.AppliedWrite) throws(Violation) {
        try ledger.stands(write.value, of: write.register, at: write.position, in: write.partition)
        try holds(write.value, at: write.position, of: write.partition)
    }

    /// An operator has given up what was acknowledged before.
    mutating func beginAnew() { ledger.beginAnew() }

    /// At rest, with what the primaries hold: every acknowledged write is there, or what was written behind it.
    func keepAcknowledged(_ registers: [Int: UInt64]) throws(Violation) {
        for register in 0..<ClusterOptions.keys { try ledger.isKept(in: register, holding: registers[register]) }
    }

    /// A copy has answered by itself with what it may.
    func explains(_ read: CopyRead) throws(Violation) { try ledger.explains(read) }

    private mutating func holds(_ value: UInt64, at position: Position, of partition: PartitionID) throws(Violation) {
        let place = Place(partition: partition, position: position)
        if let other = values.updateValue(value, forKey: place), other != value {
            throw Violation("\(partition) has both \(other) and \(value) at \(position)")
        }
    }

    // MARK: - The log

    /// What is left on the disk when segments were dropped makes a start as good as the process that dropped them (rule R9): no copy is
    /// damaged, none is behind its engine or its word, and no epoch, run or fence is forgotten.
    func survives(
        _ agent: AgentProcess, disk: SimulatedDisk, _ archive: ClusterArchive, settings: AgentSettings, at now: LogicalInstant
    ) throws(Violation) {
        guard let log = AgentStore.log(on: disk), let mirror = AgentStore.mirror(on: disk, archive) else {
            throw Violation("\(agent.node) has dropped a segment, and cannot read back what is left")
        }
        let recovered = log.partitions
        let engine = AgentStore.engine(on: disk, archive) ?? [:]
        for (id, state) in agent.hardOnLog.sorted(by: { $0.key < $1.key }) where recovered[id]?.hard != state {
            // A parent, whose children had taken its place in the engine when the process ended, before the log said so.
            if mirror.retired[id] != nil, engine[id] == nil { continue }
            throw Violation("\(agent.node) has dropped what its log said of \(id): \(state)")
        }
        let identity = AgentIdentity(
            node: agent.node, store: agent.core.identity.store,
            generation: Generation(agent.core.identity.generation.number + 1))
        let start = AgentCore(
            identity: identity, topology: mirror, recovered: recovered, engine: AgentStore.replicas(of: engine), startedAt: now,
            settings: settings)
        if let id = start.damagedPartitions.first {
            let why = start.replicas(at: now).first { $0.partition == id }?.damage ?? "nothing of it is there"
            throw Violation("\(agent.node) has dropped a segment, and would start with \(id) damaged: \(why)")
        }
        let found = Dictionary(start.replicas(at: now).map { ($0.partition, $0) }) { $1 }
        for known in agent.core.replicas(at: now) {
            let own = agent.core.topology.partitions[known.partition]?.replica(on: agent.node)
            // A learner whose snapshot was whole a moment ago may begin anew: nobody counts on it.
            guard own?.storage == known.storage, own?.role == .inSync, engine[known.partition]?.importing == nil,
                let other = found[known.partition], other.storage == known.storage, other.last.sequence < known.applied
            else { continue }
            throw Violation(
                "\(agent.node) has dropped \(known.partition) behind \(other.last), and has applied \(known.applied)")
        }
    }

    /// In memory too a log is bounded.
    func isWithinBudget(_ agent: AgentProcess) throws(Violation) {
        guard let id = agent.core.overlongLogs.first else { return }
        throw Violation("\(agent.node) keeps more of the log of \(id) than it may")
    }

    mutating func count(of agent: AgentProcess) {
        droppedSegments += agent.droppedSegments
        snapshots += agent.snapshots
    }

    // MARK: - Rest

    /// What is not at rest yet; nil when everything is.
    func unrest(_ processes: [ClusterProcess?], at now: LogicalInstant) -> String? {
        if truth.tables.isEmpty { return "there is no table" }
        for operation in truth.operations.values.sorted(by: { $0.id < $1.id })
        where operation.phase == .running || operation.cleanups.contains(where: { $0.node != losses.gone }) {
            return "\(operation.kind) is \(operation.phase) at \(operation.step)\(operation.pause == nil ? "" : ", paused"), "
                + "\(operation.cleanups.count) cleanups left"
        }
        for (host, process) in processes.enumerated() {
            guard places.node(host) != losses.gone else { continue }
            guard let process else { return "\(places.node(host)) is down" }
            if let id = process.coordinator?.id, !isMember(id) { continue }
            let revision = process.agent?.core.topology.revision ?? process.coordinator?.core.catalog.topology.revision
            guard revision == truth.revision else { return "\(places.node(host)) is behind, at \(revision ?? Revision.none)" }
            if let agent = process.agent, agent.store.segmentCount > Self.segments {
                return "\(agent.node) keeps \(agent.store.segmentCount) segments of its log"
            }
        }
        let members = processes.compactMap { $0?.coordinator }.filter { isMember($0.id) }
        if let unrest = unrest(of: members) ?? gossip.unrest(truth, members) { return unrest }
        for partition in truth.partitions.values.sorted(by: { $0.id < $1.id }) {
            if let unrest = unrest(of: partition, processes, at: now) {
                return "\(partition.id) at \(partition.epoch): \(unrest)"
            }
        }
        for node in truth.nodes.values.filter(\.isDrainWanted).sorted(by: { $0.id < $1.id }) where drainsCanEnd {
            if let id = held(by: node.id) { return "\(node.id) is to be drained, and holds \(id)" }
        }
        return nil
    }

    /// Whether the others can hold all copies. Two errands of one moment may drain more nodes than that: each saw the other's node healthy.
    private var drainsCanEnd: Bool {
        let copies = truth.tables.values.map(\.replicationFactor).max() ?? 0
        return truth.nodes.values.count { $0.status == .healthy } >= copies
    }

    func isMember(_ id: MemberID) -> Bool { group?.members.contains(id) ?? true }

    /// All members are there, take the same for the group, and hold the same; and who was to come has come.
    private func unrest(of members: [CoordinatorProcess]) -> String? {
        for member in members {
            let group = member.core.raft.configuration
            guard group.voters == members.map(\.id).sorted(), group.learners.isEmpty, !group.isJoint, self.group == group else {
                return "\(member.id) takes \(group) for the group, not \(self.group, default: "the founding one")"
            }
            let declared = member.core.catalog.coordinators.values.sorted { $0.node < $1.node }
            for node in declared where node.isLeaving || !group.voters.contains(where: { $0.node == node.node }) {
                return
                    "\(node.node) is \(node.isLeaving ? "leaving" : "declared") and not \(node.isLeaving ? "gone" : "a voter")"
            }
            if member.core.catalog.snapshot != members[0].core.catalog.snapshot {
                return "\(member.id) does not hold what \(members[0].id) holds"
            }
        }
        return nil
    }

    private func unrest(of partition: PartitionDescriptor, _ processes: [ClusterProcess?], at now: LogicalInstant) -> String? {
        guard let primary = partition.primary, let host = places.host(of: primary) else { return "it has no primary" }
        guard partition.learners.isEmpty else { return "\(partition.learners) are learners" }
        let copies = truth.tables[partition.table]?.replicationFactor ?? 0
        guard losses.gone.map({ partition.replica(on: $0) == nil }) ?? true else { return "it has a place on who is gone" }
        guard partition.inSync.count >= copies else { return "it has \(partition.inSync.count) of \(copies) copies" }
        let status = processes[host]?.agent?.core.replicas(at: now).first { $0.partition == partition.id }
        guard let status, status.isServing, status.descriptor?.epoch == partition.epoch, !status.isFenced else {
            return "\(primary) does not serve it: \(status.map { "\($0)" } ?? "it has no copy")"
        }
        for replica in partition.replicas {
            let held = places.host(of: replica.node).flatMap { processes[$0]?.agent?.engine[partition.id] }
            guard held?.applied == status.last else {
                return "\(replica.node) has applied \(held?.applied ?? .zero) of \(status.last)"
            }
        }
        return nil
    }

    /// At rest: all copies are equal, each is in its place, and nothing else is there (rules M3, M6).
    func verdict(_ processes: [ClusterProcess?]) throws(Violation) {
        for partition in truth.partitions.values.sorted(by: { $0.id < $1.id }) {
            let copies = partition.replicas.compactMap { replica in
                places.host(of: replica.node).flatMap { processes[$0]?.agent?.engine[partition.id] }
            }
            for copy in copies.dropFirst() where copy.values != copies[0].values {
                throw Violation("the copies of \(partition.id) differ: \(copies.map(\.values))")
            }
            for copy in copies.dropFirst()
            where copy.writes != copies[0].writes || copy.forgottenBefore != copies[0].forgottenBefore {
                throw Violation("the copies of \(partition.id) remember different writes")
            }
        }
        for process in processes {
            guard let agent = process?.agent else { continue }
            for (id, held) in agent.engine.sorted(by: { $0.key < $1.key })
            where truth.partitions[id]?.replica(on: agent.node)?.storage != held.storage {
                throw Violation("\(agent.node) keeps \(id) in \(held.storage) for nobody")
            }
            guard agent.copies.isEmpty, agent.core.inventory.strayCount == 0 else {
                throw Violation("\(agent.node) still has copies under way, or strays")
            }
        }
    }
}

extension ClusterChecks {
    var revisions: Int { deltas.count }
}
