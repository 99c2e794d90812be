// Carries the core's orders to the storage engine, in order for each storage, storages beside each other.

import AgentCore
import Engine
import Logging
import Model
import Replication
import ServiceLifecycle
import Synchronization
import Wire

/// What the engine is asked to do with one storage.
enum EngineJob: Sendable {
    case apply(PartitionID, [Entry])
    case checksum(PartitionID, Position)
    case create(PartitionDescriptor, TableDescriptor)
    case split(PartitionID, children: [PartitionDescriptor])
    case remove(PartitionID)
    case beginImport(PartitionState, TableDescriptor, CheckedContinuation<Result<ImportState, EngineError>, Never>)
    case sync
}

final class EngineWorker: Service {
    /// The jobs of one storage. What bounds them: entries wait in the log's memory until they are applied, and the core stops
    /// taking writes when that is full.
    private final class Lane: Sendable {
        let storage: StorageID
        let jobs = Mailbox<EngineJob>()
        init(storage: StorageID) { self.storage = storage }
    }

    private let engine: any StorageEngine
    private let events: @Sendable (AgentInput) -> Void
    private let logger: Logger
    /// How long a job waits for room on the disk before its partition counts as failed here, and others serve it (rule F6).
    private let roomPatience: Duration
    private let lanes = Mutex<[StorageID: Lane]>([:])
    private let started = Mailbox<Lane>()

    init(
        engine: any StorageEngine, logger: Logger, roomPatience: Duration = .seconds(10),
        events: @escaping @Sendable (AgentInput) -> Void
    ) {
        self.engine = engine
        self.logger = logger
        self.roomPatience = roomPatience
        self.events = events
    }

    func submit(_ job: EngineJob, to storage: StorageID) {
        let lane = lanes.withLock { lanes -> Lane in
            if let lane = lanes[storage] { return lane }
            let lane = Lane(storage: storage)
            lanes[storage] = lane
            started.put(lane)
            return lane
        }
        if !lane.jobs.put(job) { job.refuse(with: .failed(storage, detail: "the agent is stopping")) }
    }

    /// Asks every storage that was touched to make its rows durable.
    func syncAll() {
        for lane in lanes.withLock({ Array($0.values) }) where lane.jobs.count < 64 { lane.jobs.put(.sync) }
    }

