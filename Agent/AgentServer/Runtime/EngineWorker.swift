// Carries the core's orders to the storage engine, in order for each partition, storages beside each other.

import AgentCore
import Engine
import Logging
import Model
import Replication
import ServiceLifecycle
import Synchronization

/// What the engine is asked to do with one storage.
enum EngineJob: Sendable {
    case apply(PartitionID, [Entry])
    case checksum(PartitionID, Position)
    case create(PartitionDescriptor, TableDescriptor)
    /// Or a merge, where the one child names its parents.
    case split(PartitionID, children: [PartitionDescriptor])
    case remove(PartitionID)
    case beginImport(
        PartitionState, TableDescriptor, advancing: Bool, CheckedContinuation<Result<ImportState, EngineError>, Never>)
    /// Look at some pages of the file, from one on.
    case inspect(UInt64, limit: Int, CheckedContinuation<Result<Inspection, EngineError>, Never>)
    case sync
    /// The time has come to try something again.
    case wake
}

final class EngineWorker: Service {
    private let engine: any StorageEngine
    private let troubles: EngineTroubles
    private let events: @Sendable (AgentInput) -> Void
    private let logger: Logger
    private let lanes = Mutex<[StorageID: EngineLane]>([:])
    private let started = Mailbox<EngineLane>()

    init(
        engine: any StorageEngine, troubles: EngineTroubles = EngineTroubles(), logger: Logger,
        events: @escaping @Sendable (AgentInput) -> Void
    ) {
        self.engine = engine
        self.troubles = troubles
        self.logger = logger
        self.events = events
    }

    func submit(_ job: EngineJob, to storage: StorageID) {
        // Under one lock with `retire`: what is put into a lane is done, or it would be lost.
        let isTaken = lanes.withLock { lanes in
            if let lane = lanes[storage] { return lane.jobs.put(job) }
            let lane = EngineLane(storage: storage, engine: engine, troubles: troubles, logger: logger, events: events) {
                [weak self] in self?.retire($0) ?? false
            }
            lanes[storage] = lane
            if !started.put(lane) { lane.jobs.close() }
            return lane.jobs.put(job)
        }
        if !isTaken { job.refuse(with: .failed(storage, detail: "the agent is stopping")) }
    }

    /// Ends the lane of a storage that is gone, unless there is something to do for it again. What is asked for later gets a new one.
    ///
    /// - Returns: whether it has ended.
    private func retire(_ lane: EngineLane) -> Bool {
        lanes.withLock { lanes in
            guard lane.jobs.count == 0, lanes[lane.storage] === lane else { return false }
            lane.jobs.close()
            lanes[lane.storage] = nil
            return true
        }
    }

    var laneCount: Int { lanes.withLock { $0.count } }

    /// Looks at pages of a storage's file, behind whatever else is to be done with it.
    func inspect(_ storage: StorageID, from page: UInt64, limit: Int) async -> Result<Inspection, EngineError> {
        await withCheckedContinuation { submit(.inspect(page, limit: limit, $0), to: storage) }
    }

    /// Asks every storage that was touched to make its rows durable.
    func syncAll() {
        for lane in lanes.withLock({ Array($0.values) }) where lane.jobs.count < 64 { lane.jobs.put(.sync) }
    }

    func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                while let lanes = await started.next() {
                    for lane in lanes { group.addTask { await lane.run() } }
                }
            }
        } onCancelOrGracefulShutdown: {
            self.started.close()
            for lane in self.lanes.withLock({ Array($0.values) }) { lane.jobs.close() }
        }
    }
}

extension EngineJob {
    var partition: PartitionID? {
        switch self {
        case .apply(let id, _), .checksum(let id, _), .split(let id, _), .remove(let id): id
        case .create(let descriptor, _): descriptor.id
        case .beginImport(let start, _, _, _): start.partition
        case .inspect, .sync, .wake: nil
        }
    }

    /// All that it concerns: with what is put in the place of others, those others.
    var partitions: Set<PartitionID> {
        switch self {
        case .split(let parent, let children):
            Set(children.map(\.id)).union(children.flatMap { $0.parents.map(\.partition) }).union([parent])
        case .apply, .checksum, .create, .remove, .beginImport, .inspect, .sync, .wake: Set(partition.map { [$0] } ?? [])
        }
    }

    /// Whether everything behind it waits until the error is over: the order of entries is the partition.
    func isHeld(by error: EngineError) -> Bool {
        switch self {
        case .apply, .split: error.remedy != .rebuild
        // Asked for again, by others or a second later.
        case .checksum, .sync: false
        case .create, .remove, .beginImport, .inspect, .wake: false
        }
    }

    /// Answers whoever waits for a job that will not be done.
    func refuse(with error: EngineError) {
        switch self {
        case .beginImport(_, _, _, let caller): caller.resume(returning: .failure(error))
        case .inspect(_, _, let caller): caller.resume(returning: .failure(error))
        case .apply, .checksum, .create, .split, .remove, .sync, .wake: break
        }
    }
}
