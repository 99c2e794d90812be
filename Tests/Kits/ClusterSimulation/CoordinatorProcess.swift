// The shell of a simulated coordinator, in miniature: it writes, sends and applies in the order that the core wants, serves agents'
// sessions, runs the failure detector, and hands an operator's errands in. What it decides by itself is only how long a silent agent is
// told news, and that it has no link, no codec and no threads.

import Catalog
import Consensus
import CoordinatorCore
import Membership
import Model
import RaftSimulation
import SimulationKit

struct CoordinatorProcess: Sendable {
    typealias Sending = Effects<ClusterMessage>

    let host: Int
    let id: MemberID
    private let places: ClusterPlaces
    private let mutant: ClusterMutant?
    private(set) var core: Coordinator
    private(set) var swim: Swim
    private let codec: CoordinatorCodec
    private var log: LogStore
    private enum DiskWork: Sendable {
        case log(Persist)
        /// The record with the keys of gossip, which are read back before the log is.
        case record(Topology)

        var write: Persist? { if case .log(let write) = self { write } else { nil } }
    }
    private var line = DiskLine<DiskWork>()
    private let archive: ClusterArchive
    private(set) var ring: GossipRing
    private var ringOnItsWay: Revision?
    private let isSealed: Bool
    private(set) var isOpen = false

    private enum Caller {
        case registration(StoreID, Generation, host: Int, link: UInt64)
        case proposal(RequestID, PartitionProposal, host: Int, link: UInt64)
        /// An operator, who asks the group next.
        case group([MemberChange])
        case nobody
    }
    /// With which store each host was heard last.
    private var peers: [Int: MemberID]
    /// Whom this process has heard since, over a connection that stands.
    private var linked: Set<Int> = []
    private var callers: [UInt64: Caller] = [:]
    private var readers: [UInt64: (host: Int, link: UInt64, number: UInt64)] = [:]
    private var lastCaller: UInt64 = 0
    /// Operators who have asked the group.
    private var wishes: Set<UInt64> = []
    /// Callers whom the core owes an answer.
    var unanswered: Int { callers.count + readers.count + wishes.count }

    /// An agent whose session is here, and the revision that it has been told.
    private struct Watcher {
        let link: UInt64
        var told: Revision
        var heardAt: LogicalInstant
    }
    private var watchers: [Int: Watcher] = [:]
    private var deltas: [TopologyDelta] = []
    private var adopted = Revision.none

    // What the checks look at after each step, and clear.
    var published: [TopologyDelta] = []
    var violations: [String] = []
    /// Whom its failure detector has found dead.
    var mourned: [SessionID] = []

    init(
        host: Int, places: ClusterPlaces, options: ClusterOptions, found: LogStore.Recovered, making: [DiskStep],
        founding: MemberConfiguration, record: GossipKeys?, archive: ClusterArchive, generation: Generation, seed: UInt64,
        at now: LogicalInstant,
        _ effects: inout Sending
    ) {
        self.host = host
        self.places = places
        mutant = options.mutant
        id = found.member
        log = found.log
        codec = archive.codec
        self.archive = archive
        ring = GossipRing(record)
        isSealed = options.exchangesKeys
        peers = Dictionary(uniqueKeysWithValues: places.coordinators.map { ($0, places.member($0)) })
        let raft = Raft(
            id: found.member, settings: options.raft, hardState: found.hardState,
            snapshot: found.snapshot ?? .founding(founding), entries: found.entries, seed: seed, at: now)
        let zones = Dictionary(uniqueKeysWithValues: places.members.enumerated().map { ($1.node, places.zones[$0]) })
        core = Coordinator(
            id: found.member, raft: raft, codec: codec, memberZones: zones, settings: options.coordinator,
            gossipSeed: isSealed ? GossipRing.founding : nil, numbersAfter: seed >> 1, at: now)
        swim = places.member(host, generation: generation, seed: seed ^ 0x5717, at: now)
        effects.jobs.append(DiskJob(ticket: 0, steps: making + found.opening))
    }

    var wakeAt: LogicalInstant? {
        guard isOpen else { return nil }
        return [core.nextDeadline, swim.tickDue, line.retryAt].compactMap(\.self).min()
    }

    // MARK: - Steps

