// Services of one loop each.

import Identity
import LogStorage
import Logging
import Model
import Movement
import RoutingTable
import ServiceLifecycle
import Synchronization
import Transport

/// Saves the newest topology, never an older one after it; those between are skipped when the disk is slower than the changes.
final class TopologyMirror: Service {
    private let file: TopologyFile
    private let waiting = Mailbox<Topology>()
    private let logger: Logger
    private let onDiskFailure: DiskFailureResponse
    private let retryPause: Duration
    private let settling: Duration
    private let saved: @Sendable (Revision) -> Void

    /// - Parameters:
    ///   - retryPause: between a save that failed and the next.
    ///   - settling: between a change and its save. A change of hands is one, and those who wait for that one wait for the node's log, on the
    ///     same disk; and it is rarely the last one.
    ///   - saved: told which revision is on disk.
    init(
        file: TopologyFile, logger: Logger, onDiskFailure: DiskFailureResponse = .endProcess,
        retryPause: Duration = .seconds(1), settling: Duration = .milliseconds(100),
        saved: @escaping @Sendable (Revision) -> Void
    ) {
        self.settling = settling
        self.file = file
        self.logger = logger
        self.onDiskFailure = onDiskFailure
        self.retryPause = retryPause
        self.saved = saved
    }

    /// However long a flush hangs, only the newest waits for it.
    func save(_ topology: Topology) { waiting.put(topology) { $0.revision < $1.revision } }

    var waitingCount: Int { waiting.count }

    func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            while let batch = await waiting.next() {
                try? await Task.sleep(for: settling)
                let all = batch + waiting.taken()
                guard let newest = all.max(by: { $0.revision < $1.revision }), newest.revision > .none else { continue }
                do throws(StorageError) {
                    try file.save(newest)
                    saved(newest.revision)
                } catch {
                    // The partitions' log is on the same disk, and this one has just lost what it was given (rule C3).
                    if case .syncFailed = error {
                        onDiskFailure.respond(error)
                        continue
                    }
                    // The copy in memory serves on. A start would find an older one until this, or one after it, is saved.
                    logger.error("the topology was not saved", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: retryPause)
                    save(newest)
                }
            }
        } onCancelOrGracefulShutdown: {
            self.waiting.close()
        }
    }
}

/// Measures the sizes of partitions from time to time, and lags and rates more often.
struct StatisticsService: Service {
    /// Readings between two counts of rows and bytes.
    private static let readings = 20
    let agent: RunningAgent

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await agent.refreshStatistics()
                for _ in 0..<Self.readings {
                    await agent.takeReadings()
                    do { try await Task.sleep(for: .milliseconds(500)) } catch { return }
                }
            }
        }
    }
}

/// A key that halves a partition is wanted.
struct SplitKeyOrder: Hashable, Sendable {
    let partition: PartitionID
    let storage: StorageID
    let range: KeyRange
    let cause: SplitCause
}

/// Measures for the core what may have to be split, and finds the keys: beside each other, for to find the middle of a large partition
/// takes a while.
final class SplitService: Service {
    private let report: @Sendable () async -> Void
    private let search: @Sendable (SplitKeyOrder) async -> Void
    /// At most one for each partition.
    private let orders = Mailbox<SplitKeyOrder>()
    /// Partitions whose key is being looked for, or is to be: that may take longer than the pause between two orders.
    private let searching = Mutex<Set<PartitionID>>([])

    /// - Parameters:
    ///   - report: measures, and tells the core.
    ///   - search: looks for a key, and tells the core; ends early when it is cancelled.
    init(report: @escaping @Sendable () async -> Void, search: @escaping @Sendable (SplitKeyOrder) async -> Void) {
        self.report = report
        self.search = search
    }

    /// Has a key looked for, unless one is being looked for in that partition already.
    func find(_ order: SplitKeyOrder) {
        guard searching.withLock({ $0.insert(order.partition).inserted }) else { return }
        orders.put(order)
    }

    func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepReporting() }
                while let orders = await orders.next() {
                    for order in orders {
                        // A large partition takes minutes, for which the agent's end does not wait.
                        await cancelWhenGracefulShutdown { await self.search(order) }
                        searching.withLock { _ = $0.remove(order.partition) }
                    }
                }
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            self.orders.close()
        }
    }

    private func keepReporting() async {
        while !Task.isCancelled {
            await report()
            do { try await Task.sleep(for: .seconds(2)) } catch { return }
        }
    }
}

/// Carries what the failure detector finds to those who act on it (rules F1, T2).
struct RumourService: Service {
    let gossip: GossipService
    let session: AgentSession
    /// The revision that this node has applied.
    let ownRevision: @Sendable () -> Revision
    /// Told who has a newer one, beside the session.
    let heard: @Sendable (NodeID) -> Void
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var told = ToldDeaths()
            for await event in gossip.events {
                switch event {
                case .deathsFound(let deaths):
                    for found in deaths {
                        logger.log(
                            level: told.isNews(found) ? .warning : .debug, "death found",
                            metadata: ["member": "\(found.node)", "session": "\(found.session)"])
                    }
                    session.report(deaths)
                case .revisionHeard(let revision, let node):
                    let own = ownRevision()
                    guard revision > own else { continue }
                    session.askTopology(from: own, toReach: revision)
                    heard(node)
                case .memberChanged, .identityInUse: break
                }
            }
        }
    }
}

/// This agent, as it learns from others.
struct Follower: TopologyFollower {
    let runtime: AgentRuntime
    let gossip: GossipService
    let session: AgentSession

    var revision: Revision { runtime.routes.revision }
    var newestRevision: Revision { gossip.newestRevision }
    var peers: [NodeID: String] {
        let others = runtime.routes.topology.nodes.filter {
            $0.key != runtime.node && $0.value.status != .decommissioned && $0.value.status != .failed
                && $0.value.session != .none
        }
        return others.mapValues(\.addresses.link)
    }

    func learned(_ delta: TopologyDelta) async { await session.learned(delta) }
    func proved(_ delta: TopologyDelta) async { await session.proved(delta) }
}

extension ClusterCredentials {
    var seal: GossipSeal { GossipSeal(keyring, of: cluster) }
}
