// A whole cluster as a system that can be simulated: three coordinators and some agents, each the real core on a simulated disk and
// network, with clients who use it, operators who rearrange it, and checks of what must hold.

import AgentCore
import Consensus
import CoordinatorCore
import Membership
import Model
import RaftSimulation
import Replication
import SimulationKit

struct Cluster: SimulatedSystem {
    typealias Process = ClusterProcess
    enum Event {
        case client(ClusterClients.Event)
        /// Somebody makes the table, until it is there.
        case prepare
        /// An operator wants something.
        case order(Errand)
        /// Whoever exchanges keys looks how far it has come.
        case lookAtKeys
    }

    let options: ClusterOptions
    let places: ClusterPlaces
    private let founding: MemberConfiguration
    let archive = ClusterArchive()
    var clients: ClusterClients
    var checks: ClusterChecks
    private(set) var keys = TokenKeys()
    /// Looks on while an operation goes its way.
    var watch: CrashWatch?
    /// How often each host has started.
    private var starts: [UInt64]
    /// Whom each coordinator knows for certain to be the voters, and nobody else to be on the way to it; nil while it is not certain.
    private var groups: [MemberID: [MemberID]] = [:]
    /// The store that each coordinator's host has now.
    private var stores: [Int: MemberID]
    /// Agents that have not begun yet on the disk that has taken a lost one's place.
    private var renewed: Set<Int> = []
    /// Disks of coordinators that were lost.
    private(set) var lostDisks = 0

    init(_ options: ClusterOptions, seed: UInt64) throws {
        self.options = options
        places = try ClusterPlaces(options)
        founding = try MemberConfiguration(voters: places.members)
        clients = ClusterClients(options, places: places, seed: seed)
        checks = ClusterChecks(places)
        starts = Array(repeating: 0, count: options.hosts)
        stores = Dictionary(uniqueKeysWithValues: places.coordinators.map { [places] in ($0, places.member($0)) })
    }

    func initialDisk(_ host: Int) -> SimulatedDisk {
        var disk = SimulatedDisk()
        let steps =
            places.isCoordinator(host)
            ? LogStore.make(places.member(host), store: places.store(host)).steps : AgentStore.make(places.store(host))
        let orphan = EnginePartition(storage: CrashOperation.orphanStorage, range: .all)
        let isStray = options.hasOrphan && host == ClusterOptions.orphanHost
        let engine = isStray ? AgentStore.replacing("engine", with: [archive.keep([CrashOperation.orphan: orphan])]) : []
        for step in steps + engine { try? disk.perform(step) }
        return disk
    }

    mutating func start(
        _ host: Int, disk: SimulatedDisk, seed: UInt64, at now: LogicalInstant, _ effects: inout Effects<ClusterMessage>
    ) throws(Violation) -> ClusterProcess? {
        starts[host] += 1
        watch?.started(host)
        checks.began(host)
        if places.isCoordinator(host) {
            let (found, making) = try store(of: host, on: disk, seed: seed)
            stores[host] = found.member
            let process = CoordinatorProcess(
                host: host, places: places, options: options, found: found, making: making, founding: founding,
                record: AgentStore.mirror(on: disk, archive)?.gossipKeys,
                archive: archive, generation: Generation(starts[host]), seed: seed, at: now, &effects)
            return ClusterProcess(coordinator: process)
        }
        let (found, making) = try agentStore(of: host, on: disk, seed: seed)
        let process = AgentProcess(
            host: host, places: places, options: options, found: found, making: making, archive: archive, start: starts[host],
            seed: seed, at: now, &effects)
        return ClusterProcess(agent: process)
    }

    /// What an agent's disk holds; where it was lost, another store, which holds nothing.
    private mutating func agentStore(
        of host: Int, on disk: SimulatedDisk, seed: UInt64
    ) throws(Violation) -> (found: AgentStore.Found, making: [DiskStep]) {
        if let found = AgentStore.find(on: disk, archive, options.mutant, segmentBytes: options.segmentBytes) {
            renewed.remove(host)
            return (found, [])
        }
        let making = AgentStore.make(StoreID(seed >> 16 | 1 << 20))
        // Not on this disk, which may be about to fail: the process does that when it gets there.
        var made = SimulatedDisk()
        for step in making { try? made.perform(step) }
        guard renewed.contains(host),
            let found = AgentStore.find(on: made, archive, options.mutant, segmentBytes: options.segmentBytes)
        else { throw Violation("the disk of \(places.node(host)) cannot be read back") }
        return (found, disk.files.map(DiskStep.remove) + making)
    }