    mutating func step(_ input: ProcessInput<ClusterMessage>, at now: LogicalInstant, _ effects: inout Sending) {
        if case .diskFinished(let ticket, let failure) = input {
            diskFinished(ticket, failure, at: now, &effects)
        } else if isOpen {
            switch input {
            case .tick: tick(at: now, &effects)
            case .received(let message, let from): receive(message, from: from, at: now, &effects)
            case .connectionLost(let gone): connectionLost(to: gone, at: now, &effects)
            case .diskFinished: break
            }
        }
        guard isOpen, effects.exit == nil else { return }
        if adopted != core.catalog.topology.revision {
            adopted = core.catalog.topology.revision
            gossip(places.news(of: core.catalog.topology, for: host), at: now, &effects)
            if let record = core.catalog.topology.gossipKeys, ring.isOlder(than: record), ringOnItsWay != record.version {
                ringOnItsWay = record.version
                line.add(.record(core.catalog.topology))
            }
        }
        beginDisk(&effects)
    }

    private mutating func beginDisk(_ effects: inout Sending) {
        guard line.isIdle, let first = line.waiting.first else { return }
        switch first {
        case .log:
            let batch = line.take(line.waiting.prefix { $0.write != nil }.count)
            effects.jobs.append(line.begin(batch, log.steps(for: batch.compactMap(\.write))))
        case .record(let topology):
            effects.jobs.append(line.begin(line.take(1), AgentStore.replacing("topology", with: [archive.keep(topology)])))
        }
    }

    private mutating func tick(at now: LogicalInstant, _ effects: inout Sending) {
        if let job = line.again(at: now) { effects.jobs.append(job) }
        if swim.tickDue <= now { gossip([.tick], at: now, &effects) }
        if core.nextDeadline <= now { give(.tick, at: now, &effects) }
    }

    private mutating func connectionLost(to gone: Int, at now: LogicalInstant, _ effects: inout Sending) {
        gossip([.linkRefused(places.node(gone))], at: now, &effects)
        linked.remove(gone)
        if let peer = peers[gone] { give(.connectionLost(peer), at: now, &effects) }
        watchers[gone] = nil
    }

    private mutating func receive(
        _ message: ClusterMessage, from sender: Int, at now: LogicalInstant, _ effects: inout Sending
    ) {
        switch message {
        case .coordinators(let message, let from, let to):
            meet(from, at: sender, now, &effects)
            if to == id { give(.received(message, from: from), at: now, &effects) }
        case .gossip(let message, let key):
            guard key.map(ring.opens) ?? true else { return }
            gossip([.received(message, from: places.addresses(sender).gossip)], at: now, &effects)
        case .linkPing(let number, _): effects.send(.linkPong(number, from: id.node), to: sender)
        case .linkPong(let number, let node): gossip([.streamAnswered(node, sequence: number)], at: now, &effects)
        case .question(let question, let link, let node): answer(question, link, of: node, at: sender, now, &effects)
        case .errand(let errand): run(errand, at: now, &effects)
        case .agents, .answer, .snapshot, .snapshotEnded, .request, .reply, .routesWanted, .routes: break
        }
    }

    /// A link tells who stands at its other end.
    private mutating func meet(_ peer: MemberID, at sender: Int, _ now: LogicalInstant, _ effects: inout Sending) {
        guard linked.insert(sender).inserted || peers[sender] != peer else { return }
        peers[sender] = peer
        give(.appeared(peer), at: now, &effects)
    }

    /// Steps the core, and carries out what it wants.
    private mutating func give(_ first: Coordinator.Input, at now: LogicalInstant, _ effects: inout Sending) {
        // Nobody's safety rests on it: one that differs from machine to machine, and leaps with it.
        let wall = WallTime(milliseconds: 1_000_000 + now.microseconds / 1_000 + Int64(host) * 50)
        var inputs = [first]
        while !inputs.isEmpty {
            for action in core.step(inputs.removeFirst(), at: now, wall: wall) {
                switch action {
                case .send(let message, let peer):
                    if let to = places.host(of: peer.node) {
                        effects.send(.coordinators(message, from: id, to: peer), to: to)
                    }
                case .persist(let write): line.add(.log(write))
                case .encodeSnapshot(let state, let index):
                    inputs.append(.snapshotEncoded(codec.encodeSnapshot(state), at: index))
                case .answer(let caller, let outcome): if let next = answer(caller, outcome, &effects) { inputs.append(next) }
                case .readAnswered(let caller, let isFresh):
                    guard let reader = readers.removeValue(forKey: caller), isFresh else { continue }
                    let answer = SessionAnswer.quorumConfirmed(reader.number, core.catalog.topology.revision)
                    effects.send(.answer(answer, link: reader.link), to: reader.host)
                case .publish(let delta): publish(delta, at: now, &effects)
                case .reset:
                    deltas = []
                    for host in watchers.keys.sorted() { tellNews(to: host, &effects) }
                case .fault(let fault): violations.append("\(id) finds that \(fault)")
                case .stateDiffers(let other, let index): violations.append("\(id) and \(other) differ at \(index)")
                case .unreadable(let index): violations.append("\(id) cannot read \(index)")
                case .askToBeLetIn:
                    for (other, peer) in peers.sorted(by: { $0.key < $1.key }) where other != host {
                        effects.send(.coordinators(.waiting(id), from: id, to: peer), to: other)
                    }
                case .groupAnswered(let caller, _):
                    if wishes.remove(caller) == nil { violations.append("\(id) answers \(caller) again, or for nothing") }
                case .mayStop, .failover: break
                }
            }
        }
    }

