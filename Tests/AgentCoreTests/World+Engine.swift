// The machines' engines: what is made, applied, copied and removed, and what of it a crash would find.

import Model
import Movement
import Replication

@testable import AgentCore

extension World {
    func endCopy(of id: PartitionID, from: NodeID, to: NodeID, isWhole: Bool) {
        if let source = machines[from] { give(source, [.copyEnded(id, to: to, isWhole: isWhole)]) }
    }

    /// What of the snapshot has not arrived never will.
    func stopCopy(of id: PartitionID, from machine: Machine, to peer: NodeID) {
        let count = queue.count
        queue.removeAll { item in
            switch item.event {
            case .snapshot(id, _, peer, _, _, _, _, machine.id), .imported(id, _, _, peer, _, machine.id, _): true
            default: false
            }
        }
        guard queue.count < count else { return }
        stoppedCopies += 1
        push(.input(.copyEnded(id, to: peer, isWhole: false), to: machine.id, life: machine.start), after: delay(2_000))
    }

    /// Its engine does what has waited.
    func makeRoom(on id: NodeID) {
        guard let machine = machines[id] else { return }
        machine.lacksRoom = false
        machine.holdsInstallations = false
        machine.holdsRemovals = false
        let waiting = machine.waiting
        machine.waiting = []
        for action in waiting { work(action, at: machine) }
    }

    func work(_ action: AgentAction, at machine: Machine) {
        switch action {
        case .apply where machine.lacksRoom, .checksum where machine.lacksRoom, .installChildren where machine.lacksRoom:
            machine.waiting.append(action)
        case .installChildren where machine.holdsInstallations, .drop where machine.holdsRemovals:
            machine.waiting.append(action)
        case .apply(let id, _, let entries):
            if machine.importing[id] != nil { violations.append("\(machine.id) applies \(id) to part of a snapshot") }
            guard var held = machine.engine[id] else { return }
            for entry in entries where entry.sequence > held.applied.sequence {
                if case .write(let payload, let once) = entry.body {
                    let row = World.number(payload)
                    if !held.range.contains(World.key(row)) { violations.append("\(row) outside \(held.range)") }
                    if !held.rows.insert(row).inserted {
                        violations.append("\(row) is written twice, now at \(entry.position)")
                    }
                    if once != nil { held.writes[row] = entry.position }
                }
                held.applied = entry.position
            }
            machine.engine[id] = held
            give(machine, [.applied(id, held.applied.sequence)])
        case .checksum(let id, _, let position):
            guard let held = machine.engine[id] else { return }
            give(machine, [.checksummed(id, position, held.rows.reduce(0) { $0 ^ ($1 &* 0x9E37_79B9_7F4A_7C15) })])
        case .create(let descriptor, _) where machine.makesNothing:
            machine.refusedCreations += 1
            give(machine, [.failed(descriptor.id, "no room")])
        case .create(let descriptor, let storage):
            if machine.unreadable.contains(storage) { violations.append("\(machine.id) makes \(descriptor.id) in damage") }
            machine.engine[descriptor.id] = Held(storage: storage, range: descriptor.range)
            machine.synced[descriptor.id] = machine.engine[descriptor.id]
            give(machine, [.created(descriptor.id, storage)])
        case .installChildren(let first, let storage, let children) where !children[0].parents.isEmpty:
            merge(children[0], in: storage, at: machine)
            give(machine, [.childrenInstalled(parent: first)])
        case .installChildren(let parent, let storage, let children):
            let held = machine.engine.removeValue(forKey: parent)
            if let held, held.applied.sequence < children[0].origin.sequence {
                violations.append("\(machine.id) cuts \(parent) in two at \(held.applied), before \(children[0].origin)")
            }
            if held == nil, children.contains(where: { machine.engine[$0.id] == nil }) {
                violations.append("\(machine.id) makes children out of nothing")
            }
            abandonedRows += held?.rows.count { row in !children.contains { $0.range.contains(World.key(row)) } } ?? 0
            for child in children where held != nil {
                let rows = (held?.rows ?? []).filter { child.range.contains(World.key($0)) }
                let writes = (held?.writes ?? [:]).filter { child.range.contains(World.key($0.key)) }
                machine.engine[child.id] = Held(
                    storage: storage, range: child.range, rows: rows, writes: writes, applied: child.origin)
            }
            machine.synced = machine.engine
            give(machine, [.childrenInstalled(parent: parent)])
        case .drop(let id, _) where machine.removesNothing: give(machine, [.failed(id, "no room")])
        case .drop(let id, let storage):
            if machine.disk.prefix(machine.persisted).last(where: { $0.record.partition == id })?.record != .dropped(id) {
                violations.append("\(machine.id) drops \(id), which its log on disk still holds")
            }
            machine.removals += 1
            // The whole file goes.
            let isWhole = machine.unreadable.remove(storage) == nil
            for id in machine.engine.filter({ $0.key == id || !isWhole && $0.value.storage == storage }).keys {
                machine.engine[id] = nil
                machine.synced[id] = nil
            }
            machine.importing[id] = nil
            give(machine, [.dropped(id, storage)])
        case .copy(let id, _, let peer, let storage, let term):
            copies += 1
            if !copiesFail, let held = machine.engine[id], let point = machine.core.point(of: id, at: held.applied.sequence),
                !chance(0.1)
            {
                let epoch = machine.core.topology.partitions[id]?.epoch ?? Epoch(0)
                let late = chance(0.05) ? delay(3_000_000) : .milliseconds(20)
                push(.snapshot(id, storage, to: peer, held, point, epoch, term, from: machine.id), after: late)
            } else {
                give(machine, [.copyEnded(id, to: peer, isWhole: false)])
            }
        default: break
        }
    }

    private func merge(_ merged: PartitionDescriptor, in storage: StorageID, at machine: Machine) {
        guard machine.engine[merged.id] == nil else { return }
        var whole = Held(storage: storage, range: merged.range, applied: merged.origin)
        for parent in merged.parents {
            guard let held = machine.engine.removeValue(forKey: parent.partition), held.storage == storage else {
                violations.append("\(machine.id) merges \(parent.partition), which is not there")
                continue
            }
            if held.applied.sequence < parent.end.sequence {
                violations.append("\(machine.id) merges \(parent.partition) at \(held.applied), before \(parent.end)")
            }
            whole.rows.formUnion(held.rows)
            whole.writes.merge(held.writes) { $1 }
        }
        machine.engine[merged.id] = whole
        machine.synced = machine.engine
    }

    func sync(_ machine: Machine) {
        machine.synced = machine.engine
        let whole = machine.engine.filter { machine.importing[$0.key] == nil }
        give(machine, whole.sorted { $0.key < $1.key }.map { .synced($0.key, $0.value.applied.sequence) })
    }
}
