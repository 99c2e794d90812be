import AgentCore
import Engine
import Logging
import ServiceLifecycle

/// Sends the snapshots that the core orders, each in a task of its own, and tells the core when one has ended.
final class CopyDispatcher: Service {
    /// At a time; more wait (PROTOCOLS, D: two operations per node).
    private static let parallel = 2

    private let orders = Mailbox<CopyOrder>()
    private let streams: any SnapshotStreams
    private let events: @Sendable (AgentInput) -> Void
    private let logger: Logger

    init(streams: any SnapshotStreams, logger: Logger, events: @escaping @Sendable (AgentInput) -> Void) {
        self.streams = streams
        self.logger = logger
        self.events = events
    }

    func submit(_ order: CopyOrder) { orders.put(order) }

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
        logger.info("copy starts", metadata: ["partition": "\(order.partition)", "target": "\(order.target)"])
        do {
            try await streams.send(order)
            isWhole = true
            logger.info("copy done", metadata: ["partition": "\(order.partition)", "target": "\(order.target)"])
        } catch {
            // What the learner finds on its own disk comes back as a refusal.
            if let error = error as? EngineError, error.isDamage { events(.failed(order.partition, "\(error)")) }
            logger.warning(
                "copy failed",
                metadata: ["partition": "\(order.partition)", "target": "\(order.target)", "error": "\(error)"])
        }
        events(.copyEnded(order.partition, to: order.target, isWhole: isWhole))
    }
}
