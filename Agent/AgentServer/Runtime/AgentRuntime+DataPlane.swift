import AgentCore
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
        _ mutations: [Mutation], to partition: PartitionID, at epoch: Epoch
    ) async throws(DataRefusal) -> Position {
        // A partition's range never changes: a split makes new partitions. So the routing table is as good as the replica here.
        guard let range = routes.partition(partition)?.range else { throw .notHere(nil) }
        guard mutations.allSatisfy({ range.contains($0.key) }) else { throw .notHere(routes.partition(partition)) }
        // Early: what is under way, and what other nodes order, has its space in the log still.
        let space = storage.space
        guard space.admits || routes.partition(partition)?.primary != node else {
            throw .diskFull("the disk of \(node) is \(space)")
        }
        let payload = WriteBatch(mutations).serialized()
        let result = await withCheckedContinuation { continuation in
            let caller = callers.add(.write(continuation), until: BootClock.now() + Self.patience)
            if let caller, !inbox.put(.write(caller, partition, epoch, payload)) { callers.refuse(caller, .stopping) }
        }
        return try result.get()
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
        case .replica(.notEnoughInSync(let have, let need)): self = .notEnoughInSync(have: have, need: need)
        case .replica(.outcomeUnknown): self = .outcomeUnknown("the primary lost its role before the write was committed")
        }
    }
}
