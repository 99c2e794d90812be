import AgentCore
import Engine
import Logging
import Model
import ServiceLifecycle
import Synchronization

/// Sends the snapshots that the core orders, each in a task of its own, and tells the core when one has ended.
final class CopyDispatcher: Service {
    /// At a time; more wait (PROTOCOLS, D: two operations per node).
    private static let parallel = 2

    private struct Direction: Hashable {
        let partition: PartitionID
        let target: NodeID

        init(partition: PartitionID, target: NodeID) {
            self.partition = partition
            self.target = target
        }

        init(_ order: CopyOrder) { self.init(partition: order.partition, target: order.target) }
    }

    /// One copy's way from order to end.
    private enum Copy {
        /// Can move to: `sending`, `stopped`.
        case waiting
        /// It was stopped before its turn came; it ends then.
        case stopped
        case sending(Task<Void, any Error>)
    }

    private let orders = Mailbox<CopyOrder>()
    /// Those that were ordered and have not ended: one at a time in each direction.
    private let copies = Mutex<[Direction: Copy]>([:])
    private let streams: any SnapshotStreams
    private let events: @Sendable (AgentInput) -> Void
    private let logger: Logger

    init(streams: any SnapshotStreams, logger: Logger, events: @escaping @Sendable (AgentInput) -> Void) {
        self.streams = streams
        self.logger = logger
        self.events = events
    }

    func submit(_ order: CopyOrder) {
        copies.withLock { $0[Direction(order)] = .waiting }
        orders.put(order)
    }

    /// Ends a copy now; the core hears of its end as of one that failed.
    func stop(_ partition: PartitionID, to target: NodeID) {
        let direction = Direction(partition: partition, target: target)
        let sending = copies.withLock { copies -> Task<Void, any Error>? in
            switch copies[direction] {
            case .sending(let task): return task
            case .waiting:
                copies[direction] = .stopped
                return nil
            case .stopped, nil: return nil
            }
        }
        sending?.cancel()
    }

    func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await cancelWhenGracefulShutdown { await self.dispatch() }
        } onCancelOrGracefulShutdown: {
            self.orders.close()
        }
    }

    private func dispatch() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            while let batch = await orders.next() {
                for order in batch {
                    if running >= Self.parallel {
                        await group.next()
                        running -= 1
                    }
                    running += 1
                    group.addTask { await self.send(order) }
                }
            }
            group.cancelAll()
        }
    }

    private func send(_ order: CopyOrder) async {
        var isWhole = false
        let metadata: Logger.Metadata = ["partition": "\(order.partition)", "target": "\(order.target)"]
        logger.info("copy starts", metadata: metadata)
        do {
            try await stream(order)
            isWhole = true
            logger.info("copy done", metadata: metadata)
        } catch is CancellationError {
            logger.info("copy stopped", metadata: metadata)
        } catch {
            // What the learner finds on its own disk comes back as a refusal.
            if let error = error as? EngineError, error.isDamage { events(.failed(order.partition, "\(error)")) }
            logger.warning(
                "copy failed",
                metadata: ["partition": "\(order.partition)", "target": "\(order.target)", "error": "\(error)"])
        }
        copies.withLock { $0[Direction(order)] = nil }
        events(.copyEnded(order.partition, to: order.target, isWhole: isWhole))
    }

    /// - Throws: `CancellationError` when it was stopped; what went wrong otherwise.
    private func stream(_ order: CopyOrder) async throws {
        let sending = copies.withLock { [streams] copies -> Task<Void, any Error>? in
            if case .stopped = copies[Direction(order)] { return nil }
            let task = Task { try await streams.send(order) }
            copies[Direction(order)] = .sending(task)
            return task
        }
        guard let sending else { throw CancellationError() }
        do {
            try await withTaskCancellationHandler {
                try await sending.value
            } onCancel: {
                sending.cancel()
            }
        } catch {
            // Whatever was under way when it was stopped says so in its own words.
            throw sending.isCancelled ? CancellationError() : error
        }
    }
}
