// Everything that an agent decides about the partitions of its node, in one value that is stepped: which replicas it holds, what
// each of them does with a message, a write or a new descriptor, which leases it gives and holds, how its operations go on, and
// what of its data is dropped. It knows no socket, file, clock or thread; its shell (AgentServer) carries out the actions in
// order and hands back what came of them.
//
// Failure detection is a core of its own (Membership), stepped beside this one: neither must wait for the other.

package import Model
package import Movement
package import Replication

package struct AgentIdentity: Hashable, Sendable {
    package let node: NodeID
    package let store: StoreID
    package let generation: Generation

    package init(node: NodeID, store: StoreID, generation: Generation) {
        self.node = node
        self.store = store
        self.generation = generation
    }
}

/// A replica that the engine was found to hold at the start.
package struct EngineReplica: Hashable, Sendable {
    package let partition: PartitionID
    package let storage: StorageID
    package let range: KeyRange
    package let applied: Position
    /// It is part of a snapshot, which counts for nothing.
    package let isImporting: Bool

    package init(
        partition: PartitionID, storage: StorageID, range: KeyRange, applied: Position, isImporting: Bool = false
    ) {
        self.partition = partition
        self.storage = storage
        self.range = range
        self.applied = applied
        self.isImporting = isImporting
    }
}

package struct AgentSettings: Hashable, Sendable {
    package var replication = ReplicationSettings()
    package var leases = LeaseSettings()
    package var movement = MovementSettings()
    package var splits = SplitWatch.Settings()
    /// An idle node proves so often that its log can be written (rule L3).
    package var beatInterval: Span = .milliseconds(200)
    /// A holder that is behind by more changes gets no grant before it has caught up.
    package var exclusionsPerGrant = 256
    /// What the engine could not do is tried again after so long: what ails the disk may last, and each attempt has its price.
    package var enginePause: Span = .seconds(1)

    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    package init() {}
}

