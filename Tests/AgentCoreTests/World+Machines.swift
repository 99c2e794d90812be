// What the machines of a small world are given and order, and what comes of it on their links, on their disks and at the coordinators.

import Model
import Movement
import Replication

@testable import AgentCore

extension World {
    func give(_ machine: Machine, _ inputs: [AgentInput]) {
        guard machine.isUp else { return }
        perform(machine.core.step(inputs, at: clock(machine)), by: machine)
    }

    func perform(_ actions: [AgentAction], by machine: Machine) {
        for action in actions {
            switch action {
            case .append(let records, let ticket):
                machine.disk += records.map { (ticket, $0) }
                push(.input(.persisted(ticket: ticket), to: machine.id, life: machine.start), after: delay(2_000))
            case .send(let message, let peer):
                guard hears(machine.id, peer), !chance(loss) else { continue }
                push(.input(.received(message, from: machine.id), to: peer, life: nil), after: delay(2_000))
                if chance(loss) {
                    push(.input(.received(message, from: machine.id), to: peer, life: nil), after: delay(100_000))
                }
            case .apply, .checksum, .create, .installChildren, .drop, .copy:
                machine.engineFreeAt = max(machine.engineFreeAt, now) + delay(500)
                push(.engine(machine.id, life: machine.start, action), after: machine.engineFreeAt - now)
            case .stopCopy(let id, let peer): stopCopy(of: id, from: machine, to: peer)
            case .acknowledge(let caller, let position): acknowledge(caller, position)
            case .readable(let caller): push(.readRows(caller, at: machine.id, life: machine.start), after: delay(500))
            case .refuse(let caller, let refusal):
                refused[caller.number] = refusal
                reads[caller] = nil
            case .propose(let proposal, let request):
                guard isInReach(machine.id), machine.session != .none, !chance(loss) else { continue }
                push(.proposal(proposal, request, from: machine.id, machine.session), after: delay(3_000))
                if chance(loss) {
                    push(.proposal(proposal, request, from: machine.id, machine.session), after: delay(500_000))
                }
            case .topologyChanged:
                guard !lateMirrors.contains(machine.id) else { continue }
                // Written behind the others' backs: a crash may find an older one.
                let late = delay(chance(0.05) ? 200_000 : 2_000)
                push(.topologySaved(machine.id, life: machine.start, machine.core.topology), after: late)
            case .confirmQuorum:
                // The least that the leader may know is what was committed when it was asked.
                if isInReach(machine.id), !chance(loss) {
                    let answer = AgentInput.quorumConfirmed(clock(machine), revision: catalog.topology.revision)
                    let late = delay(chance(0.05) ? 1_000_000 : 30_000)
                    push(.input(answer, to: machine.id, life: machine.start), after: late)
                }
            case .findSplitKey(let id, _, let range, _):
                splitKeysAsked += 1
                let key = splitKey.flatMap { range.split(at: $0) == nil ? nil : $0 }
                push(.input(.splitKeyFound(id, key), to: machine.id, life: machine.start), after: delay(50_000))
            case .askTopology, .evicting: break
            case .damaged(let id, let what): if !mayDamage { damages.append("\(machine.id) \(id) \(what)") }
            }
        }
    }

    func acknowledge(_ caller: CallerID, _ position: Position) {
        let row = repeats[caller.number] ?? caller.number
        if row != caller.number { goodRepeats += 1 }
        acknowledged.insert(row)
        history.append(row)
        guard let partition = written[caller.number] else { return }
        // What was written before a merge keeps its place in the log of that time.
        if let merged = catalog.topology.partitions[partition], !merged.parents.isEmpty, position <= merged.origin { return }
        if let other = positions[partition, default: [:]].updateValue(row, forKey: position), other != row {
            violations.append("\(other) and \(row) are both acknowledged at \(position) of \(partition)")
        }
    }