    // MARK: - The disk

    private mutating func diskFinished(
        _ ticket: UInt64, _ failure: DiskFailure?, at now: LogicalInstant, _ effects: inout Sending
    ) {
        guard isOpen else {
            if let failure { return effects.exit = "the disk is \(failure) at the start" }
            isOpen = true
            if isSealed { give(.gossipKeysHeld(ring.held), at: now, &effects) }
            return
        }
        switch line.finished(ticket, failure, at: now) {
        case .waits: break
        case .broken: effects.exit = "the disk failed"
        case .done(let works):
            for case .record(let topology) in works {
                if let record = topology.gossipKeys { ring.take(record) }
                give(.gossipKeysHeld(ring.held), at: now, &effects)
            }
            let writes = works.compactMap(\.write)
            for write in writes {
                for envelope in write.answers {
                    if let to = places.host(of: envelope.to.node) {
                        effects.send(.coordinators(.raft(envelope.message), from: id, to: envelope.to), to: to)
                    }
                }
            }
            if let last = writes.last { give(.persisted(last.sequence), at: now, &effects) }
        }
    }

    // MARK: - Agents' sessions

    private mutating func answer(
        _ question: SessionQuestion, _ link: UInt64, of node: NodeID, at host: Int, _ now: LogicalInstant,
        _ effects: inout Sending
    ) {
        // A question on a link that was given up has nobody who waits for its answer.
        if let known = watchers[host], known.link > link { return }
        switch question {
        case .watch(let revision):
            watchers[host] = Watcher(link: link, told: revision, heardAt: now)
            effects.send(.answer(.alive(leader: core.raft.leader?.node), link: link), to: host)
            tellNews(to: host, &effects)
        case .register(let request, let generation, let store):
            if let known = predecessor(of: node, store, generation) {
                return effects.send(.answer(.preceded(known), link: link), to: host)
            }
            let registration = NodeRegistration(
                node: node, store: store, generation: generation, zone: places.zones[host], addresses: places.addresses(host))
            propose(
                .registerNode(registration), as: request, by: "node/\(node)",
                for: .registration(store, generation, host: host, link: link), at: now, &effects)
        case .propose(let request, let proposal, let session):
            propose(
                .partition(proposal, from: node, session: session), as: request, by: "node/\(node)",
                for: .proposal(request, proposal, host: host, link: link), at: now, &effects)
        case .confirmQuorum(let number):
            guard mutant != .confirmsUnasked else {
                let answer = SessionAnswer.quorumConfirmed(number, core.catalog.topology.revision)
                return effects.send(.answer(answer, link: link), to: host)
            }
            lastCaller += 1
            readers[lastCaller] = (host, link, number)
            give(.read(caller: lastCaller), at: now, &effects)
        case .deaths(let found): give(.deathsReported(DeathReport(found, witness: node)), at: now, &effects)
        case .load(let report): give(.loadReported(report), at: now, &effects)
        }
    }

    /// The latest start that another disk of the node is known to have had, where this one is no later: its life goes on behind that.
    private func predecessor(of node: NodeID, _ store: StoreID, _ generation: Generation) -> Generation? {
        let (committed, heard) = (core.catalog.topology.nodes[node], swim.member(node)?.record)
        guard committed?.status != .decommissioned, mutant != .forgetsPredecessors else { return nil }
        var others: [Generation] = []
        if let committed, committed.session != .none, committed.store != store { others.append(committed.generation) }
        if let heard, heard.profile.store != store { others.append(heard.life.generation) }
        return others.max().flatMap { $0 < generation ? nil : $0 }
    }

    private mutating func propose(
        _ command: Command, as request: RequestID?, by actor: String, for caller: Caller, at now: LogicalInstant,
        _ effects: inout Sending
    ) {
        guard let request, let actor = try? Principal(actor) else { return }
        lastCaller += 1
        callers[lastCaller] = caller
        let proposed = ProposedCommand(command: command, actor: actor, reason: "simulated", requestID: request)
        give(.propose(proposed, caller: lastCaller), at: now, &effects)
    }

