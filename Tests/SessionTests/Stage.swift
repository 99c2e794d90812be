import AgentServer
import CoordinatorServer
import Identity
import Logging
import Model
import Synchronization
import Transport
import Wire

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Waits until `condition` holds, at most a minute.
func eventually(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<12_000 {
        if await condition() { return true }
        do { try await Task.sleep(for: .milliseconds(5)) } catch { return false }
    }
    return false
}

/// Keeps what it was asked, and answers as it is told.
final class ScriptedBackend: SessionBackend {
    struct State {
        var hint = LeaderHint.here
        /// Proposals are taken, and nobody is told what became of them.
        var isMute = false
        var proposals: [PartitionProposal] = []
        /// Under which they came, each once: whoever leaves a session and opens another asks again.
        var requests: Set<RequestID> = []
        var registrations: [RequestID] = []
        var deaths: [[FoundDeath]] = []
        var reports: [NodeReport] = []
        var nextSession: UInt64 = 100
        /// What another store of the node has had.
        var preceding = Generation(0)
        /// What this store has had.
        var earlier = Generation(0)
        /// Of each registration that was taken, whether it vouched for what is on the disk, and if not, for what.
        var vouched: [Bool] = []
        var damaged: [[PartitionID]] = []
        /// The next registration that is taken gets no answer.
        var losesAnswer = false
    }

    let feed: TopologyFeed
    let state = Mutex(State())

    init(feed: TopologyFeed) { self.feed = feed }

    func propose(
        _ proposal: PartitionProposal, as request: RequestID, by node: NodeID, in session: SessionID
    ) async -> ProposalOutcome {
        state.withLock {
            $0.proposals.append(proposal)
            $0.requests.insert(request)
        }
        while state.withLock({ $0.isMute }), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        return .refused(code: "test", detail: "\(node) \(session)")
    }

    func register(
        _ registration: AgentRegistration, as request: RequestID, by node: NodeID
    ) async -> RegistrationOutcome {
        state.withLock { state in
            state.registrations.append(request)
            guard registration.generation > state.preceding else { return .preceded(state.preceding) }
            guard registration.generation > state.earlier else { return .wentBack(state.earlier) }
            state.vouched.append(registration.isLogIntact)
            state.damaged.append(registration.damaged)
            if state.losesAnswer {
                state.losesAnswer = false
                return .unavailable
            }
            state.nextSession += 1
            return .registered(SessionID(state.nextSession))
        }
    }

    func take(_ found: [FoundDeath], by witness: NodeID) async { state.withLock { $0.deaths.append(found) } }

    func take(_ report: NodeReport) async { state.withLock { $0.reports.append(report) } }
    func leader() async -> LeaderHint { state.withLock { $0.hint } }
    func confirmQuorum() async -> Revision? { state.withLock { $0.hint == .here } ? feed.topology.revision : nil }
}

/// An agent that follows and does nothing.
actor ScriptedOwner: SessionOwner {
    let node: NodeID
    private(set) var events: [SessionEvent] = []
    private(set) var topology = Topology()
    private(set) var begun: [Generation] = []
    private(set) var wentBack: [Generation] = []
    private var damaged: [PartitionID]? = []
    private var failures = 0

    init(node: NodeID) { self.node = node }

    /// The next `count` raised generations do not reach the disk.
    func failBeginnings(_ count: Int) { failures = count }

    func begin(in generation: Generation) -> Bool {
        begun.append(generation)
        failures -= 1
        return failures < 0
    }

    func revision() -> Revision { topology.revision }

    func find(damaged: [PartitionID]?) { self.damaged = damaged }
    func unvouched() -> [PartitionID]? { damaged }
    func wentBack(to generation: Generation) { wentBack.append(generation) }

    func received(_ event: SessionEvent) {
        events.append(event)
        switch event {
        case .topology(let whole): topology = whole
        case .delta(let delta): try? topology.apply(delta)
        case .connected, .disconnected, .registered, .registrationRefused, .answered, .quorumConfirmed, .revisionDisbelieved:
            break
        }
    }

    func report() -> NodeReport? {
        NodeReport(
            node: node, session: .none, revision: topology.revision, machine: MachineLoad(cpuPercent: 1),
            operationsPerSecond: 3,
            replicationLag: .zero, engine: .healthy, partitions: [], operations: [])
    }

    func gossipKeys() -> HeldGossipKeys? { nil }

    func count(_ condition: (SessionEvent) -> Bool) -> Int { events.count(where: condition) }
}

