// Drives the agent's core: one reader takes what happened, the core decides, the actions are carried out in order. It holds no
// decision of its own about replication, leases or operations.

package import AgentCore
import CoreMetrics
import DurableLog
import Engine
import LogStorage
import Logging
package import Model
import Replication
package import RoutingTable
import ServiceLifecycle
import Synchronization
import Telemetry
import Transport
import Wire

/// The running agent, as far as partitions go.
package actor AgentRuntime: Service {
    /// What the runtime hands its work to.
    struct Hands: Sendable {
        let engine: EngineWorker
        let send: @Sendable (PeerMessage, NodeID) -> Void
        let propose: @Sendable (PartitionProposal, RequestID) -> Void
        let askTopology: @Sendable (Revision) -> Void
        let confirmQuorum: @Sendable () -> Void
        let copy: @Sendable (CopyOrder) -> Void
        let stopCopy: @Sendable (PartitionID, NodeID) -> Void
        let findSplitKey: @Sendable (SplitKeyOrder) -> Void
        /// The topology moved: peers, members and the disk want to know.
        let topologyChanged: @Sendable (Topology) -> Void
        /// A partition's writers are stopped for an operation, or go on.
        let fenced: @Sendable (PartitionID, OperationID?) -> Void
    }

    private enum Pace {
        static let tick = Duration.milliseconds(10)
        static let sync = Span.seconds(1)
        static let truncation = Span.seconds(15)
        /// Messages from peers beyond this are dropped; replication repeats them.
        static let peerMessages = 8_192
        /// Leases are few, and in a flood of the others strong reads would end with them.
        static let leaseMessages = 1_024
    }

    private var core: AgentCore
    private var log: NodeLog
    nonisolated let storage: GroupCommitLog
    nonisolated let engine: any StorageEngine
    private let meters: AgentMeters
    private let logger: Logger
    private let stops: OperationStops?
    private var hands: Hands?
    nonisolated let inbox = Mailbox<AgentInput>()
    nonisolated let callers = Callers()
    nonisolated let intake: Intake
    /// Kept by the engine's worker.
    nonisolated let troubles = EngineTroubles()
    nonisolated let node: NodeID
    private nonisolated let published: Mutex<Routes>
    private var syncedAt = LogicalInstant.origin
    private var truncatedAt = LogicalInstant.origin
    private var isTruncating = false
    /// For which operation each partition here is fenced.
    private var fences: [PartitionID: OperationID] = [:]
    private var held = HeldWriters()
    private var hasEnded = false
    /// Copies begun here.
    private var copies: UInt64 = 0
    /// Partitions of failed nodes that this one takes over, from whom and since when; and how long it took for those that are served.
    private var takenOver: [PartitionID: (from: NodeID, since: LogicalInstant)] = [:]
    private var recovered: [NodeID: [Span]] = [:]

    /// - Parameter stops: where tests with real processes stop this one.
    init(
        core: AgentCore, log: NodeLog, engine: any StorageEngine, meters: AgentMeters, logger: Logger, stops: StopPoint? = nil
    ) {
        self.core = core
        self.stops = stops.map { OperationStops(point: $0) }
        self.engine = engine
        node = core.identity.node
        self.log = log
        storage = log.storage
        intake = Intake(limit: log.storage.pendingLimit) { [storage = log.storage] in storage.pendingBytes }
        self.meters = meters
        self.logger = logger
        published = Mutex((try? Routes(core.topology)) ?? .empty)
    }

    func attach(_ hands: Hands) { self.hands = hands }

    package nonisolated var routes: Routes { published.withLock { $0 } }
    package var topology: Topology { core.topology }
    package var identity: AgentIdentity { core.identity }
    package var replicas: [AgentCore.ReplicaStatus] { core.replicas(at: BootClock.now()) }
    package var inventory: Inventory { core.inventory }
    package var unvouched: [PartitionID]? { core.unvouched }
    package func wentBack(to start: Generation) { core.wentBack(to: start) }
    /// Storages that could not be opened at the start, and are still there.
    package var unreadable: [StorageID: String] { core.unreadable }
    package var logStatistics: (syncs: UInt64, bytes: UInt64) { (log.storage.statistics.syncs, log.storage.statistics.bytes) }

    // MARK: - The loop

    package func run() async throws {
        perform(core.start(at: BootClock.now()))
        publish([])
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.tickUntilClosed() }
                group.addTask { await self.dropSegments() }
                while let inputs = await inbox.next() {
                    stops?.pass(after: inputs)
                    let before = routes
                    perform(core.step(inputs, at: BootClock.now()))
                    releaseHeld()
                    intake.release(inputs.reduce(0) { $0 + $1.entryBytes })
                    for case .delta(let delta) in inputs {
                        measure(delta, over: before.topology)
                        flushStorages(for: delta, over: before.topology)
                    }
                }
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            self.inbox.close()
            self.droppable.close()
        }
        hasEnded = true
        held.abandonAll()
        // All that had been put in was stepped: whoever waits still, waits for what was ordered.
        callers.abandonAll("the agent stopped before it was committed")
    }

    private nonisolated func tickUntilClosed() async {
        while !Task.isCancelled {
            inbox.put(.tick)
            do { try await Task.sleep(for: Pace.tick) } catch { return }
            await housekeep()
        }
    }

    private func housekeep() {
        let now = BootClock.now()
        callers.expire(at: now)
        held.expire(at: now)
        measureRecoveries(at: now)
        if now >= syncedAt + Pace.sync {
            syncedAt = now
            hands?.engine.syncAll()
        }
        if now >= truncatedAt + Pace.truncation, !isTruncating, log.storage.segmentCount > 1 {
            truncatedAt = now
            truncate()
        }
    }

    // MARK: - Measuring

    /// How long the change was on its way, and which partitions of failed nodes it brings here.
    private func measure(_ delta: TopologyDelta, over old: Topology) {
        guard delta.to <= core.topology.revision, delta.to > old.revision else { return }
        if let stamp = delta.stampedAt {
            meters.propagation.record(.milliseconds(max(0, BootClock.wallTime().milliseconds - stamp.milliseconds)))
        }
        for case .partition(let partition) in delta.changes where partition.primary == node {
            guard let last = old.partitions[partition.id]?.primary, last != node,
                core.topology.nodes[last]?.status == .failed
            else { continue }
            takenOver[partition.id] = (last, BootClock.now())
        }
    }

    /// Where a partition is to be split or merged its storage is flushed before the fence: what is left for the installation to flush, writers
    /// wait for.
    private func flushStorages(for delta: TopologyDelta, over old: Topology) {
        for case .operation(let operation) in delta.changes where old.operations[operation.id] == nil {
            switch operation.kind {
            case .split, .merge: break
            case .createTable, .dropTable, .move, .transferPrimary, .removeOrphan: continue
            }
            for partition in operation.kind.partitions {
                if let storage = core.localStorage(of: partition)?.storage { hands?.engine.submit(.sync, to: storage) }
            }
        }
    }

    private func measureRecoveries(at now: LogicalInstant) {
        guard !takenOver.isEmpty else { return }
        let replicas = core.replicas(at: now)
        let present = Set(replicas.map(\.partition))
        takenOver = takenOver.filter { present.contains($0.key) }
        for replica in replicas {
            guard let (lost, since) = takenOver[replica.partition] else { continue }
            if replica.isServing {
                meters.recovery.record(now - since)
                recovered[lost, default: []].append(now - since)
            }
            if replica.isServing || !replica.isPrimary { takenOver[replica.partition] = nil }
        }
        // One line for each failure, not for each partition.
        for (lost, spans) in recovered.sorted(by: { $0.key < $1.key })
        where !takenOver.contains(where: { $0.value.from == lost }) {
            recovered[lost] = nil
            logger.notice(
                "partitions taken over",
                metadata: [
                    "member": "\(lost)", "partitions": "\(spans.count)",
                    "recover_ms": "\(spans.max()?.milliseconds ?? 0)",
                ])
        }
    }

    /// A message from a peer; dropped when too much waits, for its sender repeats what it gets no answer to.
    nonisolated func received(_ message: PeerMessage, from peer: NodeID) {
        let input = AgentInput.received(message, from: peer)
        let bytes = input.entryBytes
        guard intake.take(bytes, for: .peers) else { return meters.droppedPrepares.increment(by: 1) }
        let limit =
            switch message {
            case .replication: Pace.peerMessages
            case .leaseRequest, .leaseGrant: Pace.peerMessages + Pace.leaseMessages
            }
        if !inbox.offer(input, limit: limit) { intake.release(bytes) }
    }

    // MARK: - Actions

    private func perform(_ actions: [AgentAction]) {
        guard let hands else { preconditionFailure("the runtime was started before its hands were attached") }
        var isPublished = false
        for action in actions {
            stops?.pass(before: action)
            switch action {
            case .append(let records, let ticket): append(records, ticket)
            case .send(let message, let peer): hands.send(message, peer)
            case .apply(let id, let storage, let entries): hands.engine.submit(.apply(id, entries), to: storage)
            case .checksum(let id, let storage, let position): hands.engine.submit(.checksum(id, position), to: storage)
            case .acknowledge(let caller, let position): callers.acknowledge(caller, position)
            case .readable(let caller): callers.readable(caller)
            case .refuse(let caller, let refusal): callers.refuse(caller, DataRefusal(refusal))
            case .propose(let proposal, let request): hands.propose(proposal, request)
            case .evicting(let id, let member, let cause):
                logger.warning(
                    "asks that a member leaves the in-sync set",
                    metadata: ["partition": "\(id)", "member": "\(member)", "reason": "\(cause)"])
            case .create(let descriptor, let storage):
                guard let table = core.topology.tables[descriptor.table] else { continue }
                hands.engine.submit(.create(descriptor, table), to: storage)
            case .installChildren(let parent, let storage, let children):
                hands.engine.submit(.split(parent, children: children), to: storage)
            case .drop(let id, let storage): hands.engine.submit(.remove(id), to: storage)
            case .copy(let id, let storage, let target, let targetStorage, let term):
                guard let descriptor = core.topology.partitions[id],
                    let address = core.topology.nodes[target]?.addresses.link
                else {
                    inbox.put(.copyEnded(id, to: target, isWhole: false))
                    continue
                }
                hands.copy(
                    CopyOrder(
                        partition: id, epoch: descriptor.epoch, term: term, storage: storage, target: target,
                        targetAddress: address, targetStorage: targetStorage, operation: descriptor.operation))
            case .stopCopy(let id, let target): hands.stopCopy(id, target)
            case .findSplitKey(let id, let storage, let range, let cause):
                hands.findSplitKey(SplitKeyOrder(partition: id, storage: storage, range: range, cause: cause))
            case .topologyChanged:
                // The core's topology is the one behind all changes of this step.
                if !isPublished { publishRoutes(actions) }
                isPublished = true
            case .askTopology: hands.askTopology(core.topology.revision)
            case .confirmQuorum: hands.confirmQuorum()
            case .damaged(let id, let what):
                logger.critical("a replica is damaged", metadata: ["partition": "\(id)", "damage": "\(what)"])
            }
        }
        // Last: with a change of hands writers wait for what else there is to be done.
        if isPublished { hands.topologyChanged(core.topology) }
    }

    private func append(_ records: [PartitionRecord], _ ticket: UInt64) {
        for case .hardState(let id, let state) in records where fences[id] != state.fence?.operation {
            fences[id] = state.fence?.operation
            hands?.fenced(id, state.fence?.operation)
        }
        // With what a split or merge has ended its fence ends too: what has come of it takes writes now.
        for case .dropped(let id) in records where fences.removeValue(forKey: id) != nil { hands?.fenced(id, nil) }
        log.append(records) { [inbox, logger] error in
            switch error {
            case nil: inbox.put(.persisted(ticket: ticket))
            // The log is closed: nothing behind this is written either, and nothing is acknowledged any more.
            case .stopped?: logger.critical("an append failed: the log has stopped")
            // A later append that succeeded would speak for this one.
            case let error?: DiskFailureResponse.endProcess.respond(error)
            }
        }
    }

    /// - Parameter actions: what has changed the topology since the last time is among them.
    private func publish(_ actions: [AgentAction]) {
        publishRoutes(actions)
        hands?.topologyChanged(core.topology)
    }

    private func publishRoutes(_ actions: [AgentAction]) {
        let deltas = actions.compactMap { if case .topologyChanged(let delta) = $0 { delta } else { nil } }
        do {
            let routes = try self.routes.followed(by: core.topology, after: deltas)
            published.withLock { $0 = routes }
        } catch {
            logger.error("the topology is no routing table", metadata: ["defect": "\(error)"])
        }
    }

    /// Writes checkpoints, then drops the segments before what is still needed (rule R9).
    private func truncate() {
        isTruncating = true
        core.forgetOnDisk(log.laggards(after: core.forgotten))
        let checkpoint = log.end
        let records = core.checkpoints + [.beat]
        let needed = log.firstNeeded(after: core.forgotten, checkpoint: checkpoint)
        log.append(records) { [droppable] error in
            if error == nil { droppable.put(needed) }
        }
    }

    private func dropSegments() async {
        while let numbers = await droppable.next() {
            do {
                if let number = numbers.max() { try await log.storage.drop(below: number) }
            } catch {
                logger.warning("the log was not shortened", metadata: ["error": "\(error)"])
            }
            isTruncating = false
        }
    }

    private func releaseHeld() {
        guard !held.isEmpty else { return }
        let now = BootClock.now()
        held.release { !core.isChangingHands($0, at: now) }
    }

    // MARK: - For the data plane

    /// Waits while a partition changes hands here; see `DataPlane`.
    func awaitHandOver(of partition: PartitionID, holding bytes: Int, until deadline: LogicalInstant) async -> Bool {
        let now = BootClock.now()
        guard !hasEnded, now < deadline else { return false }
        // It may have ended since the writer was refused.
        guard core.isChangingHands(partition, at: now) else { return true }
        guard held.hasRoom(for: bytes) else { return false }
        return await withCheckedContinuation { held.add(to: partition, holding: bytes, until: deadline, $0) }
    }

    func confirm(_ partition: PartitionID, _ epoch: Epoch) -> RequestRefusal? {
        core.confirmRead(of: partition, at: epoch, now: BootClock.now())
    }

    /// What a copy of a partition that is led here is brought on with.
    func changes(of partition: PartitionID, after point: LogPoint, through end: LogPoint, in term: Term) -> [Entry]? {
        core.changes(of: partition, after: point, through: end, in: term)
    }

    /// Whether the log of a partition is on its way to be too long to be kept for a learner.
    func isLogLong(of partition: PartitionID) -> Bool { core.isLogLong(of: partition) }

    /// Gives up what a learner here holds and has the engine make room for a snapshot, behind all that it was given to do before.
    ///
    /// - Parameter advancing: what an earlier try has stored stays, to be brought on.
    /// - Returns: nil when no such snapshot is expected.
    func begin(_ copy: CopyStart, from sender: NodeID, advancing: Bool) async throws(EngineError) -> BegunCopy? {
        let (partition, storage, start) = (copy.partition, copy.storage, copy.start)
        let learner = core.learner(of: partition, in: storage, at: copy.epoch, from: sender, term: copy.term)
        guard let learner, let table = core.topology.tables[learner.table], let hands else { return nil }
        copies += 1
        let number = copies
        perform(core.step([.snapshotBegun(partition, storage, copy: number)], at: BootClock.now()))
        let state = PartitionState(
            partition: partition, range: learner.range, applied: start.position, checksum: start.checksum)
        let result = await withCheckedContinuation { continuation in
            hands.engine.submit(.beginImport(state, table, advancing: advancing, continuation), to: storage)
        }
        return BegunCopy(number: number, state: try result.get())
    }

    /// How old the rows here may be at most; nil: nobody has vouched for them yet.
    func age(of partition: PartitionID) -> Span? { core.age(of: partition, now: BootClock.now()) }

    func localStorage(of partition: PartitionID) -> (storage: StorageID, descriptor: PartitionDescriptor)? {
        core.localStorage(of: partition)
    }

    /// Numbers below which the log may be cut, from the log's thread to the task that cuts.
    private nonisolated let droppable = Mailbox<RecordNumber>()
}