package struct AgentCore: Sendable {
    package let identity: AgentIdentity
    package let settings: AgentSettings
    package internal(set) var topology: Topology
    /// At which revision the mirror is on disk: a start finds no older one.
    package internal(set) var savedRevision: Revision
    /// The revision at which each cleanup was first found due.
    var dueAt: [Cleanup: Revision] = [:]
    /// For each partition, the revision at which this node learned its present state.
    var changedAt = PartitionChanges()
    /// Partitions for which the disk proved at the start that the topology is behind, and the first epoch at which it may not be.
    var outgrown: [PartitionID: Epoch] = [:]
    /// Partitions of which a coordinator's word has proved a later epoch than the topology here has, since what lies between is
    /// missing. None of them is served, nor a lease granted over it, until that is learned (rule E2).
    var overtaken: [PartitionID: Overtaking] = [:]
    var locals: [PartitionID: LocalReplica] = [:]
    /// Storages that the engine could not open, with the reason. Nothing can be taken out of such a one by itself: it goes as a whole,
    /// once nothing that was in it counts any more.
    package internal(set) var unreadable: [StorageID: String]
    /// What the log has of partitions that the engine could not give back (rule R9). Where no copy stands for them in `locals`, they are
    /// in one of those storages, and nobody knows in which.
    var remnants: [PartitionID: Remnant] = [:]
    /// Found damaged, and counted in sync by the coordinators still, as far as is known here.
    var mistrusted: Set<PartitionID> = []
    /// The start of the node as which a disk that went back is to be registered.
    var wentBackTo: Generation?
    package internal(set) var leases: LeaseBook
    /// The nodes of whose grants a partition led here needs one.
    var leasePeers: [NodeID] = []
    var proposals: ProposalBook
    var quorumConfirmedAt: LogicalInstant?
    var quorumAskedAt: LogicalInstant?
    /// Which partition is to be split, and what was asked for and is not answered yet.
    var splits: SplitWatch
    var wantedSplit: PartitionProposal?

    /// Replicas made in this life, each with logs of its own.
    var births: UInt64 = 0
    var earlySurveys = EarlySurveys()
    /// Partitions whose children wait for their first records to be on disk.
    var installing: [PartitionID] = []
    /// Partitions whose removal waits for the log to have given them up.
    var dropping: [PartitionID] = []
    var lastTicket: UInt64 = 0
    /// Appends under way: the node's ticket, and the replica's for which it stands.
    var outstanding: [Outstanding] = []
    var lastAppendAt: LogicalInstant

    var actions: [AgentAction] = []
    /// Inputs for replicas in this step, in order; partitions in the order in which they first appeared.
    var pending: [PartitionID: [Replica.Input]] = [:]
    var touched: [PartitionID] = []

    struct Overtaking: Hashable, Sendable {
        let epoch: Epoch
        /// Who knows the topology at this revision knows that.
        let revision: Revision
        /// Nil: the partition is no more.
        let descriptor: PartitionDescriptor?
    }

    struct Outstanding: Hashable, Sendable {
        let ticket: UInt64
        let partition: PartitionID?
        let replicaTicket: UInt64
    }

    /// Puts together what the disk holds. Call `start` before anything else.
    ///
    /// - Parameter unreadable: storages that the engine could not open. Whatever the topology says is in them is damaged (rule F6).
    package init(
        identity: AgentIdentity, topology: Topology, recovered: [PartitionID: RecoveredPartition], engine: [EngineReplica],
        unreadable: [StorageID: String] = [:], startedAt now: LogicalInstant, settings: AgentSettings = AgentSettings()
    ) {
        self.identity = identity
        self.settings = settings
        self.topology = topology
        self.savedRevision = topology.revision
        self.leases = LeaseBook(startedAt: now, generation: identity.generation, settings: settings.leases)
        leases.knows(topology.revision)
        self.proposals = ProposalBook(
            prefix: "\(identity.node)/\(identity.store)/\(identity.generation)", interval: settings.replication.proposalInterval
        )
        self.splits = SplitWatch(settings: settings.splits)
        self.lastAppendAt = now
        self.unreadable = unreadable
        for found in engine {
            births += 1
            locals[found.partition] = recover(found, recovered[found.partition])
        }
        for (id, records) in recovered where !records.isDropped {
            let local = locals[id]
            let isLost = local.map { $0.replica == nil && !$0.isLeftOver } ?? !unreadable.isEmpty
            if isLost { remnants[id] = records.remnant }
        }
        for (id, storage) in placesInUnreadable where locals[id] == nil { place(id, in: storage) }
        mistrusted = Set(damagedPartitions)
    }

    /// Takes up the roles that the topology on disk gives.
    package mutating func start(at now: LogicalInstant) -> [AgentAction] {
        changedAt.note(topology.partitions.keys, at: topology.revision)
        changedAt.note(topology.retired.keys, at: topology.revision)
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) {
            if let damage = local.damage { actions.append(.damaged(id, damage)) }
            if local.lacksFirstRecord, let replica = local.replica { append([replica.checkpoint], for: id, 0, at: now) }
            if local.isLeftOver { drop(id, at: now) }
        }
        findOutgrown()
        learn(Array(topology.partitions.keys) + Array(topology.retired.keys), at: now)
        dropStrays(at: now)
        forgetRemnants(at: now)
        return finish(at: now)
    }

    /// Takes what happened, in order, and answers with what is to be done, in order.
    package mutating func step(_ inputs: [AgentInput], at now: LogicalInstant) -> [AgentAction] {
        for input in inputs { take(input, at: now) }
        return finish(at: now)
    }

    private mutating func take(_ input: AgentInput, at now: LogicalInstant) {
        switch input {
        case .topology(let newer): adopt(newer, at: now)
        case .delta(let delta): apply(delta, at: now)
        case .topologySaved(let revision):
            savedRevision = max(savedRevision, revision)
            dropStrays(at: now)
            forgetRemnants(at: now)
        case .received(.replication(let message), let peer):
            if locals[message.partition]?.replica != nil {
                give(message.partition, .received(message, from: peer))
            } else {
                if case .survey = message.body { earlySurveys.add(message, from: peer, at: now) }
                let isNews = (topology.partitions[message.partition]?.epoch).map { $0 < message.epoch } ?? false
                if isNews { actions.append(.askTopology) }
            }
        case .received(.leaseRequest(let request), let peer): grant(request, to: peer, at: now)
        case .received(.leaseGrant(let grant), let peer): leases.granted(grant, by: peer, at: now)
        case .persisted(let ticket): persisted(ticket, at: now)
        case .applied(let id, let sequence): give(id, .applied(sequence))
        case .synced(let id, let sequence): give(id, .synced(sequence))
        case .checksummed(let id, let position, let value): give(id, .checksummed(position, value))
        case .write(let caller, let id, let epoch, let payload, let request):
            if let refusal = routing(of: id, at: epoch) {
                actions.append(.refuse(caller, refusal))
            } else {
                give(id, .write(caller, payload, request))
            }
        case .read(let caller, let id, let epoch):
            if let refusal = routing(of: id, at: epoch) {
                actions.append(.refuse(caller, refusal))
            } else {
                give(id, .read(caller))
            }
        case .created(let id, let storage): created(id, storage, at: now)
        case .childrenInstalled(let parent): childrenInstalled(of: parent, at: now)
        case .installationFailed(let parent, let what): installationFailed(of: parent, what, at: now)
        case .dropped(let id, let storage): dropped(id, storage, at: now)
        case .failed(let id, let what): fail(id, what, at: now)
        case .storageDamaged(let storage, let unreadable, let what):
            storageDamaged(storage, unreadable, what, at: now)
        case .copyEnded(let id, let peer, let isWhole):
            locals[id]?.copyEnded(to: peer, isWhole: isWhole, at: now)
            give(id, .snapshotSending(to: peer, at: nil))
        case .copyStands(let id, let peer, let sequence): give(id, .snapshotStanding(peer, at: sequence))
        case .snapshotBegun(let id, let storage, let copy):
            if locals[id]?.storage == storage { give(id, .snapshotBegun(copy: copy)) }
        case .snapshotInstalled(let id, let storage, let point, let copy):
            if locals[id]?.storage == storage { give(id, .snapshotInstalled(point, copy: copy)) }
        case .answered(let proposal, let outcome):
            proposals.answered(proposal, outcome, at: now)
            answeredSplit(proposal, outcome)
            if let id = proposal.partition { give(id, .answered(proposal, outcome)) }
        case .quorumConfirmed(let at, let revision):
            quorumConfirmedAt = max(quorumConfirmedAt ?? at, at)
            if let revision { leases.confirmed(revision, askedAt: at) }
        case .loadMeasured(let loads): note(loads, at: now)
        case .splitKeyFound(let id, let key): splitKeyFound(for: id, key, at: now)
        case .tick: tick(at: now)
        }
    }

    private mutating func tick(at now: LogicalInstant) {
        for (id, local) in locals.sorted(by: { $0.key < $1.key }) where local.replica?.isPrimary ?? false { give(id, .tick) }
        for (peer, request) in leases.requests(to: leasePeers, knowing: topology.revision, at: now) {
            actions.append(.send(.leaseRequest(request), to: peer))
        }
        if locals.contains(where: { $0.value.replica?.needsCoordinators(at: now, leases: leases) ?? false }) {
            // Half of a lease is left for the next answer to come.
            askForQuorum(
                every: leases.holdsFromCoordinators(at: now) ? settings.leases.duration / 2 : settings.leases.interval, at: now)
        }
        if outstanding.isEmpty, now >= lastAppendAt + settings.beatInterval { append([.beat], for: nil, 0, at: now) }
        stopCopies()
        earlySurveys.forget(before: now - settings.replication.openingTimeout)
        proposeReadiness(at: now)
        proposeSplit(at: now)
        giveUpDamaged(at: now)
        giveUpUninstalled(at: now)
        tryAgain(at: now)
        abandonLostParents(at: now)
        cleanUp(at: now)
    }

    // MARK: - Replicas

    mutating func give(_ id: PartitionID, _ input: Replica.Input) {
        guard locals[id]?.replica != nil else {
            if case .write(let caller, _, _) = input { actions.append(.refuse(caller, .notHere(topology.partitions[id]))) }
            if case .read(let caller) = input { actions.append(.refuse(caller, .notHere(topology.partitions[id]))) }
            return
        }
        if pending[id] == nil { touched.append(id) }
        pending[id, default: []].append(input)
    }

    /// Steps every replica that something happened to, until nothing is left to do.
    private mutating func finish(at now: LogicalInstant) -> [AgentAction] {
        var driven: Set<PartitionID> = []
        while !touched.isEmpty {
            let round = touched
            touched = []
            for id in round {
                let inputs = pending.removeValue(forKey: id) ?? []
                // In its place: a copy of the replica would copy its log at every step.
                let done = locals[id]?.replica?.step(inputs, at: now, leases: leases) ?? []
                carryOut(done, of: id, at: now)
                // Once a step: an order that its replica cannot take yet is given again at the next.
                if driven.insert(id).inserted { drive(id, at: now) }
                installChildren(of: id, at: now)
            }
        }
        defer { actions = [] }
        return actions
    }

    private mutating func carryOut(_ done: [Replica.Action], of id: PartitionID, at now: LogicalInstant) {
        guard let storage = locals[id]?.storage else { return }
        for action in done {
            switch action {
            case .append(let records, let ticket):
                // What is being removed has said its last word: a start that found more would take the copy for one that counts.
                if !(locals[id]?.isDropping ?? false) { append(records, for: id, ticket, at: now) }
            case .send(let message, let peer): actions.append(.send(.replication(message), to: peer))
            case .apply(let entries): actions.append(.apply(id, storage, entries))
            case .checksum(let position): actions.append(.checksum(id, storage, position))
            case .acknowledge(let caller, let position): actions.append(.acknowledge(caller, position))
            case .readable(let caller): actions.append(.readable(caller))
            case .refuse(let caller, .notPrimary): actions.append(.refuse(caller, .notHere(topology.partitions[id])))
            case .refuse(let caller, let refusal): actions.append(.refuse(caller, .replica(refusal)))
            case .propose(let proposal, let request): actions.append(.propose(proposal, request))
            case .evicting(let member, let cause): actions.append(.evicting(id, member, cause))
            case .askTopology: actions.append(.askTopology)
            case .halted(let reason):
                actions.append(.damaged(id, "\(reason)"))
                rebuildIfLearner(id, at: now)
            }
        }
    }

    // MARK: - The node's log

    mutating func append(_ records: [PartitionRecord], for id: PartitionID?, _ replicaTicket: UInt64, at now: LogicalInstant) {
        lastTicket += 1
        lastAppendAt = now
        outstanding.append(Outstanding(ticket: lastTicket, partition: id, replicaTicket: replicaTicket))
        actions.append(.append(records, ticket: lastTicket))
    }

    private mutating func persisted(_ ticket: UInt64, at now: LogicalInstant) {
        leases.ownLogSynced(at: now)
        let done = outstanding.prefix { $0.ticket <= ticket }
        for append in done where append.replicaTicket > 0 {
            if let id = append.partition { give(id, .persisted(ticket: append.replicaTicket)) }
        }
        outstanding.removeFirst(done.count)
        orderInstallations()
        orderDrops()
    }

    // MARK: - Leases

    /// Grants a lease over what the two nodes share, except what changed since the holder's revision (rule L1), and what this disk
    /// knows to have changed since its own.
    private mutating func grant(_ request: LeaseRequest, to peer: NodeID, at now: LogicalInstant) {
        var excluded = outgrown
        for (id, newer) in overtaken where newer.revision > request.revision {
            excluded[id] = max(excluded[id] ?? Epoch(0), newer.epoch)
        }
        for id in changedAt.since(request.revision) {
            if let retired = topology.retired[id] {
                excluded[id] = max(excluded[id] ?? Epoch(0), retired.epoch.next)
            } else if let partition = topology.partitions[id] {
                excluded[id] = max(excluded[id] ?? Epoch(0), partition.epoch)
            }
            if excluded.count > settings.exclusionsPerGrant { break }
        }
        guard excluded.count <= settings.exclusionsPerGrant else { return }
        if settings.mutated(.grantsWithoutExclusions) { excluded = [:] }
        let exclusions = excluded.map { LeaseExclusion(partition: $0.key, epoch: $0.value) }
        let grant = leases.grant(request, to: peer, excluding: exclusions, at: now)
        actions.append(.send(.leaseGrant(grant), to: peer))
    }

    /// A start can find a mirror of the topology that is older than what was done under a newer one, and be told old ones first.
    mutating func findOutgrown() {
        for (id, local) in locals {
            guard let known = topology.partitions[id], isBehind(known, local) else { continue }
            outgrown[id] = max(local.provenEpoch, local.replica?.hard.epoch ?? Epoch(0))
        }
        for (id, remnant) in remnants {
            guard let known = topology.partitions[id], known.epoch < remnant.hard.epoch else { continue }
            outgrown[id] = remnant.hard.epoch
        }
        // A copy that should be here and is not has gone under a newer epoch: split, merged, moved away, or lost. So may one have that should be
        // where nothing can be read, unless the log shows it at this very epoch.
        for (id, known) in topology.partitions where known.status != .creating {
            // What a parent here is still to become was never anywhere else.
            guard let own = ownReplica(of: known), parents(of: known, in: own.storage) == .none else { continue }
            let local = locals[id]
            let isGone = local.map { unreadable[$0.storage] != nil && $0.provenEpoch < known.epoch } ?? true
            if isGone { outgrown[id] = max(outgrown[id] ?? Epoch(0), known.epoch.next) }
        }
    }

    // MARK: - Callers

    /// Why a request does not belong here at all (rules E2, E3); nil when the replica may judge it.
    private mutating func routing(of id: PartitionID, at epoch: Epoch) -> RequestRefusal? {
        guard let replica = locals[id]?.replica, let descriptor = replica.descriptor, !replica.isRetired else {
            return .notHere(topology.partitions[id])
        }
        if let refusal = refusalIfOvertaken(id, at: descriptor.epoch) { return refusal }
        if epoch > descriptor.epoch { actions.append(.askTopology) }
        return epoch == descriptor.epoch || settings.mutated(.servesOtherEpochs) ? nil : .staleEpoch(descriptor)
    }

    /// With the descriptor that was proved, for the client to look elsewhere.
    private func refusalIfOvertaken(_ id: PartitionID, at epoch: Epoch) -> RequestRefusal? {
        overtaken[id].flatMap { $0.epoch > epoch ? .notHere($0.descriptor) : nil }
    }

    /// Asked after the engine has read, before the answer leaves: the right to it must have held until now (rule R2).
    package func confirmRead(of id: PartitionID, at epoch: Epoch, now: LogicalInstant) -> RequestRefusal? {
        guard let replica = locals[id]?.replica, let descriptor = replica.descriptor else {
            return .notHere(topology.partitions[id])
        }
        if let refusal = refusalIfOvertaken(id, at: descriptor.epoch) { return refusal }
        guard descriptor.epoch == epoch || settings.mutated(.servesOtherEpochs) else { return .staleEpoch(descriptor) }
        switch replica.refusalOfReads(at: now, leases: leases) {
        case nil: return nil
        case .notPrimary?: return .notHere(descriptor)
        case let refusal?: return .replica(refusal)
        }
    }
}

extension AgentSettings {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
