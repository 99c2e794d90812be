import AgentCore
import Engine
import LogStorage
package import Model
import Replication
import RoutingTable
import Transport
import Wire

extension AgentRuntime {
    /// How long a request may wait before its outcome counts as unknown.
    private static var patience: Span { .seconds(10) }

    package nonisolated func write(
        _ mutations: [Mutation], under key: IdempotencyKey?, to partition: PartitionID, at epoch: Epoch
    ) async throws(DataRefusal) -> Position {
        // A partition's range never changes: a split makes new partitions. So the routing table is as good as the replica here.
        guard let range = routes.partition(partition)?.range else { throw .notHere(nil) }
        guard mutations.allSatisfy({ range.contains($0.key) }) else { throw .notHere(routes.partition(partition)) }
        // Early: what is under way, and what other nodes order, has its space in the log still.
        let space = storage.space
        guard space.admits || routes.partition(partition)?.primary != node else {
            throw .diskFull("the disk of \(node) is \(space)")
        }
        if let lack = lackOfRoom(for: partition) { throw .diskFull("on \(node): \(lack); what is committed waits for it") }
        let payload = WriteBatch(mutations).serialized()
        let request = try await recall(key, payload, partition)
        // Before it is ordered: what the core has ordered, the log must take.
        guard intake.take(payload.count, for: .callers) else { throw .overloaded }
        let result = await withCheckedContinuation { continuation in
            let caller = callers.add(.write(continuation), until: BootClock.now() + Self.patience)
            let isPut = caller.map { inbox.put(.write($0, partition, epoch, payload, request)) } ?? false
            guard !isPut else { return }
            intake.release(payload.count)
            if let caller { callers.refuse(caller, .stopping) }
        }
        return try result.get()
    }

    /// What the engine knows of an earlier write under the key. What it does not know is looked for in the log, by the core (rule R8).
    private nonisolated func recall(
        _ key: IdempotencyKey?, _ payload: [UInt8], _ partition: PartitionID
    ) async throws(DataRefusal) -> WriteOnceRequest? {
        guard let key else { return nil }
        let now = BootClock.wallTime()
        let horizon = now - Limits.writeKeyAge
        let expired = DataRefusal.keyExpired(age: .milliseconds(now.milliseconds - key.madeAt.milliseconds))
        guard key.madeAt >= horizon, key.madeAt <= now + Limits.writeKeyLead else { throw expired }
        var request = WriteOnceRequest(once: WriteOnce(key: key, horizon: horizon), recalledAt: 0, earlier: nil)
        // Who does not lead here is refused by the core.
        guard let descriptor = routes.partition(partition), descriptor.primary == node,
            let storage = descriptor.replica(on: node)?.storage
        else { return request }
        let known: Recollection
        do throws(EngineError) { known = try await engine.recall(key, of: partition, in: storage) } catch {
            if error.isDamage { inbox.put(.failed(partition, "\(error)")) }
            // What the engine cannot say now it says a moment later: its core takes nothing that was looked up before its log's start.
            return request
        }
        if let write = known.write {
            guard write.checksum == Checksum.crc32c(payload) else { throw .keyReused }
        } else if known.forgotten.contains(key.madeAt) {
            throw expired
        }
        request = WriteOnceRequest(once: request.once, recalledAt: known.applied.sequence, earlier: known.write?.position)
        return request
    }

    /// Why this node, as primary, could order a write now, but not apply it.
    private nonisolated func lackOfRoom(for partition: PartitionID) -> EngineError? {
        guard let descriptor = routes.partition(partition), descriptor.primary == node,
            let storage = descriptor.replica(on: node)?.storage
        else { return nil }
        return troubles.lackOfRoom(in: storage)
    }

    package nonisolated func strongRead(
        of partition: PartitionID, at epoch: Epoch
    ) async throws(DataRefusal) -> ReplicaLocation {
        let result = await withCheckedContinuation { continuation in
            let caller = callers.add(.read(continuation), until: BootClock.now() + Self.patience)
            if let caller, !inbox.put(.read(caller, partition, epoch)) { callers.refuse(caller, .stopping) }
        }
        try result.get()
        return try await location(of: partition)
    }

    package func confirmStrongRead(of partition: PartitionID, at epoch: Epoch) async throws(DataRefusal) {
        if let refusal = confirm(partition, epoch) { throw DataRefusal(refusal) }
    }

    package func localRead(of partition: PartitionID) async throws(DataRefusal) -> ReplicaLocation {
        try location(of: partition)
    }

    package func confirmLocalRead(of partition: PartitionID, in storage: StorageID) async throws(DataRefusal) {
        guard localStorage(of: partition)?.storage == storage else { throw .notHere(routes.partition(partition)) }
    }

    package func boundedRead(
        of partition: PartitionID, at epoch: Epoch, within age: Span
    ) async throws(DataRefusal) -> ReplicaLocation {
        let location = try location(of: partition)
        guard location.partition.primary != identity.node else { return try await strongRead(of: partition, at: epoch) }
        let own = self.age(of: partition)
        guard let own, own <= age else { throw .tooStale(age: own) }
        return location
    }

    private func location(of partition: PartitionID) throws(DataRefusal) -> ReplicaLocation {
        guard let (storage, descriptor) = localStorage(of: partition), let table = topology.tables[descriptor.table] else {
            throw .notHere(routes.partition(partition))
        }
        return ReplicaLocation(partition: descriptor, table: table, storage: storage, range: descriptor.range)
    }
}

extension DataRefusal {
    /// Of a request that came too late to be taken up at all.
    static var stopping: Self { .unavailable("the agent is stopping") }

    init(_ refusal: RequestRefusal) {
        switch refusal {
        case .notHere(let partition): self = .notHere(partition)
        case .staleEpoch(let partition): self = .staleEpoch(partition)
        case .replica(.notPrimary): self = .notHere(nil)
        case .replica(.recovering): self = .recovering
        case .replica(.fenced): self = .fenced
        case .replica(.noLease): self = .noLease
        case .replica(.overloaded): self = .overloaded
        case .replica(.keyReused): self = .keyReused
        case .replica(.notEnoughInSync(let have, let need)): self = .notEnoughInSync(have: have, need: need)
        case .replica(.outcomeUnknown): self = .outcomeUnknown("the primary lost its role before the write was committed")
        }
    }
}