    /// - Returns: what whoever is answered asks next.
    private mutating func answer(
        _ caller: UInt64, _ outcome: CommandOutcome, _ effects: inout Sending
    ) -> Coordinator.Input? {
        switch callers.removeValue(forKey: caller) {
        case .registration(let store, let generation, let host, let link)?:
            switch outcome {
            case .done(.accepted(.session(let session)), _):
                effects.send(.answer(.registered(session), link: link), to: host)
            case .done(.refused(let rejection), _) where rejection.code == .superseded:
                let known = predecessor(of: places.node(host), store, generation)
                effects.send(.answer(known.map { .preceded($0) } ?? .registrationRefused, link: link), to: host)
            case .done: effects.send(.answer(.registrationRefused, link: link), to: host)
            case .noLeader, .unknown, .overloaded, .diskFull: break
            }
        case .proposal(let request, let proposal, let host, let link)?:
            let told: ProposalOutcome =
                switch outcome {
                case .done(.accepted, let revision): .accepted(revision)
                case .done(.refused(let rejection), _): .refused(code: rejection.code.rawValue, detail: rejection.detail)
                case .noLeader, .unknown, .overloaded, .diskFull: .unavailable
                }
            effects.send(.answer(.outcome(request, proposal, told), link: link), to: host)
        case .group(let changes)?:
            guard case .done(.accepted, _) = outcome, Errand.isBearable(changes, in: core.raft.configuration) else {
                return nil
            }
            lastCaller += 1
            wishes.insert(lastCaller)
            return .changeMembers(changes, caller: lastCaller)
        case .nobody?, nil: break
        }
        return nil
    }

    private mutating func publish(_ delta: TopologyDelta, at now: LogicalInstant, _ effects: inout Sending) {
        published.append(delta)
        deltas.append(delta)
        if deltas.count > 200 { deltas.removeFirst(100) }
        for (host, watcher) in watchers.sorted(by: { $0.key < $1.key }) {
            if now - watcher.heardAt > .seconds(3) { watchers[host] = nil } else { tellNews(to: host, &effects) }
        }
    }

    /// What leads from where the agent stands to the newest: deltas, or the whole where it stands too far back (rule T2).
    private mutating func tellNews(to host: Int, _ effects: inout Sending) {
        let newest = core.catalog.topology
        guard let watcher = watchers[host], watcher.told < newest.revision else { return }
        if let first = deltas.firstIndex(where: { $0.from == watcher.told }) {
            for delta in deltas[first...] { effects.send(.answer(.delta(delta), link: watcher.link), to: host) }
            watchers[host]?.told = deltas.last?.to ?? newest.revision
        } else {
            effects.send(.answer(.topology(newest), link: watcher.link), to: host)
            watchers[host]?.told = newest.revision
        }
    }

    // MARK: - Gossip

    private mutating func gossip(_ inputs: [Swim.Input], at now: LogicalInstant, _ effects: inout Sending) {
        for action in inputs.flatMap({ swim.step($0, at: now) }) {
            switch action {
            case .send(let message, let address):
                if let to = ClusterPlaces.host(at: address) {
                    effects.send(.gossip(message, sealedBy: isSealed ? ring.held.primary : nil), to: to)
                }
            case .stream(_, let address, let number):
                if let to = ClusterPlaces.host(at: address) { effects.send(.linkPing(number, from: id.node), to: to) }
            case .memberChanged(let record) where record.profile.kind == .agent:
                let belief = Coordinator.Input.believed(
                    record.node, generation: record.life.generation, session: record.profile.session,
                    isAlive: record.status == .alive, isHeard: swim.member(record.node)?.heard ?? false)
                give(belief, at: now, &effects)
            case .reportDeaths(let findings):
                mourned += findings.deaths.map(\.session)
                give(.deathsReported(DeathReport(findings.found, witness: id.node)), at: now, &effects)
            case .memberChanged, .revisionHeard, .identityInUse, .identityDisputed, .departed, .dropped: break
            }
        }
    }

    // MARK: - An operator's errands

    private mutating func run(_ errand: Errand, at now: LogicalInstant, _ effects: inout Sending) {
        guard core.raft.isLeader else { return }
        lastCaller += 1
        if case .abdicate = errand {
            wishes.insert(lastCaller)
            return give(.transferLeadership(to: nil, caller: lastCaller), at: now, &effects)
        }
        let order = errand.order(at: core, places, present: peers)
        if let order, order.changes.isEmpty || Errand.isBearable(order.changes, in: core.raft.configuration) {
            propose(
                order.command, as: try? RequestID("errand-\(id)-\(core.raft.term)-\(lastCaller)"), by: "operator",
                for: .group(order.changes), at: now, &effects)
        }
        for (number, command) in errand.commands(in: core.catalog.topology, places).enumerated() {
            propose(
                command, as: try? RequestID("errand-\(id)-\(core.raft.term)-\(lastCaller)-\(number)"), by: "operator",
                for: .nobody, at: now, &effects)
        }
    }
}