/// Two coordinators over one feed, and one agent; the second may have come to a halt, and be told of nothing any more.
final class Stage {
    let authority: Authority
    let cluster: ClusterID
    let feed: TopologyFeed
    let backends: [ScriptedBackend]
    let listeners: [LinkListener]
    private(set) var tasks: [Task<Void, any Error>] = []

    init(secondIsHalted: Bool = false) throws {
        let first = Topology(revision: Revision(history: 1, index: 10))
        feed = TopologyFeed(first)
        authority = try Authority.create(cluster: "demo", at: BootClock.wallTime())
        cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        backends = [feed, secondIsHalted ? TopologyFeed(first) : feed].map { ScriptedBackend(feed: $0) }
        var listeners: [LinkListener] = []
        for (index, backend) in backends.enumerated() {
            listeners.append(
                try Self.listener(try Self.identity("c\(index + 1)", .coordinator, authority), cluster, for: backend, port: 0))
        }
        self.listeners = listeners
        for listener in listeners { tasks.append(Task { try await listener.run() }) }
    }

    private static func listener(
        _ identity: TLSIdentity, _ cluster: ClusterID, for backend: ScriptedBackend, port: Int
    ) throws -> LinkListener {
        let sessions = AgentSessions(backend: backend, signingAs: identity, of: cluster, logger: quiet)
        return LinkListener(
            endpoint: try endpoint(identity, cluster), address: HostPort(host: "127.0.0.1", port: port),
            handlers: [.session: { await sessions.serve($0) }], logger: quiet)
    }

    static func identity(_ name: String, _ role: PeerIdentity.Role, _ authority: Authority) throws -> TLSIdentity {
        let key = try PrivateKey.generate()
        let certificate = try authority.issue(
            try PeerIdentity(cluster: "demo", role: role, name: name), publicKey: try key.publicKey(),
            addresses: ["127.0.0.1"], at: BootClock.wallTime())
        return try TLSIdentity(certificate: certificate, key: key, authority: authority.certificate)
    }

    static func endpoint(_ identity: TLSIdentity, _ cluster: ClusterID) throws -> LinkEndpoint {
        let contexts = try LinkContexts(identity)
        return LinkEndpoint(
            cluster: cluster, clusterName: "demo", node: try NodeID(identity.identity.name), store: StoreID(1),
            generation: Generation(1), contexts: { contexts })
    }

    /// `host:port` of a coordinator's links, once it is bound.
    func address(_ index: Int) async -> String {
        _ = await eventually { listeners[index].port != nil }
        return "127.0.0.1:\(listeners[index].port ?? 0)"
    }

    /// An agent's session with the coordinators of these places, running.
    ///
    /// - Parameters:
    ///   - failures: how often its disk does not take another generation.
    ///   - damaged: what it does not vouch for.
    func agent(
        with coordinators: [Int], failing failures: Int = 0, damaged: [PartitionID] = [], relay: DeltaRelay = DeltaRelay()
    ) async throws -> (session: AgentSession, owner: ScriptedOwner) {
        var addresses: [CoordinatorAddress] = []
        for index in coordinators {
            addresses.append(CoordinatorAddress(node: try NodeID("c\(index + 1)"), link: await address(index)))
        }
        let known = addresses
        let owner = ScriptedOwner(node: try NodeID("n1"))
        await owner.failBeginnings(failures)
        await owner.find(damaged: damaged)
        let session = AgentSession(
            endpoint: try Self.endpoint(Self.identity("n1", .node, authority), cluster), coordinators: { known },
            registration: AgentRegistration(
                store: StoreID(1), generation: Generation(1), zone: try ZoneName("a"),
                addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), instanceType: "", version: "1",
                isLogIntact: true, canBeginLater: true),
            owner: owner, relay: relay, logger: quiet)
        tasks.append(Task { await session.run() })
        return (session, owner)
    }

    /// Moves the topology on by one change.
    func commit(_ change: TopologyChange) {
        var topology = feed.topology
        let next = Revision(history: 1, index: topology.revision.index + 1)
        let delta = TopologyDelta(from: topology.revision, to: next, changes: [change])
        topology.commit([change], at: next)
        feed.publish(delta, leadingTo: topology)
    }

    /// What ends with the stage.
    func run(_ work: @escaping @Sendable () async throws -> Void) { tasks.append(Task { try await work() }) }

    func stop(_ index: Int) async {
        tasks[index].cancel()
        _ = try? await tasks[index].value
    }

    /// Starts a coordinator that was stopped, at the address that it had.
    func restart(_ index: Int) throws {
        let listener = try Self.listener(
            try Self.identity("c\(index + 1)", .coordinator, authority), cluster, for: backends[index],
            port: listeners[index].port ?? 0)
        tasks.append(Task { try await listener.run() })
    }

    func end() async {
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }
}
