import AgentCore
import Engine
import Foundation
import Model
import Synchronization
import Testing

@testable import AgentServer

/// What the engine's worker does when the engine does not do what it is asked (rule F6).
@Suite(.timeLimit(.minutes(5))) struct EngineWorkerTests {
    private let storage = WorkerRig.storage
    private let partition = WorkerRig.partition

    @Test("entries wait on a full disk, in their order, and nobody is told that the copy is damaged")
    func fullDisk() async throws {
        let rig = try await WorkerRig()
        let isFull = Mutex(true)
        rig.engine.set { [storage] call in call == .apply && isFull.withLock { $0 } ? .diskFull(storage) : nil }
        for number in 1...3 { try rig.apply(UInt64(number), Int64(number)..<Int64(number + 1)) }
        try await eventually("it is tried again") { rig.engine.count(of: .apply) > 3 }
        #expect(rig.troubles.lackOfRoom(in: storage) == .diskFull(storage))
        #expect(rig.inputs.isEmpty)
        isFull.withLock { $0 = false }
        try await eventually("all is applied") { rig.inputs.last == .applied(partition, 3) }
        try await eventually("and well") { rig.troubles.all.isEmpty }
        #expect(!rig.hasFailed)
        try await rig.close()
    }

    @Test("what passes is tried again; damage, and what does not fit, is said at once")
    func kinds() async throws {
        let rig = try await WorkerRig()
        let left = Mutex(3)
        rig.engine.set { [storage] call in
            guard call == .apply else { return nil }
            return left.withLock { left in
                left -= 1
                return left >= 0 ? .busy(storage, detail: "locked") : nil
            }
        }
        try rig.apply(1, 0..<1)
        try await eventually("it passes") { rig.inputs == [.applied(partition, 1)] }
        #expect(rig.engine.count(of: .apply) == 4)
        rig.engine.set { [storage] call in call == .apply ? .damaged(storage, detail: "malformed") : nil }
        try rig.apply(2, 1..<2)
        try await eventually("it is said") { rig.hasFailed }
        #expect(rig.engine.count(of: .apply) == 5)
        try await rig.close()
    }

    @Test("a partition leaves a full disk, though its own entries wait for room")
    func removalMakesRoom() async throws {
        let rig = try await WorkerRig()
        rig.engine.set { [storage] call in call == .apply ? .diskFull(storage) : nil }
        try rig.apply(1, 0..<1)
        try await eventually("it waits") { rig.troubles.lackOfRoom(in: storage) != nil }
        rig.worker.submit(.remove(partition), to: storage)
        try await eventually("it is gone") { rig.inputs == [.dropped(partition, storage)] }
        try await eventually("and nothing waits") { rig.troubles.all.isEmpty }
        try await rig.close()
    }

    @Test("a storage that is gone keeps no lane, and one that comes in its place has all that was asked for done")
    func lanesEnd() async throws {
        let rig = try await WorkerRig()
        for round in 1...50 {
            rig.worker.submit(.remove(partition), to: storage)
            // It may be about to end: nothing of this is lost to that.
            if round % 2 == 0 { try await eventually("it ends") { rig.worker.laneCount == 0 } }
            let descriptor = PartitionDescriptor(
                id: partition, table: rig.table.id, range: .all, epoch: Epoch(1), primary: nil, replicas: [], status: .creating)
            try await eventually("it is gone") { rig.inputs.count { $0 == .dropped(partition, storage) } == round }
            rig.worker.syncAll()
            rig.worker.submit(.create(descriptor, rig.table), to: storage)
            try await eventually("it is made") { rig.inputs.count { $0 == .created(partition, storage) } == round }
        }
        #expect(rig.worker.laneCount == 1)
        try await rig.close()
    }

    @Test("what waits for room waits no longer than until a neighbour in its storage has been removed")
    func neighbourMakesRoom() async throws {
        let rig = try await WorkerRig()
        let (low, high) = (PartitionID(2), PartitionID(3))
        try await rig.split(at: 10, into: [low, high])
        rig.engine.set { [storage, engine = rig.engine] call in
            call == .apply && engine.count(of: .remove) == 0 ? .diskFull(storage) : nil
        }
        try rig.apply(1, 10..<11, to: high)
        try await eventually("it waits") { rig.troubles.lackOfRoom(in: storage) != nil }
        rig.worker.submit(.remove(low), to: storage)
        try await eventually("both are done") { rig.inputs == [.dropped(low, storage), .applied(high, 1)] }
        try await rig.close()
    }

    @Test("an agent that stops while entries wait for room takes up none of those behind them")
    func stopsAmidWait() async throws {
        let rig = try await WorkerRig()
        let (low, high) = (PartitionID(2), PartitionID(3))
        try await rig.split(at: 10, into: [low, high])
        let isFull = Mutex(true)
        rig.engine.set { [storage] call in call == .apply && isFull.withLock { $0 } ? .diskFull(storage) : nil }
        try rig.apply(1, 1..<2, to: low)
        try await eventually("it waits for a while") { rig.engine.count(of: .apply) > 5 }
        try rig.apply(1, 11..<12, to: high)
        try rig.apply(2, 2..<3, to: low)
        isFull.withLock { $0 = false }
        try await rig.close()
        #expect(!rig.hasFailed)
    }

    @Test("a removal that fails, and a creation, are tried again until they succeed")
    func triedAgain() async throws {
        let rig = try await WorkerRig()
        let failures = Mutex<[SickEngine.Call: Int]>([:])
        rig.engine.set { [storage] call in
            guard call == .create || call == .remove else { return nil }
            let count = failures.withLock { failures in
                failures[call, default: 0] += 1
                return failures[call] ?? 0
            }
            return count <= 2 ? .inputOutput(storage, detail: "no") : nil
        }
        let other = PartitionDescriptor(
            id: PartitionID(5), table: rig.table.id, range: .all, epoch: Epoch(1), primary: nil, replicas: [],
            status: .creating)
        rig.worker.submit(.create(other, rig.table), to: StorageID(5))
        rig.worker.submit(.remove(partition), to: storage)
        try await eventually("both are done") { rig.inputs.count == 2 }
        #expect(rig.inputs.contains(.created(PartitionID(5), StorageID(5))))
        #expect(rig.inputs.contains(.dropped(partition, storage)))
        try await rig.close()
    }

    @Test("rows are hashed beside later entries, and the hash is that of the position asked for (M6)")
    func hashesBeside() async throws {
        let rig = try await WorkerRig()
        try rig.apply(1, 0..<100)
        try await eventually("it is applied") { rig.inputs == [.applied(partition, 1)] }
        let snapshot = try await rig.engine.sound.snapshot(of: partition, in: storage)
        let expected = try await snapshot.checksum().hash
        await snapshot.close()

        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        rig.engine.set { call in
            if call == .hash { for await _ in gate { break } }
            return nil
        }
        rig.worker.submit(.checksum(partition, rig.position(1)), to: storage)
        try rig.apply(2, 100..<200)
        try await eventually("entries go on") { rig.inputs.contains(.applied(partition, 2)) }
        opener.yield()
        let checksummed = AgentInput.checksummed(partition, rig.position(1), expected)
        try await eventually("the hash is said") { rig.inputs.contains(checksummed) }
        try await rig.close()
    }

    @Test("damage that is found on the disk is said of those whose rows are there, and of all where it hides who they are (F6)")
    func saysWhatRotted() async throws {
        let rig = try await WorkerRig()
        try rig.apply(1, 0..<100)
        try await eventually("it is applied") { rig.inputs == [.applied(partition, 1)] }
        // The rows are in the log still: what the file has under them is read by nobody.
        try rig.rot(page: 2)
        #expect(await damagedPage(rig) == 2)
        for _ in 0..<2 { _ = try await rig.worker.inspect(storage, from: 1, limit: 1).get() }
        #expect(rig.inputs == [.applied(partition, 1)])
        try rig.rot(page: 2)
        // Our own record of the table's columns.
        try rig.rot(page: 4)
        #expect(await damagedPage(rig) == 4)
        try await eventually("it is said") {
            rig.inputs.contains {
                if case .storageDamaged(storage, [], let what) = $0 { what.contains("page 4") } else { false }
            }
        }
        try await rig.close()
    }

    private func damagedPage(_ rig: WorkerRig) async -> UInt64? {
        try? await rig.worker.inspect(storage, from: 1, limit: 100).get().damaged
    }

    @Test("looking for damage waits behind entries that wait, and is given up when the agent stops")
    func inspectsLast() async throws {
        let rig = try await WorkerRig()
        let isFull = Mutex(true)
        rig.engine.set { [storage] call in call == .apply && isFull.withLock { $0 } ? .diskFull(storage) : nil }
        try rig.apply(1, 0..<1)
        try await eventually("it waits") { rig.troubles.lackOfRoom(in: storage) != nil }
        let order = Mutex<[String]>([])
        let look = Task {
            let found = await rig.worker.inspect(storage, from: 1, limit: 1)
            order.withLock { $0.append(rig.inputs.contains(.applied(partition, 1)) ? "behind" : "before") }
            return found
        }
        isFull.withLock { $0 = false }
        #expect(try await look.value.get().inspected == 1)
        #expect(order.withLock { $0 } == ["behind"])
        try await rig.close()
        guard case .failure = await rig.worker.inspect(storage, from: 1, limit: 1) else {
            Issue.record("a worker that has stopped looked at a page")
            return
        }
    }

    @Test("while a partition is removed, its sibling's entries are applied")
    func removesInSteps() async throws {
        let rig = try await WorkerRig()
        for number in 0..<4 { try rig.apply(UInt64(number + 1), Int64(number * 1_000)..<Int64((number + 1) * 1_000)) }
        try await eventually("it is filled") { rig.inputs.last == .applied(partition, 4) }
        let (low, high) = (PartitionID(2), PartitionID(3))
        try await rig.split(at: 3_500, into: [low, high], after: 4)

        // With the second step of the removal an entry comes for the other half.
        let entry = try rig.entry(5, 4_000..<4_001)
        rig.engine.set { [storage, engine = rig.engine, worker = rig.worker] call in
            if call == .remove, engine.count(of: .remove) == 2 { worker.submit(.apply(high, [entry]), to: storage) }
            return nil
        }
        rig.worker.submit(.remove(low), to: storage)
        try await eventually("it is gone") { rig.inputs.last == .dropped(low, storage) }
        #expect(rig.inputs.contains(.applied(high, 5)))
        #expect(try await rig.engine.statistics(of: .all, in: storage).rows == 501)
        try await rig.close()
    }
}
