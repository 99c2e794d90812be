import AgentCore
import Logging
import Model
import Replication
import ServiceLifecycle
import Synchronization
import Testing
import Transport

@testable import AgentServer

/// Snapshots that take for ever, unless they are stopped.
private final class EndlessStreams: SnapshotStreams {
    let started = Mutex<[PartitionID]>([])
    let cancelled = Mutex<[PartitionID]>([])

    func send(_ order: CopyOrder) async throws {
        started.withLock { $0.append(order.partition) }
        do {
            try await Task.sleep(for: .seconds(3_600))
        } catch {
            cancelled.withLock { $0.append(order.partition) }
            throw CopyFailure.ended(order.target, CopyExtent())
        }
    }

    func receive(on link: Link) async {}
}

@Suite struct CopyDispatcherTests {
    private func order(_ number: UInt64) throws -> CopyOrder {
        CopyOrder(
            partition: PartitionID(number), epoch: Epoch(1), term: Term(epoch: Epoch(1), run: 1), storage: StorageID(1),
            target: try NodeID("n2"), targetAddress: "h:1", targetStorage: StorageID(2), operation: nil)
    }

    @Test("a copy that is stopped ends at once, its end is told, and the next one in turn begins; one that waits never begins")
    func stops() async throws {
        let streams = EndlessStreams()
        let ends = Mutex<[PartitionID]>([])
        let dispatcher = CopyDispatcher(streams: streams, logger: Logger(label: "test")) { input in
            guard case .copyEnded(let id, _, isWhole: false) = input else { return }
            ends.withLock { $0.append(id) }
        }
        let target = try NodeID("n2")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.run() }
            // Two at a time; the others wait.
            for number in 1...4 { dispatcher.submit(try order(UInt64(number))) }
            try await eventually("two have begun") { streams.started.withLock { $0.count } == 2 }
            dispatcher.stop(PartitionID(3), to: target)
            #expect(ends.withLock { $0 } == [])
            dispatcher.stop(PartitionID(1), to: target)
            dispatcher.stop(PartitionID(1), to: target)
            try await eventually("both ends are told") { ends.withLock { $0 } == [PartitionID(1), PartitionID(3)] }
            try await eventually("the next has begun") { streams.started.withLock { $0 }.contains(PartitionID(4)) }
            #expect(streams.cancelled.withLock { $0 } == [PartitionID(1)])
            #expect(!streams.started.withLock { $0 }.contains(PartitionID(3)))
            // What has ended is not stopped again.
            dispatcher.submit(try order(1))
            dispatcher.stop(PartitionID(2), to: target)
            try await eventually("it has begun anew") { streams.started.withLock { $0.count { $0 == PartitionID(1) } } == 2 }
            group.cancelAll()
        }
    }
}
