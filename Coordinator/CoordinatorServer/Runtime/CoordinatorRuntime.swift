// Drives one coordinator's core: what comes in from links, disk, clock and callers is stepped; what it orders is carried out, in
// order. It decides nothing. What comes in stands in a file for each: from callers, from members, from the disk, and with time.
//
// It runs on one event loop, the one on which its links to the other members are written: what is received, stepped and sent there
// changes threads for the disk alone.
//
// The disk is a queue: writes are handed over in the order in which the core gave them, and their confirmations come back in that
// order. Answers that count on a write leave when it is durable, here and nowhere else.

import Catalog
package import Consensus
package import CoordinatorCore
import Dispatch
import Glibc
import LogStorage
package import Logging
import Membership
import Metrics
import Model
package import NIOCore
import ServiceLifecycle
package import Telemetry
package import Transport
import Wire

package actor CoordinatorRuntime {
    package nonisolated let feed: TopologyFeed
    var places: GroupPlaces
    package nonisolated let id: MemberID
    nonisolated let node: NodeID
    var core: Coordinator
    let store: RaftStore
    var knownStores: KnownStores
    let links: PeerLinks
    let gossip: GossipService
    nonisolated let keys: KeyringKeeper
    let logger: Logger
    let loop: any EventLoop
    /// Held here, for the actor itself does not hold it.
    private let executor: any SerialExecutor
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    /// For what is no actor's on the way of a message: by default Swift's pool would run it, on threads that have to be woken.
    let tasks: LoopExecutor
    /// Rings when the core's next deadline is due, or earlier.
    var alarm: (due: LogicalInstant, task: Scheduled<Void>)?
    let startedAt = BootClock.wallTime()
    /// Snapshots that are on disk, and whether entries behind them may have become superfluous: a newer one stands for all before it.
    let saved: (stream: AsyncStream<Saved>, continuation: AsyncStream<Saved>.Continuation)
    let encoder = DispatchQueue(label: "coxswain.snapshot-encoder", qos: .utility)
    var callers: [UInt64: CheckedContinuation<CommandOutcome, Never>] = [:]
    var readers: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    var steerers: [UInt64: CheckedContinuation<GroupOutcome, Never>] = [:]
    /// Whether nobody has to wait any more because this process ends.
    var mayStop = false
    /// Whether nothing is stepped any more: whoever still asks is answered at once.
    var hasEnded = false
    /// The members to whom links were last opened.
    var linked: MemberConfiguration?
    var lastCaller: UInt64 = 0
    /// Of which topology the keeper of gossip keys was told, and whether it knows all that was decided before this start.
    var keysFollowed = (at: Revision.none, isCurrent: false)
    /// The read that is to say so, while it is under way, and when the next may be asked.
    var keysRead: (caller: UInt64?, due: LogicalInstant) = (nil, .origin)
    var told: (role: String, leader: MemberID?, term: Term)?
    package internal(set) var counters = Counters()
    /// Whether the disk has room, as the core was last told.
    var admits = true
    var beliefs = ToldBeliefs()
    private var stops: CommandStops?
    let detectTimer = Timer(label: "coxswain_failover_detect_seconds")
    let decideTimer = Timer(label: "coxswain_failover_decide_seconds")
    let commitTimer = Timer(label: "coxswain_raft_commit_duration_seconds")
    let syncTimer = Timer(label: "coxswain_raft_fsync_duration_seconds")

    struct Saved: Sendable {
        let snapshot: Consensus.Snapshot
        let isNew: Bool
    }

    /// Totals since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var proposals: UInt64 = 0
        package var applied: UInt64 = 0
        package var linearizableReads: UInt64 = 0
        package var leaderChanges: UInt64 = 0
        /// Marks of other members' states that were not like this one's (rule C4).
        package var stateDifferences: UInt64 = 0
        package var sent: UInt64 = 0
        package var received: UInt64 = 0
        /// Messages that were not taken, or not sent.
        package var dropped: [MessageDrop: UInt64] = [:]
    }

    /// - Parameter stops: where tests with real processes stop this one.
    package init(
        core: Coordinator, store: RaftStore, peers: KnownStores, links: PeerLinks, gossip: GossipService,
        keys: KeyringKeeper, places: GroupPlaces, logger: Logger, loop: any EventLoop, stops: StopPoint? = nil
    ) {
        self.stops = stops.map { CommandStops(point: $0, codec: core.codec) }
        self.loop = loop
        executor = loop.executor
        unownedExecutor = executor.asUnownedSerialExecutor()
        tasks = LoopExecutor(loop)
        self.core = core
        self.store = store
        knownStores = peers
        self.links = links
        self.gossip = gossip
        self.keys = keys
        self.places = places
        self.logger = logger
        id = core.id
        node = core.id.node
        feed = TopologyFeed(core.catalog.topology)
        saved = AsyncStream.makeStream(of: Saved.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Brings back what the disk holds, before anybody is served.
    package func start() {
        step(.tick)
        let snapshot = core.raft.snapshot
        if snapshot.id.index > .zero { saved.continuation.yield(Saved(snapshot: snapshot, isNew: false)) }
    }

    // MARK: - Stepping

    func step(_ input: Coordinator.Input) {
        perform(core.step(input, at: BootClock.now(), wall: BootClock.wallTime()))
        followGroup()
        followGossipKeys()
        tellChanges()
        setAlarm()
    }

    private func perform(_ actions: [Coordinator.Action]) {
        var (published, nodesChanged) = (false, false)
        for action in actions {
            switch action {
            case .send(let message, let peer): send(message, to: peer)
            case .persist(let persist):
                if core.raft.isLeader { stops?.pass(before: persist) }
                write(persist)
            case .encodeSnapshot(let state, let index): encode(state, at: index)
            case .answer(let caller, let outcome): callers.removeValue(forKey: caller)?.resume(returning: outcome)
            case .readAnswered(let caller, let isFresh):
                if caller == keysRead.caller { keysReadAnswered(isFresh: isFresh) }
                readers.removeValue(forKey: caller)?.resume(returning: isFresh)
            case .groupAnswered(let caller, let outcome): steerers.removeValue(forKey: caller)?.resume(returning: outcome)
            case .mayStop: mayStop = true
            case .askToBeLetIn: askToBeLetIn()
            case .publish(let delta):
                stops?.pass(after: delta)
                counters.applied += 1
                feed.publish(delta, leadingTo: core.catalog.topology)
                published = true
                nodesChanged = nodesChanged || delta.concernsNodes
            case .failover(let news): measure(news)
            case .reset:
                feed.reset(core.catalog.topology)
                nodesChanged = true
            case .fault(let fault): takeNoPart(after: fault)
            case .stateDiffers(let member, let index):
                counters.stateDifferences += 1
                logger.critical("members came to different states", metadata: ["member": "\(member)", "at": "\(index)"])
            case .unreadable(let index): stop("entry \(index) cannot be read by this program")
            }
        }
        if nodesChanged {
            gossip.adopt(core.catalog.topology)
        } else if published {
            gossip.noteRevision(core.catalog.topology.revision)
        }
    }

    private func tellChanges() {
        let now = (role: core.raft.roleName, leader: core.raft.leader, term: core.raft.term)
        if let told, told == now { return }
        if told?.leader != now.leader {
            counters.leaderChanges += 1
            logger.notice(
                "leader",
                metadata: [
                    "leader": "\(now.leader.map(\.description) ?? "none")", "term": "\(now.term)", "role": "\(now.role)",
                ])
        }
        told = now
    }
}
