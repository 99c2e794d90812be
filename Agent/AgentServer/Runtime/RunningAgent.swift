// The agent as its own doors see it: the gateway and the status endpoint ask it, the session with the coordinators reports for it.

import AgentCore
package import Engine
import LogStorage
import Logging
import Membership
package import Model
import Movement
package import Replication
package import RoutingTable
import Settings
import Synchronization
import Telemetry
import Transport

/// Everything that runs in one agent, put together by `AgentProcess`.
package final class RunningAgent: DataPlane, SessionOwner, CopyHost {
    /// What is only known once the session exists.
    private struct Late {
        var session: AgentSession?
        var membership: GossipService?
        var keys: KeyringKeeper?
        /// Held, and let go, by who opened it.
        weak var folder: DataFolder?
        var statistics: [PartitionID: RangeStatistics] = [:]
        var operations = OperationMeter()
    }

    package let runtime: AgentRuntime
    package let engine: any StorageEngine
    private let configuration: AgentConfiguration
    private let logger: Logger
    private let cluster: ClusterID
    private let startedAt: LogicalInstant
    private let meter: LoadMeter
    private let lags = LagMeter()
    private let machine: MachineMeter
    private let late: Mutex<Late>
    package static let version = Product.version

    init(
        runtime: AgentRuntime, engine: any StorageEngine, configuration: AgentConfiguration, cluster: ClusterID, logger: Logger
    ) {
        let now = BootClock.now()
        self.runtime = runtime
        self.engine = engine
        self.configuration = configuration
        self.logger = logger
        self.cluster = cluster
        startedAt = now
        meter = LoadMeter(at: now)
        machine = MachineMeter(folder: configuration.data)
        late = Mutex(Late())
    }

    func attach(session: AgentSession, membership: GossipService, keys: KeyringKeeper, folder: DataFolder) {
        late.withLock { ($0.session, $0.membership, $0.keys, $0.folder) = (session, membership, keys, folder) }
    }

    // MARK: - DataPlane

    package var node: NodeID { configuration.node }
    package var routes: Routes { runtime.routes }

    package func write(
        _ mutations: [Mutation], under key: IdempotencyKey?, to partition: PartitionID, at epoch: Epoch
    ) async throws(DataRefusal) -> Position {
        let position = try await runtime.write(mutations, under: key, to: partition, at: epoch)
        // One request, wherever its rows lie.
        if !mutations.isEmpty { meter.countWrite(partition, at: mutations[mutations.count / 2].key, BootClock.now()) }
        return position
    }

    package func awaitHandOver(
        of partition: PartitionID, holding bytes: Int, until deadline: LogicalInstant
    ) async -> Bool {
        await runtime.awaitHandOver(of: partition, holding: bytes, until: deadline)
    }

    package func readAsked(of partition: PartitionID, at key: Key) {
        meter.countRead(partition, at: key, BootClock.now())
    }

    package func strongRead(of partition: PartitionID, at epoch: Epoch) async throws(DataRefusal) -> ReplicaLocation {
        try await runtime.strongRead(of: partition, at: epoch)
    }

    package func confirmStrongRead(of partition: PartitionID, at epoch: Epoch) async throws(DataRefusal) {
        try await runtime.confirmStrongRead(of: partition, at: epoch)
    }

    package func localRead(of partition: PartitionID) async throws(DataRefusal) -> ReplicaLocation {
        try await runtime.localRead(of: partition)
    }

    package func confirmLocalRead(of partition: PartitionID, in storage: StorageID) async throws(DataRefusal) {
        try await runtime.confirmLocalRead(of: partition, in: storage)
    }

    package func boundedRead(
        of partition: PartitionID, at epoch: Epoch, within age: Span
    ) async throws(DataRefusal) -> ReplicaLocation {
        try await runtime.boundedRead(of: partition, at: epoch, within: age)
    }

    package func status() async -> AgentStatus {
        let now = BootClock.now()
        let identity = await runtime.identity
        let replicas = await runtime.replicas
        let topology = await runtime.topology
        let log = await runtime.logStatistics
        let (session, membership, keys, statistics, work) = late.withLock {
            ($0.session, $0.membership, $0.keys, $0.statistics, $0.operations)
        }
        let rates = meter.rates(at: now)
        note(replicas, at: now)
        let damaged = replicas.compactMap { replica in replica.damage.map { (partition: replica.partition, detail: $0) } }
        let unreadable = await runtime.unreadable.sorted { $0.key < $1.key }
        let troubles = runtime.troubles.all
        let partitions = replicas.compactMap { report($0, identity.node, rates, statistics, at: now) }
        var status = AgentStatus(
            node: identity.node, cluster: cluster, zone: configuration.zone, store: identity.store,
            generation: membership?.generation ?? identity.generation, session: session?.status.session ?? .none,
            addresses: configuration.addresses,
            version: Self.version, uptime: now - startedAt, members: membership?.beliefs ?? [],
            localHealth: membership?.localHealth ?? 0, isIsolated: membership?.isIsolated ?? false,
            swim: membership?.protocolCounters ?? Swim.Counters(), isNameInUse: membership?.isNameInUse ?? false,
            datagrams: membership?.socketCounters, streams: membership?.streamCounters,
            ignoredGossip: membership?.ignored ?? [:], gossipKeys: keys?.held,
            revision: topology.revision, newestRevision: max(topology.revision, membership?.newestRevision ?? .none),
            revisionAge: max(.zero, now - (session?.status.heardAt ?? startedAt)), connectedTo: session?.status.coordinator,
            partitions: partitions,
            operations: work.reports(
                in: topology, on: identity.node, sizes: statistics.mapValues(\.bytes), obstacles: Self.obstacles(to: replicas),
                at: now),
            engine: Self.health(
                damaged.map { "partition \($0.partition): \($0.detail)" } + unreadable.map(\.value), troubles),
            fenced: replicas.filter(\.isFenced).map(\.partition),
            withoutLease: replicas.filter { $0.isServing && !$0.hasLease }.map(\.partition),
            waitingStorages: troubles.count, inventory: await runtime.inventory, machine: machine.read(),
            fsyncs: log.syncs,
            logBytes: log.bytes)
        status.fencedWithoutQuorum = replicas.filter(\.isFencedWithoutQuorum).map(\.partition)
        status.damaged = damaged
        status.unreadable = unreadable.map { (storage: $0.key, detail: $0.value) }
        return status
    }

    private func report(
        _ replica: AgentCore.ReplicaStatus, _ node: NodeID, _ rates: [PartitionID: LoadMeter.Rates],
        _ statistics: [PartitionID: RangeStatistics], at now: LogicalInstant
    ) -> PartitionReport? {
        guard let descriptor = replica.descriptor, let own = descriptor.replica(on: node) else { return nil }
        let rate = rates[replica.partition] ?? LoadMeter.Rates()
        let size = statistics[replica.partition]
        return PartitionReport(
            partition: replica.partition, epoch: descriptor.epoch, isPrimary: descriptor.primary == node, role: own.role,
            rows: size?.rows ?? 0, bytes: size?.bytes ?? 0, readsPerSecond: rate.reads, writesPerSecond: rate.writes,
            lag: lags.lag(of: replica.partition, at: now), last: replica.last,
            applied: Position(epoch: replica.last.epoch, run: replica.last.run, sequence: replica.applied),
            servingFor: replica.servingSince.map { max(.zero, now - $0) })
    }

    /// Counts rows and bytes anew; too dear for each request.
    func refreshStatistics() async {
        let replicas = await runtime.replicas
        let present = Set(replicas.map(\.partition))
        late.withLock { $0.statistics = $0.statistics.filter { present.contains($0.key) } }
        for replica in replicas {
            guard let descriptor = replica.descriptor else { continue }
            do throws(EngineError) {
                let size = try await engine.statistics(of: descriptor.range, in: replica.storage)
                late.withLock { $0.statistics[replica.partition] = size }
            } catch {
                // What cannot be counted now is counted the next time.
                if error.isDamage { damageFound(in: replica.partition, "\(error)") }
            }
        }
    }

    /// A copy that does not read back is given up as soon as anybody finds out, for whatever reason it was read (rule F6).
    package func damageFound(in partition: PartitionID, _ what: String) { runtime.inbox.put(.failed(partition, what)) }

    /// Damage before what only waits.
    private static func health(
        _ damaged: [String], _ troubles: [(storage: StorageID, trouble: EngineTroubles.Trouble)]
    ) -> EngineHealth {
        if let first = damaged.first { return .degraded(first) }
        return troubles.first.map { .degraded("waiting: \($0.trouble.error)") } ?? .healthy
    }

    /// Takes a reading of what only shows in time: lags, and requests by the second.
    func takeReadings() async {
        let replicas = await runtime.replicas
        let now = BootClock.now()
        note(replicas, at: now)
        _ = meter.rates(at: now)
    }

    private func note(_ replicas: [AgentCore.ReplicaStatus], at now: LogicalInstant) {
        lags.note(replicas.map { ($0.partition, $0.last.sequence, $0.applied) }, at: now)
    }

    // MARK: - Splits

    /// Tells the core how much the partitions that are served here hold, and how much is asked of them.
    func reportLoads() async {
        let replicas = await runtime.replicas.filter(\.isServing)
        let rates = meter.rates(at: BootClock.now())
        let sizes = late.withLock { $0.statistics }
        let loads = replicas.map { replica in
            let rate = rates[replica.partition] ?? LoadMeter.Rates()
            return PartitionLoad(
                partition: replica.partition, bytes: sizes[replica.partition]?.bytes ?? 0,
                operationsPerSecond: rate.reads + rate.writes)
        }
        if !loads.isEmpty { runtime.inbox.put(.loadMeasured(loads)) }
    }

    /// Looks for the key that halves a partition, and tells the core.
    func findKey(for order: SplitKeyOrder) async {
        // It may have waited for others; what is not served here any more is nobody's to split.
        guard await runtime.replicas.contains(where: { $0.partition == order.partition && $0.isServing }) else { return }
        let key: Key?
        switch order.cause {
        case .load: key = meter.middleKey(of: order.range, in: order.partition, at: BootClock.now())
        case .size:
            do throws(EngineError) { key = try await engine.middleKey(of: order.range, in: order.storage) } catch {
                // What cannot be read now is asked for again when it is still wanted.
                if error.isDamage { damageFound(in: order.partition, "\(error)") }
                return
            }
        }
        let found = key.map(\.description) ?? "none that halves it"
        logger.notice(
            "a split is wanted",
            metadata: ["partition": "\(order.partition)", "cause": "\(order.cause.rawValue)", "key": "\(found)"])
        runtime.inbox.put(.splitKeyFound(order.partition, key))
    }

    // MARK: - SessionOwner

    package func revision() async -> Revision { await runtime.topology.revision }

    package func received(_ event: SessionEvent) async {
        switch event {
        case .connected, .registrationRefused: break
        case .disconnected(let coordinator, let byPeer):
            if byPeer { late.withLock { $0.membership }?.linkEnded(to: coordinator) }
        case .registered(let session): late.withLock { $0.membership }?.registered(session)
        case .topology(let topology): runtime.inbox.put(.topology(topology))
        case .delta(let delta): runtime.inbox.put(.delta(delta))
        case .answered(let proposal, let outcome): runtime.inbox.put(.answered(proposal, outcome))
        case .quorumConfirmed(let at, let revision): runtime.inbox.put(.quorumConfirmed(at, revision: revision))
        case .revisionDisbelieved(let revision): late.withLock { $0.membership }?.disbelieve(revision)
        }
    }

    package func begin(in generation: Generation) async -> Bool {
        guard let (folder, membership) = late.withLock({ late in late.folder.map { ($0, late.membership) } }) else {
            return false
        }
        do throws(StorageError) {
            try folder.raise(to: generation)
        } catch {
            logger.error("the count of starts was not raised", metadata: ["error": "\(error)"])
            return false
        }
        membership?.raised(to: generation)
        return true
    }

    package func unvouched() async -> [PartitionID]? { await runtime.unvouched }

    package func wentBack(to start: Generation) async { await runtime.wentBack(to: start) }

    package func report() async -> NodeReport? {
        let status = await status()
        guard status.session != .none else { return nil }
        // A copy that does not hold what it should is none: whoever asks who has one counts on it.
        let damaged = Set(status.damaged.map(\.partition))
        return NodeReport(
            node: status.node, session: status.session, revision: status.revision, machine: status.machine,
            operationsPerSecond: status.partitions.reduce(0) { $0 + $1.readsPerSecond + $1.writesPerSecond },
            replicationLag: status.partitions.map(\.lag).max() ?? .zero, engine: status.engine,
            partitions: status.partitions.filter { !damaged.contains($0.partition) },
            operations: status.operations, gossipKeys: status.gossipKeys, inventory: status.inventory)
    }

    package func gossipKeys() async -> HeldGossipKeys? { late.withLock { $0.keys }?.held }

    // MARK: - CopyHost

    package var copySilence: Span { .seconds(Int64(configured(ConfigurationRules.copySilence))) }

    package var copyRate: Int64 { Int64(configured(ConfigurationRules.copyRate)) << 20 }

    /// What is in force at this node, by the newest topology that it knows.
    private func configured<Rule: ConfigurationRule>(_ rule: Rule) -> Rule.Value {
        let topology = routes.topology
        return topology.configured(rule, at: topology.nodes[node]) ?? rule.standard
    }

    package func begin(
        _ copy: CopyStart, from sender: NodeID, advancing: Bool
    ) async throws(EngineError) -> BegunCopy? {
        try await runtime.begin(copy, from: sender, advancing: advancing)
    }

    package func changes(
        of partition: PartitionID, after point: LogPoint, through end: LogPoint, in term: Term
    ) async -> [Entry]? {
        await runtime.changes(of: partition, after: point, through: end, in: term)
    }

    package func copyStands(_ partition: PartitionID, on target: NodeID, at point: LogPoint) async {
        runtime.inbox.put(.copyStands(partition, on: target, at: point.sequence))
    }

    package func mayHold(_ partition: PartitionID, for span: Duration, isImage: Bool) async -> Bool {
        // To take another one costs little, but not nothing.
        if span < .seconds(1) { return true }
        guard span < .seconds(isImage ? CopyStreams.imageHeld : 10) else { return false }
        return await !runtime.isLogLong(of: partition)
    }

    package func finished(_ copy: CopyStart, number: UInt64) async {
        runtime.inbox.put(.snapshotInstalled(copy.partition, copy.storage, copy.start, copy: number))
    }

    package func copyProgressed(_ progress: CopyProgress) async {
        late.withLock { $0.operations.copied(progress, at: BootClock.now()) }
    }

    /// A partition led here stops its writers for `operation`, or lets them go on.
    func fenced(_ partition: PartitionID, for operation: OperationID?) {
        late.withLock { $0.operations.fenced(partition, for: operation, at: BootClock.now()) }
    }

    /// What the operations that this node drives wait for.
    private static func obstacles(to replicas: [AgentCore.ReplicaStatus]) -> [OperationID: String] {
        var obstacles: [OperationID: String] = [:]
        for replica in replicas where replica.isServing {
            if let id = replica.descriptor?.operation, let obstacle = replica.obstacle { obstacles[id] = "\(obstacle)" }
        }
        return obstacles
    }
}