    /// What a coordinator's disk holds; where it was lost, another store, which is no member before the group takes it in.
    private func store(
        of host: Int, on disk: SimulatedDisk, seed: UInt64
    ) throws(Violation) -> (found: LogStore.Recovered, making: [DiskStep]) {
        switch LogStore.find(on: disk) {
        case .store(let found): return (found, [])
        case .empty where lostDisks > 0:
            let store = StoreID(seed >> 16 | 1 << 20)
            let making = LogStore.make(MemberID(places.node(host), store: store), store: store).steps
            // Not on this disk, which may be about to fail: the process does that when it gets there.
            var made = SimulatedDisk()
            for step in making { try? made.perform(step) }
            guard case .store(let found) = LogStore.find(on: made) else {
                throw Violation("a new store cannot be read back")
            }
            return (found, disk.files.map(DiskStep.remove) + making)
        case .empty, .damaged: throw Violation("the disk of \(places.node(host)) cannot be read back")
        }
    }

    mutating func ended(_ host: Int, at now: LogicalInstant) {
        watch?.ended(host, at: now)
        if !places.isCoordinator(host) { checks.losses.ended(places.node(host)) }
    }

    mutating func check(
        _ host: Int, _ process: inout ClusterProcess, _ effects: Effects<ClusterMessage>, disk: SimulatedDisk,
        at now: LogicalInstant
    ) throws(Violation) {
        if process.coordinator != nil {
            if let violation = process.coordinator?.violations.first { throw Violation(violation) }
            for delta in process.coordinator?.published ?? [] {
                let before = checks.truth
                try checks.committed(delta)
                if before.revision < checks.truth.revision { watch?.committed(from: before, to: checks.truth, at: now) }
            }
            if let core = process.coordinator?.core {
                let (log, group) = (core.raft.log, core.raft.configuration)
                let isCommitted = log.configurationIndex <= log.commit
                if isCommitted { try checks.agreed(group, at: log.configurationIndex) }
                groups[core.id] = isCommitted && !group.isJoint && group.learners.isEmpty ? group.voters : nil
            }
            watch?.leads(host, process.coordinator?.core.raft.hasCommittedInTerm ?? false, at: now)
            process.coordinator?.published.removeAll(keepingCapacity: true)
            if let mourned = process.coordinator?.mourned, !mourned.isEmpty {
                checks.losses.mourns(mourned)
                process.coordinator?.mourned.removeAll(keepingCapacity: true)
            }
        }
        guard let agent = process.agent else { return }
        if let violation = agent.violations.first { throw Violation(violation) }
        try checks.follows(agent)
        checks.losses.says(effects, agent)
        checks.gossip.holds(agent.ring.held, agent.node)
        try checks.saves(agent, AgentStore.mirror(on: disk, archive))
        try checks.isOwn(agent.session.session, of: host)
        try checks.isSaid(effects, by: agent, from: AgentStore.engine(on: disk, archive))
        for copy in agent.removed { try checks.removed(copy, by: agent, AgentStore.mirror(on: disk, archive)) }
        for entry in agent.logged { try checks.logged(entry.point, of: entry.partition, by: host) }
        for known in agent.stated { try checks.states(known.state, of: known.partition, by: host) }
        for done in agent.acknowledged {
            try checks.acknowledged(done, by: host, at: now)
            watch?.wrote(done.partition, at: now)
        }
        if agent.hasTruncated {
            process.agent?.hasTruncated = false
            try checks.survives(agent, disk: disk, archive, settings: options.agent, at: now)
        }
        if !checks.losses.isBehindItsLoss(agent.node, at: agent.core.topology.revision) {
            for id in agent.unknownKeys { try keys.refused(id, by: agent.node) }
        }
        if !agent.unknownKeys.isEmpty { process.agent?.unknownKeys.removeAll() }
        if !agent.applied.isEmpty { try checks.isWithinBudget(agent) }
        checks.count(of: agent)
        if agent.droppedSegments > 0 { process.agent?.droppedSegments = 0 }
        if agent.snapshots > 0 { process.agent?.snapshots = 0 }
        for done in agent.acts { watch?.did(done.act, for: done.partition, at: host, now) }
        if !agent.acts.isEmpty { process.agent?.acts.removeAll(keepingCapacity: true) }
        for write in agent.applied {
            try checks.applied(write)
            clients.tookEffect(write.value, at: now)
        }
        if !agent.logged.isEmpty { process.agent?.logged.removeAll(keepingCapacity: true) }
        if !agent.stated.isEmpty { process.agent?.stated.removeAll(keepingCapacity: true) }
        if !agent.acknowledged.isEmpty { process.agent?.acknowledged.removeAll(keepingCapacity: true) }
        if !agent.applied.isEmpty { process.agent?.applied.removeAll(keepingCapacity: true) }
        if !agent.removed.isEmpty { process.agent?.removed.removeAll() }
    }

