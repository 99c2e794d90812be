import Logging
import Model
import Movement
import ServiceLifecycle
import Synchronization
import Testing

@testable import AgentServer

/// Keys that are looked for on behalf of the core.
@Suite(.timeLimit(.minutes(5))) struct SplitServiceTests {
    private func order(_ partition: UInt64) -> SplitKeyOrder {
        SplitKeyOrder(partition: PartitionID(partition), storage: StorageID(1), range: .all, cause: .size)
    }

    @Test("while a partition's key is being looked for, another order for it is none; behind it, it is one")
    func onePerPartition() async throws {
        let begun = Mutex<[UInt64]>([])
        let (ends, end) = AsyncStream<Void>.makeStream()
        let service = SplitService(report: {}) { order in
            begun.withLock { $0.append(order.partition.number) }
            for await _ in ends { break }
        }
        let running = Task { try await service.run() }
        for partition: UInt64 in [1, 1, 2, 1] { service.find(order(partition)) }
        try await eventually("the first is begun") { begun.withLock { $0 } == [1] }
        service.find(order(1))
        end.yield()
        try await eventually("the other is next") { begun.withLock { $0 } == [1, 2] }
        service.find(order(1))
        end.yield()
        try await eventually("the first is looked for again") { begun.withLock { $0 } == [1, 2, 1] }
        running.cancel()
        _ = await running.result
    }

    @Test("an agent that ends does not wait for a key")
    func cancelled() async throws {
        let isBegun = Mutex(false)
        let wasCancelled = Mutex(false)
        let service = SplitService(report: {}) { _ in
            isBegun.withLock { $0 = true }
            do { try await Task.sleep(for: .seconds(3_600)) } catch { wasCancelled.withLock { $0 = true } }
        }
        let group = ServiceGroup(services: [service], logger: Logger(label: "test"))
        let running = Task { try await group.run() }
        service.find(order(1))
        try await eventually("it is begun") { isBegun.withLock { $0 } }
        await group.triggerGracefulShutdown()
        try await eventually("it is given up") { wasCancelled.withLock { $0 } }
        try await running.value
    }
}
