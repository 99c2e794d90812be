// A simulated agent's session with the coordinators: with one at a time, the leader where it is known; the next when one falls silent
// or knows no leader. And what gossip tells and is told.

import AgentCore
import Membership
import Model
import Replication
import SimulationKit

struct SessionState: Sendable {
    /// The start as which it registers: the disk's, or one behind those of the disk before it.
    private(set) var generation: Generation
    /// To be on disk first.
    private var later: Generation?
    let store: StoreID
    /// The host of the coordinator.
    var coordinator: Int
    /// Names this connection; rises over all starts of the node, on whichever disk.
    var link: UInt64
    var session = SessionID.none
    var registrations = 0
    var registeredAt: LogicalInstant?
    var heardAt: LogicalInstant
    var watchedAt: LogicalInstant?
    var reportedAt: LogicalInstant
    /// What was last said of the keys of gossip.
    var toldKeys: HeldGossipKeys?
    var leaderlessSince: LogicalInstant?
    var avoided: [Int: LogicalInstant] = [:]
    var quorumAsked: (number: UInt64, at: LogicalInstant)
    /// Proposals on which a fence hangs that are not answered, and the link on which each was made.
    var urgent: [RequestID: UInt64] = [:]

    /// - Parameter start: how often the node has started.
    init(generation: Generation, store: StoreID, start: UInt64, coordinator: Int, at now: LogicalInstant) {
        self.generation = generation
        self.store = store
        self.coordinator = coordinator
        link = start << 32
        heardAt = now
        reportedAt = now
        quorumAsked = (start << 32, now)
    }

    /// Another disk of the node has had `known`.
    /// - Returns: the start to go on from, which is to be on disk first; nil where it is on its way there, or was passed.
    mutating func begin(after known: Generation) -> Generation? {
        let next = Generation(known.number + 1)
        guard session == .none, max(generation, later ?? generation) < next else { return nil }
        later = next
        return next
    }

    mutating func began(in next: Generation) {
        generation = next
        registeredAt = nil
    }
}

extension AgentProcess {
    private enum Pace {
        static let watch = Span.milliseconds(500)
        static let registration = Span.seconds(1)
        static let report = Span.seconds(2)
        static let silence = Span.milliseconds(1_500)
        static let leaderless = Span.seconds(1)
        static let avoidance = Span.seconds(5)
    }

    // MARK: - Speaking

    mutating func converse(at now: LogicalInstant, _ effects: inout Sending) {
        let isLost = session.leaderlessSince.map { now - $0 > Pace.leaderless } ?? false
        if now - session.heardAt > Pace.silence || isLost {
            leave(at: now)
        }
        if session.watchedAt.map({ now - $0 >= Pace.watch }) ?? true { watch(at: now, &effects) }
        if session.session == .none, session.registeredAt.map({ now - $0 >= Pace.registration }) ?? true {
            session.registeredAt = now
            // Always the same until it is answered: one start is one session.
            let name = "\(node)/\(session.store)/\(session.generation)/register/\(session.registrations)"
            if let request = try? RequestID(name) {
                ask(.register(request, generation: session.generation, store: session.store), &effects)
            }
        }
        let keys = isSealed ? ring.held : nil
        if session.session != .none, now - session.reportedAt >= Pace.report || keys != session.toldKeys {
            (session.reportedAt, session.toldKeys) = (now, keys)
            let report = NodeReport(
                node: node, session: session.session, revision: core.topology.revision, machine: MachineLoad(),
                operationsPerSecond: 0, replicationLag: .zero, engine: .healthy, partitions: [], operations: [],
                gossipKeys: keys, inventory: core.inventory)
            ask(.load(report), &effects)
        }
    }

    /// For the next one, and not to come back soon.
    private mutating func leave(at now: LogicalInstant) {
        session.avoided[session.coordinator] = now + Pace.avoidance
        let all = places.coordinators
        change(to: all.first { $0 > session.coordinator } ?? all[0], at: now)
    }

    private mutating func change(to coordinator: Int, at now: LogicalInstant) {
        session.coordinator = coordinator
        session.link += 1
        session.heardAt = now
        session.watchedAt = nil
        session.registeredAt = nil
        session.leaderlessSince = nil
    }