    /// A coordinator's disk may be lost when all members know that the group is whole: the others have all that is committed, and nobody
    /// counts on a store that is no more. An agent's, when others have all that it holds. Damaged disks are other simulations' matter.
    mutating func maySacrifice(_ host: Int) -> Bool {
        guard options.losesDisks else { return false }
        guard let store = stores[host] else {
            guard checks.losses.permitsLoss(of: places.node(host), in: checks.truth) else { return false }
            renewed.insert(host)
            checks.renewed(host)
            return true
        }
        let voters = checks.group?.voters ?? places.members
        guard voters.allSatisfy({ groups[$0] == voters && stores.values.contains($0) }) else { return false }
        lostDisks += 1
        groups[store] = nil
        return true
    }

    /// Who never comes back.
    /// - Returns: an agent's host; nil when all are needed.
    mutating func spare(_ luck: UInt64) -> Int? {
        guard let node = Errand.pick(checks.losses.spareable(in: checks.truth), luck >> 8) else { return nil }
        checks.losses.leaves(node)
        return places.host(of: node)
    }

    // MARK: - Users

    mutating func received(
        _ message: ClusterMessage, from host: Int, at address: Int, now: LogicalInstant, _ outside: inout Outside
    ) throws(Violation) {
        switch message {
        case .reply(let reply):
            if let read = clients.received(reply, at: address, now: now, &outside) { try checks.explains(read) }
        case .routes(let routes): clients.received(routes, at: address)
        default: break
        }
    }

    mutating func fired(_ event: Event, now: LogicalInstant, _ outside: inout Outside) throws(Violation) {
        switch event {
        case .client(let event): clients.fired(event, now: now, &outside)
        case .prepare:
            guard checks.truth.tables.isEmpty else { return }
            order(.createTable(copies: options.copies, splitKeys: options.splitKeys), &outside)
            outside.schedule(.prepare, after: .seconds(1))
        case .order(let errand): order(errand, &outside)
        case .lookAtKeys:
            if let command = keys.look(at: checks, now: now) { order(.exactly(command), &outside) }
            clients.tokenKey = keys.signing
            outside.schedule(.lookAtKeys, after: .milliseconds(200))
        }
    }

    mutating func perform(act kind: Int, seed: UInt64, now: LogicalInstant, _ outside: inout Outside) throws(Violation) {
        let errand = Errand(kind: kind, seed: seed)
        if errand == .exchangeTokenKey { keys.exchange() } else { order(errand, &outside) }
    }

    /// To all coordinators: whoever leads does it.
    func order(_ errand: Errand, _ outside: inout Outside) {
        for host in places.coordinators { outside.send(.errand(errand), from: 99, to: host) }
    }

    // MARK: - The trace

    static func describe(_ message: ClusterMessage) -> String {
        switch message {
        case .coordinators(let message, _, _): "\(message)"
        case .agents(let message, _): "\(message)"
        case .gossip(let message, _): "gossip \(message.body)"
        case .question(let question, _, _): "\(question)"
        case .answer(.topology(let topology), _): "topology \(topology.revision)"
        case .answer(let answer, _): "\(answer)"
        case .snapshot(let parcel): "snapshot \(parcel.number) of \(parcel.partition) at \(parcel.point)"
        case .routes(let routes): "\(routes.count) routes"
        case .snapshotEnded, .request, .reply, .routesWanted, .errand, .linkPing, .linkPong: "\(message)"
        }
    }

    static func digest(_ message: ClusterMessage) -> UInt64 {
        let (kind, value): (UInt64, UInt64) =
            switch message {
            case .coordinators: (1, 0)
            case .agents(.replication(let message), _): (2, message.partition.number << 8 ^ message.epoch.number)
            case .agents(.leaseRequest(let request), _): (3, request.number)
            case .agents(.leaseGrant(let grant), _): (4, grant.number)
            case .gossip(let message, _): (5, message.life.incarnation)
            case .question(_, let link, _): (6, link)
            case .answer(_, let link): (7, link)
            case .snapshot(let parcel): (8, parcel.number)
            case .request(let request): (9, request.number << 8 ^ UInt64(request.attempt))
            case .reply(let reply): (10, reply.number << 8 ^ UInt64(reply.attempt))
            case .snapshotEnded(let number, _), .linkPing(let number, _), .linkPong(let number, _): (11, number)
            case .routesWanted: (12, 0)
            case .routes(let routes): (13, UInt64(routes.count))
            case .errand: (14, 0)
            }
        return kind << 56 ^ value
    }
}
