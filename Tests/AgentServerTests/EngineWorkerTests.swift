import AgentCore
import Engine
import Logging
import Model
import Synchronization
import Testing

@testable import AgentServer

@Suite struct EngineWorkerTests {
    /// Finds no room for a while, and does nothing else than remove.
    private final class FullDisk: StorageEngine {
        private let refusals: Mutex<Int>
        init(refusals: Int) { self.refusals = Mutex(refusals) }

        func remove(_ partition: PartitionID, from storage: StorageID) async throws(EngineError) {
            let isFull = refusals.withLock { left in
                left -= 1
                return left >= 0
            }
            if isFull { throw .diskFull(storage) }
        }

        func state(of storage: StorageID) async throws(EngineError) -> StorageState? { nil }
        func sync(_ storage: StorageID) async throws(EngineError) -> [PartitionState] { [] }
        func open() async throws(EngineError) -> StorageInventory { throw .diskFull(StorageID(0)) }
        func create(
            _ storage: StorageID, for: TableDescriptor, holding: PartitionState
        ) async throws(EngineError) { throw .diskFull(storage) }
        func apply(
            _: [CommittedEntry], to: PartitionID, in storage: StorageID
        ) async throws(EngineError) -> PartitionState { throw .diskFull(storage) }
        func split(
            _: PartitionID, into: [PartitionState], in storage: StorageID, at: Position
        ) async throws(EngineError) { throw .diskFull(storage) }
        func get(_: Key, in storage: StorageID) async throws(EngineError) -> [Value]? { nil }
        func scan(
            _: KeyRange, in storage: StorageID, rowLimit: Int, byteLimit: Int
        ) async throws(EngineError) -> RowPage { throw .unknownStorage(storage) }
        func snapshot(of: PartitionID, in storage: StorageID) async throws(EngineError) -> any StorageSnapshot {
            throw .unknownStorage(storage)
        }
        func statistics(of: KeyRange, in storage: StorageID) async throws(EngineError) -> RangeStatistics {
            throw .unknownStorage(storage)
        }
        func middleKey(of: KeyRange, in: StorageID) async throws(EngineError) -> Key? { nil }
        func beginImport(
            _ storage: StorageID, for: TableDescriptor, at: PartitionState
        ) async throws(EngineError) -> ImportState { throw .diskFull(storage) }
        func ingest(
            _: [Row], chunk: UInt64, of: PartitionState, into storage: StorageID
        ) async throws(EngineError) -> ImportState { throw .diskFull(storage) }
        func finishImport(of: PartitionState, in storage: StorageID) async throws(EngineError) { throw .diskFull(storage) }
        func trim(_: KeyRange, in: StorageID, limit: Int) async throws(EngineError) -> Int { 0 }
        func close() async {}
    }

    /// What the core hears first of a removal that finds no room so often.
    private func firstEvent(refusals: Int, patience: Duration) async -> String {
        let heard = Mailbox<String>()
        let worker = EngineWorker(
            engine: FullDisk(refusals: refusals), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            roomPatience: patience
        ) { event in
            switch event {
            case .dropped(let id, let storage): heard.put("\(storage) without \(id)")
            case .failed(let id, _): heard.put("\(id) failed")
            default: heard.put("\(event)")
            }
        }
        return await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            worker.submit(.remove(PartitionID(7)), to: StorageID(3))
            let first = await heard.next()?.first
            group.cancelAll()
            return first ?? "nothing"
        }
    }

    @Test("what finds no room on the disk waits for it, and the copy is not thought damaged")
    func waits() async {
        #expect(await firstEvent(refusals: 2, patience: .seconds(60)) == "3 without 7")
    }

    @Test("a disk that stays full for long fails the partition, so that others serve it (F6)")
    func givesUp() async {
        #expect(await firstEvent(refusals: .max, patience: .milliseconds(1)) == "7 failed")
    }
}