    private func ask(_ question: SessionQuestion, _ effects: inout Sending) {
        effects.send(.question(question, link: session.link, from: node), to: session.coordinator)
    }

    mutating func watch(at now: LogicalInstant, _ effects: inout Sending) {
        session.watchedAt = now
        ask(.watch(core.topology.revision), &effects)
    }

    /// A coordinator that is asked too often begins its answer too often.
    mutating func askTopology(at now: LogicalInstant, _ effects: inout Sending) {
        if session.watchedAt.map({ now - $0 > .milliseconds(100) }) ?? true { watch(at: now, &effects) }
    }

    /// One on which a fence hangs, and that has to be repeated, is made to another coordinator: writers wait (rule M4).
    mutating func propose(
        _ proposal: PartitionProposal, _ request: RequestID, at now: LogicalInstant, _ effects: inout Sending
    ) {
        guard session.session != .none else { return }
        if proposal.mayEndFence {
            if session.urgent[request] == session.link { leave(at: now) }
            session.urgent[request] = session.link
        }
        ask(.propose(request, proposal, session.session), &effects)
    }

    mutating func confirmQuorum(at now: LogicalInstant, _ effects: inout Sending) {
        session.quorumAsked = (session.quorumAsked.number + 1, now)
        ask(.confirmQuorum(session.quorumAsked.number), &effects)
    }

    // MARK: - Listening

    mutating func take(_ answer: SessionAnswer, at now: LogicalInstant, _ effects: inout Sending) {
        session.heardAt = now
        switch answer {
        case .alive(let leader):
            session.leaderlessSince = leader == nil ? session.leaderlessSince ?? now : nil
            guard let leader = leader.flatMap({ places.host(of: $0) }), leader != session.coordinator,
                session.avoided[leader].map({ now >= $0 }) ?? true
            else { return }
            change(to: leader, at: now)
        case .registered(let known):
            guard session.session == .none else { return }
            session.session = known
            gossip([.registered(known)], at: now, &effects)
        case .registrationRefused: session.registrations += 1
        case .preceded(let known):
            if let next = session.begin(after: known) { line.add(.identity(next)) }
        case .outcome(let request, let proposal, let outcome):
            session.urgent[request] = nil
            soon.append(.answered(proposal, outcome))
        case .quorumConfirmed(let number, let revision):
            // An answer to an older question proves less than the one that is under way.
            let asked = mutant == .countsQuorumFromAnswer ? now : session.quorumAsked.at
            if number == session.quorumAsked.number {
                soon.append(.quorumConfirmed(asked, revision: revision))
            }
        case .delta(let delta): soon.append(.delta(delta))
        case .topology(let topology): soon.append(.topology(topology))
        }
    }

    /// The topology has moved: whoever should know does, and a node that was held for dead while it lived needs a new session.
    mutating func learned(at now: LogicalInstant, _ effects: inout Sending) {
        gossip(places.news(of: core.topology, for: host), at: now, &effects)
        guard let own = core.topology.nodes[node], own.status == .failed, session.session != .none,
            own.session >= session.session
        else { return }
        session.session = .none
        session.registrations += 1
        session.registeredAt = nil
    }

    // MARK: - Gossip

    mutating func gossip(_ inputs: [Swim.Input], at now: LogicalInstant, _ effects: inout Sending) {
        for action in inputs.flatMap({ swim.step($0, at: now) }) {
            switch action {
            case .send(let message, let address):
                if let to = ClusterPlaces.host(at: address) {
                    effects.send(.gossip(message, sealedBy: isSealed ? ring.held.primary : nil), to: to)
                }
            case .stream(_, let address, let number):
                if let to = ClusterPlaces.host(at: address) { effects.send(.linkPing(number, from: node), to: to) }
            case .reportDeaths(let findings): ask(.deaths(findings.found), &effects)
            case .revisionHeard(let revision, _):
                if revision > core.topology.revision { askTopology(at: now, &effects) }
            case .memberChanged, .identityInUse, .identityDisputed, .departed, .dropped: break
            }
        }
    }
}