    func handle(_ event: Event) {
        switch event {
        case .input(let input, let id, let life):
            guard let machine = machines[id], machine.isUp, life ?? machine.start == machine.start else { return }
            if case .persisted(let ticket) = input {
                machine.persisted = max(machine.persisted, (machine.disk.lastIndex { $0.ticket <= ticket } ?? -1) + 1)
            }
            give(machine, [input])
        case .engine(let id, let life, let action):
            guard let machine = machines[id], machine.isUp, machine.start == life else { return }
            work(action, at: machine)
        case .registration(let id, let life):
            guard let machine = machines[id], machine.isUp, machine.start == life else { return }
            machine.isRegistering = false
            guard isInReach(id) else { return }
            let unvouched = machine.core.unvouched
            let session =
                (try? catalog.register(
                    id, store: machine.store, generation: machine.life, isIntact: unvouched != nil, damaged: unvouched ?? []))
                ?? .none
            if let registered = catalog.topology.nodes[id]?.generation, registered.number > machine.life {
                machine.core.wentBack(to: registered)
            }
            push(.registered(id, life: life, session), after: delay(3_000))
        case .registered(let id, let life, let session):
            guard let machine = machines[id], machine.isUp, machine.start == life else { return }
            machine.session = session
            // What the disk counts, where it had to be raised.
            if let registered = catalog.topology.nodes[id]?.generation.number, registered > machine.life {
                machine.life = registered
            }
        case .topologySaved(let id, let life, let topology):
            guard let machine = machines[id], machine.isUp, machine.start == life,
                topology.revision > machine.savedTopology.revision
            else { return }
            machine.savedTopology = topology
            give(machine, [.topologySaved(topology.revision)])
        case .proposal(let proposal, let request, let from, let session):
            guard isInReach(from), let machine = machines[from] else { return }
            let outcome = catalog.decide(proposal, request, from: from, session: session)
            push(.input(.answered(proposal, outcome), to: from, life: machine.start), after: delay(3_000))
            if chance(loss) {
                push(.input(.answered(proposal, outcome), to: from, life: machine.start), after: delay(500_000))
            }
        case .readRows(let caller, let id, let life):
            guard let machine = machines[id], machine.isUp, machine.start == life, let read = reads[caller],
                let held = machine.engine[read.partition]
            else { return }
            push(.readEnds(caller, held.rows, at: id, life: life), after: delay(2_000))
        case .readEnds(let caller, let rows, let id, let life): readEnds(caller, rows, id, life)
        case .snapshot(let id, let storage, let to, var held, let point, let epoch, let term, let from):
            guard let machine = machines[to], machine.isUp,
                machine.core.learner(of: id, in: storage, at: epoch, from: from, term: term) != nil
            else { return endCopy(of: id, from: from, to: to, isWhole: false) }
            number += 1
            let copy = number
            give(machine, [.snapshotBegun(id, storage, copy: copy)])
            held.storage = storage
            // Behind all that the engine was given to do before.
            machine.engineFreeAt = max(machine.engineFreeAt, now) + delay(500)
            let turn = machine.engineFreeAt - now
            push(.importBegins(id, storage, point, at: to, life: machine.start), after: turn)
            push(.imported(id, held, point, to: to, life: machine.start, from: from, copy: copy), after: turn + delay(20_000))
        case .importBegins(let id, let storage, let point, let node, let life):
            guard let machine = machines[node], machine.isUp, machine.start == life, let held = machine.engine[id] else {
                return
            }
            machine.importing[id] = point
            machine.engine[id] = Held(storage: storage, range: held.range)
            machine.synced[id] = machine.engine[id]
        case .imported(let id, let held, let point, let to, let life, let from, let copy):
            var isWhole = false
            if let machine = machines[to], machine.isUp, machine.start == life, machine.importing[id] == point, !chance(0.1) {
                isWhole = true
                machine.importing[id] = nil
                machine.engine[id] = held
                machine.synced[id] = held
                give(machine, [.snapshotInstalled(id, held.storage, point, copy: copy)])
            }
            endCopy(of: id, from: from, to: to, isWhole: isWhole)
        }
    }

    /// The rows were read; the right to give them out is looked at once more, and then they must show all that was acknowledged.
    func readEnds(_ caller: CallerID, _ rows: Set<UInt64>, _ id: NodeID, _ life: UInt64) {
        guard let machine = machines[id], machine.isUp, machine.start == life, let read = reads.removeValue(forKey: caller),
            machine.core.confirmRead(of: read.partition, at: read.epoch, now: clock(machine)) == nil
        else { return }
        goodReads += 1
        let missing = history[..<read.after].filter { read.range.contains(World.key($0)) && !rows.contains($0) }
        if !missing.isEmpty {
            violations.append("a strong read of \(read.partition) at \(read.epoch) on \(id) misses \(missing.count) writes")
        }
    }
}
