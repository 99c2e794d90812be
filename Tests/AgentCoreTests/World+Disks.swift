// What a machine loses when it dies, what it finds when it starts, and disks that are not what they were.

import Model
import Movement
import Replication

@testable import AgentCore

extension World {
    /// Drops the log's oldest records, as far as the core needs them no more (rule R9).
    /// - Parameter keeping: the share of them that stays, for a real log goes segment by segment.
    func truncate(_ machine: Machine, keeping: Double = 0) {
        guard machine.persisted == machine.disk.count else { return }
        machine.core.forgetOnDisk(machine.core.forgotten.keys.sorted().filter { _ in chance(0.5) })
        let forgotten = machine.core.forgotten
        let needed = machine.disk.firstIndex { item in
            guard case .entry(let id, let entry) = item.record, let through = forgotten[id] else { return false }
            return entry.sequence > through
        }
        let checkpoints = machine.core.checkpoints
        machine.disk.removeFirst(Int(Double(needed ?? machine.disk.count) * (1 - keeping)))
        machine.disk += checkpoints.map { (0, $0) }
        machine.persisted = machine.disk.count
    }

    func crash(_ id: NodeID) {
        guard let machine = machines[id], machine.isUp else { return }
        machine.isUp = false
        machine.waiting = []
        let unsure = machine.disk.count - machine.persisted
        machine.disk.removeLast(unsure > 0 ? Int.random(in: 0...unsure, using: &random) : 0)
        machine.persisted = machine.disk.count
        machine.engine = machine.synced
    }

    /// What an operator's backup of the data folder would hold now.
    func image(of id: NodeID) -> Disk {
        let machine = machines[id]!
        return Disk(
            log: Array(machine.disk.prefix(machine.persisted)), engine: machine.synced, importing: machine.importing,
            topology: machine.savedTopology)
    }

    /// The disk comes back as it once was (rule E4); the count of starts goes on.
    func restore(_ id: NodeID, to image: Disk) {
        guard let machine = machines[id], !machine.isUp else { return }
        (machine.disk, machine.engine, machine.synced, machine.importing, machine.savedTopology) =
            (image.log, image.engine, image.engine, image.importing, image.topology)
        machine.persisted = machine.disk.count
        machine.unreadable = []
    }

    /// Another disk, empty, under the same name.
    func wipe(_ id: NodeID) {
        restore(id, to: Disk())
        guard let machine = machines[id], !machine.isUp else { return }
        machine.store = StoreID(machine.store.number + 100)
        machine.life = 0
    }

    /// - Parameters:
    ///   - unreadable: storages that the engine cannot open any more.
    ///   - readsAgain: whether those that it could not open so far are as they were: it was the disk's cable.
    func restart(_ id: NodeID, unreadable: Set<StorageID> = [], readsAgain: Bool = false) {
        guard let machine = machines[id], !machine.isUp else { return }
        if readsAgain { machine.unreadable = [] }
        machine.unreadable.formUnion(unreadable)
        machine.life += 1
        machine.start += 1
        machine.isUp = true
        machine.session = .none
        machine.isRegistering = false
        machine.engineFreeAt = now
        machine.disk = machine.disk.map { (0, $0.record) }
        machine.persisted = machine.disk.count
        var recovered: [PartitionID: RecoveredPartition] = [:]
        for (_, record) in machine.disk {
            if let id = record.partition { recovered[id, default: RecoveredPartition()].add(record) }
        }
        let readable = machine.engine.filter { !machine.unreadable.contains($0.value.storage) }
        let found = readable.sorted { $0.key < $1.key }.map {
            EngineReplica(
                partition: $0.key, storage: $0.value.storage, range: $0.value.range, applied: $0.value.applied,
                isImporting: machine.importing[$0.key] != nil)
        }
        machine.core = AgentCore(
            identity: AgentIdentity(node: id, store: machine.store, generation: Generation(machine.life)),
            topology: machine.savedTopology, recovered: recovered, engine: found,
            unreadable: Dictionary(uniqueKeysWithValues: machine.unreadable.map { ($0, "page 1 is not what was written") }),
            startedAt: clock(machine))
        machine.damaged = machine.core.damagedPartitions
        perform(machine.core.start(at: clock(machine)), by: machine)
    }
}