    func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                while let lanes = await started.next() {
                    for lane in lanes { group.addTask { await self.work(lane) } }
                }
            }
        } onCancelOrGracefulShutdown: {
            self.started.close()
            for lane in self.lanes.withLock({ Array($0.values) }) { lane.jobs.close() }
        }
    }

    private func work(_ lane: Lane) async {
        var isDirty = true
        while let jobs = await lane.jobs.next() {
            for job in Self.merged(jobs) {
                if case .sync = job, !isDirty { continue }
                do throws(EngineError) {
                    try await carryOutWithRoom(job, in: lane.storage)
                    isDirty =
                        switch job {
                        case .sync: false
                        // With its last partition a storage is gone, and there is nothing left to sync.
                        case .remove: try await engine.state(of: lane.storage) != nil
                        default: true
                        }
                } catch {
                    logger.error("the engine failed", metadata: ["storage": "\(lane.storage)", "error": "\(error)"])
                    if let partition = job.partition { events(.failed(partition, "\(error)")) }
                }
            }
        }
    }

    private static let roomInterval = Duration.milliseconds(200)

    /// Carries a job out, and waits where the disk is full: the entries are in the log and nothing of them is lost, and a copy that is
    /// thrown away for a moment's want of room costs all of it once more. Those behind it in the lane wait with it.
    private func carryOutWithRoom(_ job: EngineJob, in storage: StorageID) async throws(EngineError) {
        var start: ContinuousClock.Instant?
        while true {
            do throws(EngineError) {
                try await carryOut(job, in: storage)
                if start != nil { logger.notice("there is room again", metadata: ["storage": "\(storage)"]) }
                return
            } catch {
                // What belongs to no partition comes again by itself.
                guard case .diskFull = error, job.partition != nil else { throw error }
                if start == nil { logger.error("the disk is full; waiting for room", metadata: ["storage": "\(storage)"]) }
                let since = start ?? .now
                start = since
                guard .now < since + roomPatience, (try? await Task.sleep(for: Self.roomInterval)) != nil else { throw error }
            }
        }
    }

    /// Applies that follow each other become one transaction.
    private static func merged(_ jobs: [EngineJob]) -> [EngineJob] {
        var merged: [EngineJob] = []
        for job in jobs {
            if case .apply(let id, let entries) = job, case .apply(let before, let earlier)? = merged.last, id == before {
                merged[merged.count - 1] = .apply(id, earlier + entries)
            } else {
                merged.append(job)
            }
        }
        return merged
    }

    private func carryOut(_ job: EngineJob, in storage: StorageID) async throws(EngineError) {
        switch job {
        case .apply(let id, let entries):
            let state = try await engine.apply(try Self.committed(entries, storage), to: id, in: storage)
            events(.applied(id, state.applied.sequence))
        case .checksum(let id, let position):
            // Opened before the next entry is applied, so it stands exactly at the position; read while others are applied.
            let snapshot = try await engine.snapshot(of: id, in: storage)
            let result: Result<RangeChecksum, EngineError>
            do throws(EngineError) { result = .success(try await snapshot.checksum()) } catch { result = .failure(error) }
            await snapshot.close()
            let checksum = try result.get()
            if snapshot.state.applied == position { events(.checksummed(id, position, checksum.hash)) }
        case .create(let descriptor, let table):
            let state = PartitionState(
                partition: descriptor.id, range: descriptor.range, applied: .zero, checksum: 0)
            try await engine.create(storage, for: table, holding: state)
            events(.created(descriptor.id, storage))
        case .split(let parent, let children):
            let states = children.map {
                PartitionState(partition: $0.id, range: $0.range, applied: $0.origin, checksum: $0.originChecksum)
            }
            guard let origin = children.first?.origin else { return }
            try await engine.split(parent, into: states, in: storage, at: origin)
            events(.childrenInstalled(parent: parent))
        case .remove(let id):
            try await engine.remove(id, from: storage)
            events(.dropped(id, storage))
        case .beginImport(let start, let table, let caller):
            do throws(EngineError) {
                caller.resume(returning: .success(try await engine.beginImport(storage, for: table, at: start)))
            } catch {
                // The sender hears of it and tries again; nothing here counts until then.
                caller.resume(returning: .failure(error))
            }
        case .sync:
            for state in try await engine.sync(storage) { events(.synced(state.partition, state.applied.sequence)) }
        }
    }

    /// What entries mean to the rows. A payload that cannot be read was never ordered by us: the checksum chain vouches for it.
    private static func committed(_ entries: [Entry], _ storage: StorageID) throws(EngineError) -> [CommittedEntry] {
        var committed: [CommittedEntry] = []
        committed.reserveCapacity(entries.count)
        for entry in entries {
            var mutations: [Mutation] = []
            if case .write(let payload) = entry.body {
                guard let batch = try? WriteBatch(bytes: payload) else {
                    throw .failed(storage, detail: "the entry at \(entry.position) cannot be read")
                }
                mutations = batch.mutations
            }
            committed.append(
                CommittedEntry(position: entry.position, checksum: entry.checksum, mutations: mutations))
        }
        return committed
    }
}

extension EngineJob {
    var partition: PartitionID? {
        switch self {
        case .apply(let id, _), .checksum(let id, _), .split(let id, _), .remove(let id): id
        case .create(let descriptor, _): descriptor.id
        // The copy's sender hears of its failure; a learner without its copy is not damaged.
        case .beginImport, .sync: nil
        }
    }

    /// Answers whoever waits for a job that will not be done.
    func refuse(with error: EngineError) {
        if case .beginImport(_, _, let caller) = self { caller.resume(returning: .failure(error)) }
    }
}
