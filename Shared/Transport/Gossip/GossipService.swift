// A member's part in the failure detector: the pure core, its socket and its clock. It decides nothing (rule F1): what it finds goes
// to the process as events, and what the process knows for certain, the committed topology, comes in as its roster.

package import Logging
package import Membership
package import Model
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// What a process hears from its failure detector.
package enum GossipEvent: Hashable, Sendable {
    /// A member is new, or its status or what it says of itself has changed.
    case memberChanged(MemberRecord)
    /// These lives of agents are over, on evidence of our own; repeated until the topology shows it (rules F1, F2).
    case deathsFound([FoundDeath])
    /// Somebody has a newer revision than any that was known here (rule T2).
    case revisionHeard(Revision, from: NodeID)
    /// Another process lives under our name (rule E4).
    case identityInUse(MemberRecord)
}

package final class GossipService: Service {
    private let core: Mutex<Swim>
    private let roster: RosterBook
    private let logger: Logger
    let socket = Mutex<GossipSocket?>(nil)
    private let address: HostPort
    private let seal: any DatagramSealing
    private let streams: StreamProber?
    private let roundTrip: @Sendable (Span) -> Void
    private let drops = Mutex<[Swim.DropReason: UInt64]>([:])
    private let departed: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)
    private let continuation: AsyncStream<GossipEvent>.Continuation
    /// For one reader; one that is behind by more than 4096 loses the oldest. Deaths are found again until they are
    /// settled; whoever acts on changes looks at `members` as well.
    package let events: AsyncStream<GossipEvent>

    /// - Parameters:
    ///   - address: where the socket is bound; `profile.gossip` is what others are told.
    ///   - coordinators: the configured group: who is called first, and always. Ourselves are left out.
    ///   - endpoint: who we are on links, over which silent members are asked as well; without one, silence is all that is known.
    ///   - roundTrip: told how long each answered ping took.
    package init(
        node: NodeID, generation: Generation, profile: MemberProfile, tuning: SwimTuning, address: HostPort,
        seal: any DatagramSealing, coordinators: [RosterEntry], endpoint: LinkEndpoint? = nil,
        logger: Logger, roundTrip: @escaping @Sendable (Span) -> Void = { _ in }
    ) {
        core = Mutex(
            Swim(
                node: node, generation: generation, profile: profile, tuning: tuning, seed: UInt64.random(in: .min ... .max),
                at: BootClock.now()))
        roster = RosterBook(coordinators: coordinators.filter { $0.node != node })
        self.logger = logger
        self.address = address
        self.seal = seal
        streams = endpoint.map { StreamProber(endpoint: $0, deadline: tuning.handshakeTimeout) }
        self.roundTrip = roundTrip
        departed = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (events, continuation) = AsyncStream.makeStream(of: GossipEvent.self, bufferingPolicy: .bufferingNewest(4_096))
    }

    // MARK: - What the process knows

    /// Takes the committed topology: who should be there, which revision we have, and which deaths are settled.
    package func adopt(_ topology: Topology) {
        let nodes = topology.nodes.values.filter { $0.status != .decommissioned }.sorted { $0.id < $1.id }
        let own = core.withLock { $0.node }
        let agents = nodes.filter { $0.id != own && !$0.addresses.gossip.isEmpty }.map { node in
            RosterEntry(
                node: node.id, generation: node.generation,
                profile: MemberProfile(
                    kind: .agent, zone: node.zone, gossip: node.addresses.gossip, link: node.addresses.link, store: node.store,
                    session: node.session))
        }
        nameRoster(agents)
        let gone = topology.nodes.values.filter { $0.status == .decommissioned }.sorted { $0.id < $1.id }
        step(.tombstones(gone.map { Tombstone(node: $0.id, through: $0.generation) }))
        step(.revisionApplied(topology.revision))
        let failed = nodes.filter { $0.status == .failed }.map { ($0.id, $0.session) }
        step(.deathsSettled(Dictionary(failed) { $1 }))
    }

    /// - Parameter agents: those of another topology than before; nil where it is the same.
    private func nameRoster(_ agents: [RosterEntry]? = nil) {
        perform(roster.name(agents) { advance(.roster($0)) })
    }

    /// A newer topology with the same nodes.
    package func noteRevision(_ revision: Revision) { step(.revisionApplied(revision)) }

    /// No coordinator has this revision: it is not told on, whoever tells of it.
    package func disbelieve(_ revision: Revision) { step(.revisionDisbelieved(revision)) }

    /// Takes another group of coordinators; in force with the next topology that is adopted.
    package func setCoordinators(_ entries: [RosterEntry]) {
        let own = core.withLock { $0.node }
        roster.setCoordinators(entries.filter { $0.node != own })
    }

    package func registered(_ session: SessionID) { step(.registered(session)) }

    /// To be called once the generation is persisted.
    package func raised(to generation: Generation) { step(.raised(generation)) }

    /// A link to this node has ended, and it was not we who ended it: its process may be gone. A false alarm costs a handshake.
    package func linkEnded(to node: NodeID) { step(.linkEnded(node)) }

    /// A link to this node was refused: its process is gone, or has not begun to listen. A false alarm costs a ping.
    package func linkRefused(by node: NodeID) { step(.linkRefused(node)) }

    // MARK: - What is believed

    package var members: [Member] { core.withLock { $0.members } }
    package func member(_ node: NodeID) -> Member? { core.withLock { $0.member(node) } }
    package var beliefs: [MemberBelief] { core.withLock { $0.beliefs(at: BootClock.now()) } }
    package var ownRecord: MemberRecord { core.withLock { $0.ownRecord } }
    /// The persisted count of this node's starts; the life that others know may be later.
    package var generation: Generation { core.withLock { $0.generation } }
    package var newestRevision: Revision { core.withLock { $0.newestRevision } }
    package var protocolCounters: Swim.Counters { core.withLock { $0.counters } }
    package var socketCounters: GossipSocket.Counters? { socket.withLock { $0?.counters } }
    package var streamCounters: StreamProber.Counters? { streams?.counters }
    package var isNameInUse: Bool { core.withLock { $0.isNameInUse } }
    package var localHealth: Int64 { core.withLock { $0.localHealth } }
    /// Messages, and rumours in them, that had no effect.
    package var ignored: [Swim.DropReason: UInt64] { drops.withLock { $0 } }
    package var isIsolated: Bool { core.withLock { $0.isIsolated(at: BootClock.now()) } }
    package var port: Int? { socket.withLock { $0?.port } }

    // MARK: - Running

    /// Takes part until shutdown, then says good-bye.
    package func run() async throws {
        // A thread of its own: beside handshakes and bulk, an answer that waits for its turn is taken for a death.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: Result<Void, any Error>
        do { result = .success(try await run(on: group)) } catch { result = .failure(error) }
        try? await group.shutdownGracefully()
        try result.get()
    }

    private func run(on group: MultiThreadedEventLoopGroup) async throws {
        let socket = GossipSocket(
            address: address, seal: seal, logger: logger, group: group,
            received: { [self] message, sender in step(.received(message, from: sender)) },
            ticked: { [self] in step(.tick) }, due: { [self] in core.withLock { $0.tickDue } })
        self.socket.withLock { $0 = socket }
        defer {
            continuation.finish()
            self.socket.withLock { $0 = nil }
        }
        nameRoster()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await socket.run() }
            if let streams { group.addTask { await streams.run { self.heard($1, to: $0) } } }
            group.addTask {
                // The good-bye needs the socket, so shutdown is awaited here and the socket's task is cancelled after it.
                // Who is cancelled is gone without a word.
                guard (try? await gracefulShutdown()) != nil else { return }
                // Without a socket nobody would hear it, and no tick would come to end the wait. One that is about to be opened for the
                // first time is waited for: others may know of this life by then, over links.
                guard !socket.isLost else { return }
                self.step(.leave)
                for await _ in self.departed.stream { break }
            }
            try await group.next()
            group.cancelAll()
            // Whoever was still about to open something had to be told so.
            do { try await group.waitForAll() } catch is CancellationError {}
        }
    }

    private func heard(_ answer: StreamProber.Answer, to question: StreamProber.Question) {
        switch answer {
        case .here: step(.streamAnswered(question.node, sequence: question.sequence))
        case .refused: step(.linkRefused(question.node))
        }
    }

    /// The one way into the core: the answer is carried out in order, and outside the lock, since sending may call back.
    private func step(_ input: Swim.Input) { perform(advance(input)) }

    /// What a step of the core has led to, and is still to be done.
    private struct Outcome {
        let actions: [Swim.Action]
        let roundTrip: Span?
        let isTick: Bool
    }

    private func advance(_ input: Swim.Input) -> Outcome {
        core.withLock { core in
            let actions = core.step(input, at: BootClock.now())
            return Outcome(actions: actions, roundTrip: core.takeRoundTrip(), isTick: input == .tick)
        }
    }

    private func perform(_ outcome: Outcome) {
        if let time = outcome.roundTrip { roundTrip(time) }
        let socket = socket.withLock { $0 }
        defer { if !outcome.isTick { socket?.dueChanged() } }
        for action in outcome.actions {
            switch action {
            case .send(let message, let address): socket?.send(message, to: address)
            case .memberChanged(let record):
                logger.info(
                    "member", metadata: ["member": "\(record.node)", "status": "\(record.status)", "life": "\(record.life)"])
                continuation.yield(.memberChanged(record))
            case .reportDeaths(let report):
                continuation.yield(
                    .deathsFound(
                        report.deaths.map { death in
                            FoundDeath(
                                node: death.node, session: death.session, generation: death.generation, process: death.process,
                                accusers: death.witnesses, localHealth: Int(report.localHealth))
                        }))
            case .revisionHeard(let revision, let node): continuation.yield(.revisionHeard(revision, from: node))
            case .identityInUse(let record):
                logger.critical(
                    "a later life of this node is known: another process lives under its name, or it has another disk than before",
                    metadata: ["other": "\(record)"])
                continuation.yield(.identityInUse(record))
            case .identityDisputed(let record):
                logger.error("two processes live under one name", metadata: ["other": "\(record)"])
            case .stream(let node, let address, let sequence):
                streams?.ask(StreamProber.Question(node: node, address: address, sequence: sequence))
            case .departed: departed.continuation.yield()
            case .dropped(let reason): drops.withLock { $0[reason, default: 0] += 1 }
            }
        }
    }
}

extension Swim.DropReason {
    /// As metrics call it: `other_version`.
    package var label: String {
        "\(self)".reduce(into: "") { text, letter in text += letter.isUppercase ? "_\(letter.lowercased())" : String(letter) }
    }
}
