// Drives one coordinator's core: what comes in from links, disk, clock and callers is stepped; what it orders is carried out, in
// order. It decides nothing.
//
// It runs on one event loop, the one on which its links to the other members are written: what is received, stepped and sent there
// changes threads for the disk alone.
//
// The disk is a queue: writes are handed over in the order in which the core gave them, and their confirmations come back in that
// order. Answers that count on a write leave when it is durable, here and nowhere else.

package import Catalog
package import Consensus
package import CoordinatorCore
import Dispatch
import Glibc
package import LogStorage
package import Logging
import Membership
import Metrics
package import Model
package import NIOCore
import ServiceLifecycle
package import Transport
import Wire

package actor CoordinatorRuntime {
    private struct Written: Sendable {
        let persist: Persist
        let result: Result<Void, StorageError>
    }

    private struct Saved: Sendable {
        let snapshot: Consensus.Snapshot
        /// Whether entries behind it may have become superfluous.
        let isNew: Bool
    }

    private struct Encoded: Sendable {
        let bytes: [UInt8]
        let index: LogIndex
    }

    package nonisolated let feed: TopologyFeed
    private(set) var places: GroupPlaces
    package nonisolated let id: MemberID
    nonisolated let node: NodeID
    private var core: Coordinator
    private let store: RaftStore
    private var knownStores: KnownStores
    private let links: PeerLinks
    private let gossip: GossipService
    private let logger: Logger
    private let loop: any EventLoop
    /// Held here, for the actor itself does not hold it.
    private let executor: any SerialExecutor
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    /// For what is no actor's on the way of a message: by default Swift's pool would run it, on threads that have to be woken.
    private let tasks: LoopExecutor
    /// Rings when the core's next deadline is due, or earlier.
    private var alarm: (due: LogicalInstant, task: Scheduled<Void>)?
    private let startedAt = BootClock.wallTime()
    private let written: (stream: AsyncStream<Written>, continuation: AsyncStream<Written>.Continuation)
    private let encoded: (stream: AsyncStream<Encoded>, continuation: AsyncStream<Encoded>.Continuation)
    /// One at a time, as they are taken.
    private let saved: (stream: AsyncStream<Saved>, continuation: AsyncStream<Saved>.Continuation)
    private let encoder = DispatchQueue(label: "coxswain.snapshot-encoder", qos: .utility)
    private var callers: [UInt64: CheckedContinuation<CommandOutcome, Never>] = [:]
    private var readers: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    private var steerers: [UInt64: CheckedContinuation<GroupOutcome, Never>] = [:]
    /// Whether nobody has to wait any more because this process ends.
    private var mayStop = false
    /// Whether nothing is stepped any more: whoever still asks is answered at once.
    private var hasEnded = false
    /// The members to whom links were last opened.
    private var linked: MemberConfiguration?
    private var lastCaller: UInt64 = 0
    private var told: (role: String, leader: MemberID?, term: Term)?
    package private(set) var counters = Counters()
    /// Whether the disk has room, as the core was last told.
    private var admits = true
    private var failovers = FailoverClock()
    private let detectTimer = Timer(label: "coxswain_failover_detect_seconds")
    private let decideTimer = Timer(label: "coxswain_failover_decide_seconds")
    private let commitTimer = Timer(label: "coxswain_raft_commit_duration_seconds")
    private let syncTimer = Timer(label: "coxswain_raft_fsync_duration_seconds")

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

    package init(
        core: Coordinator, store: RaftStore, peers: KnownStores, links: PeerLinks, gossip: GossipService,
        places: GroupPlaces, logger: Logger, loop: any EventLoop
    ) {
        self.loop = loop
        executor = loop.executor
        unownedExecutor = executor.asUnownedSerialExecutor()
        tasks = LoopExecutor(loop)
        self.core = core
        self.store = store
        knownStores = peers
        self.links = links
        self.gossip = gossip
        self.places = places
        self.logger = logger
        id = core.id
        node = core.id.node
        feed = TopologyFeed(core.catalog.topology)
        written = AsyncStream.makeStream(of: Written.self)
        encoded = AsyncStream.makeStream(of: Encoded.self)
        saved = AsyncStream.makeStream(of: Saved.self)
    }

    /// Brings back what the disk holds, before anybody is served.
    package func start() {
        step(.tick)
        let snapshot = core.raft.snapshot
        if snapshot.id.index > .zero { saved.continuation.yield(Saved(snapshot: snapshot, isNew: false)) }
    }

    // MARK: - Stepping

    private func step(_ input: Coordinator.Input) {
        perform(core.step(input, at: BootClock.now(), wall: BootClock.wallTime()))
        followGroup()
        tellChanges()
        setAlarm()
    }

    private func perform(_ actions: [Coordinator.Action]) {
        var (published, nodesChanged) = (false, false)
        for action in actions {
            switch action {
            case .send(let message, let peer): send(message, to: peer)
            case .persist(let persist):
                let start = ContinuousClock.now
                store.write(persist) { [continuation = written.continuation, syncTimer] result in
                    if !persist.entries.isEmpty || persist.hardStateChanged {
                        syncTimer.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
                    }
                    continuation.yield(Written(persist: persist, result: result))
                }
            case .encodeSnapshot(let state, let index):
                encoder.async { [continuation = encoded.continuation, encode = core.codec.encodeSnapshot] in
                    continuation.yield(Encoded(bytes: encode(state), index: index))
                }
            case .answer(let caller, let outcome): callers.removeValue(forKey: caller)?.resume(returning: outcome)
            case .readAnswered(let caller, let isFresh): readers.removeValue(forKey: caller)?.resume(returning: isFresh)
            case .groupAnswered(let caller, let outcome): steerers.removeValue(forKey: caller)?.resume(returning: outcome)
            case .mayStop: mayStop = true
            case .askToBeLetIn: askToBeLetIn()
            case .publish(let delta):
                counters.applied += 1
                measureFailures(in: delta)
                feed.publish(delta, leadingTo: core.catalog.topology)
                published = true
                nodesChanged = nodesChanged || delta.concernsNodes
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

    /// Each failure is measured once: by the member that leads when it is committed.
    private func measureFailures(in delta: TopologyDelta) {
        for case .node(let changed) in delta.changes where changed.status == .failed {
            guard let span = failovers.failed(changed.id, at: BootClock.now()), core.raft.isLeader else { continue }
            decideTimer.recordNanoseconds(span.microseconds * 1_000)
        }
    }

    private func measureReport(of dead: NodeID) {
        guard core.catalog.topology.nodes[dead]?.status != .failed,
            let span = failovers.accused(dead, at: BootClock.now()), core.raft.isLeader
        else { return }
        detectTimer.recordNanoseconds(span.microseconds * 1_000)
    }

    private func send(_ message: CoordinatorMessage, to peer: MemberID) {
        let frame = MemberFrame(from: core.id, to: peer, message: message)
        if links.send(frame.serialized(), to: peer.node) { counters.sent += 1 }
    }

    /// Said to whoever is linked: whose store is which, only members know.
    private func askToBeLetIn() {
        let frame = MemberFrame(from: core.id, to: nil, message: .waiting(core.id)).serialized()
        for peer in links.connected where links.send(frame, to: peer) { counters.sent += 1 }
    }

    /// Opens and ends links as members come and go. A link to somebody who left ends by itself, or at the next change: the word that he
    /// is no member may still be on its way.
    private func followGroup() {
        let configuration = core.raft.configuration
        let isDeclaredAnew = places.declare(core.catalog.coordinators)
        guard isDeclaredAnew || configuration != linked else { return }
        linked = configuration
        let peers = places.peers(of: core.id, in: configuration)
        var addresses = Dictionary(peers.map { ($0.node, $0.addresses.link) }, uniquingKeysWith: { first, _ in first })
        for node in links.connected where addresses[node] == nil { addresses[node] = places[node]?.addresses.link }
        links.setPeers(addresses)
        gossip.setCoordinators(peers.map(\.rosterEntry))
        gossip.adopt(core.catalog.topology)
    }

    /// Not an exit: a restart loop would help nobody. The member is silent and not ready; where its store contradicts what the group
    /// knows, the next start begins another one.
    private func takeNoPart(after fault: Fault) {
        logger.critical("this store takes no part any more", metadata: ["fault": "\(fault)"])
        switch fault {
        case .conflictWithCommitted, .commitBeyondLog, .stateDiffers:
            store.condemn(because: "consensus: \(fault)") { [logger] result in
                guard case .failure(let error) = result else { return }
                logger.critical(
                    "the store is not condemned: do not start it again, remove it", metadata: ["error": "\(error)"])
            }
        case .secondLeader: break
        }
    }

    /// Going on could only do harm (rules C2 to C4).
    private func stop(_ reason: String) {
        logger.critical("stopping", metadata: ["reason": "\(reason)"])
        exit(DiskFailureResponse.exitStatus)
    }

    private func finish(_ done: Written) {
        switch done.result {
        case .failure(let error): stop("the log was not written: \(error)")
        case .success:
            for envelope in done.persist.answers { send(.raft(envelope.message), to: envelope.to) }
            step(.persisted(done.persist.sequence))
        }
        guard let snapshot = done.persist.snapshot else { return }
        logger.info("snapshot", metadata: ["at": "\(snapshot.id)", "bytes": "\(snapshot.contents.count)"])
        saved.continuation.yield(Saved(snapshot: snapshot, isNew: true))
    }

    /// What follows a snapshot and nobody waits for: its bytes leave the memory, and the entries that it stands for the disk.
    private func settle(_ saved: Saved) async {
        let snapshot = saved.snapshot
        if let kept = await store.keep(snapshot) { step(.snapshotKept(kept, of: snapshot.id)) }
        guard saved.isNew else { return }
        do {
            try await store.compact(below: snapshot.id.index)
        } catch {
            logger.warning("old entries stay on disk", metadata: ["reason": "\(error)"])
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

    // MARK: - What comes in

    /// Reads one member's messages until its link ends: the listener's handler for `.raft`.
    package func serve(_ link: Link) async { await withTaskExecutorPreference(tasks) { await self.read(link) } }

    private func read(_ link: Link) async {
        let peer = (node: link.peer.node, store: link.peer.store)
        guard peer.node != node else { return }
        links.noteAlive(peer.node)
        // One link is one start of one data folder.
        var isHeard: [MemberID: Bool] = [:]
        do {
            for try await bytes in link.frames {
                let frame: MemberFrame
                do { frame = try MemberFrame(bytes: bytes) } catch {
                    counters.dropped[.malformed, default: 0] += 1
                    logger.warning("malformed", metadata: ["peer": "\(link.peer.node)", "reason": "\(error)"])
                    return
                }
                if let fault = frame.fault(at: core.id, from: peer.node, store: peer.store) {
                    counters.dropped[fault, default: 0] += 1
                    logger.debug(
                        "dropped", metadata: ["peer": "\(peer.node)", "reason": "\(fault)", "to": "\(frame.to, default: "-")"])
                    continue
                }
                if isHeard[frame.from] == nil { isHeard[frame.from] = try hears(frame.from, link.peer) }
                guard isHeard[frame.from] == true else {
                    counters.dropped[.sender, default: 0] += 1
                    continue
                }
                counters.received += 1
                if case .death(let report) = frame.message { measureReport(of: report.node) }
                step(.received(frame.message, from: frame.from))
            }
        } catch {
            logger.debug("a peer's link ended", metadata: ["peer": "\(link.peer.node)", "reason": "\(error)"])
        }
    }

    /// Whether a member comes with the data folder that it had, and not with a copy of an earlier one. Written down here and now: once
    /// for each of its starts.
    private func hears(_ member: MemberID, _ peer: Hello) throws -> Bool {
        do throws(StorageError) {
            if try knownStores.admits(member, store: peer.store, generation: peer.generation) { return true }
        } catch {
            if case .syncFailed = error { stop("\(error)") }
            throw error
        }
        let known = knownStores[member]
        logger.critical(
            "a member came with a copy of its data, or with a founding folder for the second time, and is not heard",
            metadata: [
                "member": "\(member)", "store": "\(peer.store)", "known_store": "\(known?.store, default: "-")",
                "starts": "\(peer.generation.number)", "known_starts": "\(known?.generation.number, default: "-")",
            ])
        return false
    }

    /// Commits a command, here or through the leader; always answers, in time.
    package func commit(_ command: ProposedCommand) async -> CommandOutcome {
        guard !hasEnded else { return .noLeader }
        lastCaller += 1
        let caller = lastCaller
        counters.proposals += 1
        let start = ContinuousClock.now
        defer { commitTimer.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1))) }
        return await withCheckedContinuation { continuation in
            callers[caller] = continuation
            step(.propose(command, caller: caller))
        }
    }

    /// Waits until this member's state is as new as everything answered before.
    package func refresh() async -> Bool {
        guard !hasEnded else { return false }
        lastCaller += 1
        let caller = lastCaller
        counters.linearizableReads += 1
        return await withCheckedContinuation { continuation in
            readers[caller] = continuation
            step(.read(caller: caller))
        }
    }

    /// Puts a wish that concerns the group itself; the leader alone grants it.
    package func steer(_ order: GroupOrder) async -> GroupOutcome {
        guard !hasEnded else { return .refused(.notLeader(nil)) }
        lastCaller += 1
        let caller = lastCaller
        return await withCheckedContinuation { continuation in
            steerers[caller] = continuation
            switch order {
            case .change(let changes): step(.changeMembers(changes, caller: caller))
            case .transfer(let successor): step(.transferLeadership(to: successor, caller: caller))
            }
        }
    }

    /// Before this process stops: lets another member lead.
    package func handOver() async {
        step(.stopRequested)
        while !mayStop {
            do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
        }
    }

    package func take(_ report: NodeReport) { step(.loadReported(report)) }
    package func noteDeath(_ report: DeathReport) {
        measureReport(of: report.node)
        step(.deathReported(report))
    }

    // MARK: - What it knows

    package var catalogNow: CatalogState { core.catalog }
    package var raft: Raft { core.raft }
    package var reportsNow: [NodeID: LoadReading] {
        let now = BootClock.now()
        return core.reports.mapValues { LoadReading(report: $0.report, age: now - $0.at) }
    }
    /// Messages that were not taken, or not sent, since the start.
    private var drops: [MessageDrop: UInt64] {
        let sending = links.counters
        return counters.dropped.merging([.unconnected: sending.droppedUnconnected, .full: sending.droppedFull]) { $0 + $1 }
    }
    package var syncs: SyncStatistics { store.statistics }
    package nonisolated var space: DiskSpace { store.space }

    package var statusNow: CoordinatorStatus {
        let raft = core.raft
        let connected = Set(links.connected)
        return CoordinatorStatus(
            id: node, member: core.id, role: raft.roleName, leader: raft.leader?.node, term: raft.term.number,
            commit: raft.log.commit.number,
            applied: raft.log.applied.number, lastIndex: raft.log.last.index.number,
            members: raft.members(at: BootClock.now()).map { member in
                let place = places[member.id.node]
                return CoordinatorStatus.Peer(
                    id: member.id.node, member: member.id, part: member.part, zone: place?.zone, addresses: place?.addresses,
                    isConnected: member.id == core.id || connected.contains(member.id.node),
                    match: member.match?.number, mode: member.mode)
            },
            declared: core.catalog.coordinators, isChangeUnderWay: raft.isChangeUnderWay, isTransferring: raft.isTransferring,
            drops: drops, tolerance: raft.configuration.tolerance, breakerHolds: core.breakerHolds, startedAt: startedAt)
    }
}

// MARK: - Running

extension CoordinatorRuntime: Service {
    package func run() async throws {
        await cancelWhenGracefulShutdown { await withTaskExecutorPreference(self.tasks) { await self.turn() } }
    }

    private func turn() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.takeWrites() }
            group.addTask { await self.takeEncoded() }
            group.addTask { await self.takeSaved() }
            group.addTask { await self.takeLinkEvents() }
            group.addTask { await self.takeRumours() }
            await group.waitForAll()
        }
        // Nobody waits for ever on a coordinator that has stopped.
        hasEnded = true
        alarm?.task.cancel()
        for caller in callers.values { caller.resume(returning: .unknown) }
        callers = [:]
        for reader in readers.values { reader.resume(returning: false) }
        readers = [:]
        for steerer in steerers.values { steerer.resume(returning: .unknown) }
        steerers = [:]
    }

    // MARK: - Time

    /// A deadline that came nearer moves the alarm. One that moved away does not: the alarm then rings for nothing, once.
    private func setAlarm() {
        let due = core.nextDeadline
        if let alarm {
            guard due < alarm.due else { return }
            alarm.task.cancel()
        }
        let wait = min(max(due - BootClock.now(), .milliseconds(1)), Self.longestSleep)
        let task = loop.scheduleTask(in: .microseconds(wait.microseconds)) { self.assumeIsolated { $0.ring() } }
        alarm = (due, task)
    }

    /// The disk is looked at so often, whatever else happens; and a clock that has jumped is noticed.
    private static let longestSleep = Span.milliseconds(500)

    private func ring() {
        alarm = nil
        guard !hasEnded else { return }
        lookAtSpace()
        if core.nextDeadline <= BootClock.now() { step(.tick) } else { setAlarm() }
    }

    /// Before the disk is full, only what keeps the cluster serving is taken on.
    private func lookAtSpace() {
        let space = store.space
        guard space.admits != admits else { return }
        admits = space.admits
        if admits {
            logger.notice("changes are taken again: the disk has room", metadata: ["space": "\(space)"])
        } else {
            logger.error("changes are refused: the disk is nearly full", metadata: ["space": "\(space)"])
        }
        step(.diskSpace(isLow: !admits))
    }

    private func takeWrites() async {
        for await done in written.stream { finish(done) }
    }

    private func takeSaved() async {
        for await snapshot in saved.stream { await settle(snapshot) }
    }

    private func takeEncoded() async {
        for await done in encoded.stream { step(.snapshotEncoded(done.bytes, at: done.index)) }
    }

    private func takeLinkEvents() async {
        for await event in links.events {
            let peer: NodeID
            switch event {
            case .disconnected(let node), .refused(let node): peer = node
            case .connected: continue
            }
            let members = core.raft.configuration.members.filter { $0.node == peer }
            // Somebody who is no member yet is gone too.
            for member in members.isEmpty ? [MemberID(peer)] : members { step(.connectionLost(member)) }
        }
    }

    private func takeRumours() async {
        var found: [NodeID: SessionID] = [:]
        for await event in gossip.events {
            switch event {
            case .memberChanged(let record):
                guard record.profile.kind == .agent else { continue }
                switch record.status {
                case .alive: failovers.alive(record.node)
                case .suspect: failovers.suspected(record.node, at: BootClock.now())
                case .dead, .left: break
                }
                step(
                    .believed(
                        record.node, generation: record.life.generation, session: record.profile.session,
                        isAlive: record.status == .alive))
            case .deathFound(let dead, let generation, let session):
                // It is found again until it is committed; people need to read it once.
                logger.log(
                    level: found.updateValue(session, forKey: dead) == session ? .debug : .warning, "death found",
                    metadata: ["member": "\(dead)", "session": "\(session)"])
                noteDeath(DeathReport(node: dead, session: session, generation: generation, witness: node))
            case .revisionHeard, .identityInUse: break
            }
        }
    }
}
