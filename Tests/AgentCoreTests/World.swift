// Whole agents' cores in a small world: links that lose and double, disks and engines that forget what was not synced, and a
// catalog that commits the steps of operations by compare-and-set. One seed, one history.

import Model
import Movement
import Replication

@testable import AgentCore

final class World {
    struct Held {
        var storage: StorageID
        var range: KeyRange
        var rows: Set<UInt64> = []
        var applied = Position.zero
    }

    final class Machine {
        let id: NodeID
        let store: StoreID
        var core: AgentCore
        var isUp = true
        var life: UInt64 = 1
        var disk: [(ticket: UInt64, record: PartitionRecord)] = []
        var persisted = 0
        var engine: [PartitionID: Held] = [:]
        var synced: [PartitionID: Held] = [:]
        var engineFreeAt = LogicalInstant.origin
        var savedTopology = Topology()
        /// Partitions of which the engine holds part of a snapshot.
        var importing: [PartitionID: LogPoint] = [:]

        init(_ id: NodeID, store: StoreID, core: AgentCore) {
            self.id = id
            self.store = store
            self.core = core
        }
    }

    enum Event {
        case input(AgentInput, to: NodeID, life: UInt64?)
        case engine(NodeID, life: UInt64, AgentAction)
        case proposal(PartitionProposal, RequestID, from: NodeID)
        case snapshot(PartitionID, StorageID, to: NodeID, Held, LogPoint, Epoch, from: NodeID)
        case importBegins(PartitionID, StorageID, LogPoint, at: NodeID, life: UInt64)
        case imported(PartitionID, Held, LogPoint, to: NodeID, life: UInt64, from: NodeID)
    }

    var random: SeededGenerator
    var now = LogicalInstant(microseconds: 1_000_000)
    var loss = 0.01
    var machines: [NodeID: Machine] = [:]
    var order: [NodeID] = []
    var queue: [(at: LogicalInstant, number: UInt64, event: Event)] = []
    var number: UInt64 = 0
    var catalog: FakeCatalog
    var coordinatorsUp = true

    var nextCaller: UInt64 = 0
    var acknowledged: Set<UInt64> = []
    var refused: [UInt64: RequestRefusal] = [:]
    var damages: [String] = []
    var violations: [String] = []

    init(seed: UInt64, nodes count: Int) throws {
        random = SeededGenerator(seed: seed)
        order = try (1...count).map { try NodeID("n\($0)") }
        catalog = try FakeCatalog(nodes: order)
        for (index, id) in order.enumerated() {
            let store = StoreID(UInt64(index + 1))
            let identity = AgentIdentity(node: id, store: store, generation: Generation(1))
            let core = AgentCore(
                identity: identity, topology: Topology(), recovered: [:], engine: [],
                startedAt: LogicalInstant(microseconds: -5_000_000))
            machines[id] = Machine(id, store: store, core: core)
        }
    }

    // MARK: - Time

    func push(_ event: Event, after delay: Span) {
        number += 1
        let item = (at: now + delay, number: number, event: event)
        let index = queue.firstIndex { ($0.at, $0.number) > (item.at, item.number) } ?? queue.count
        queue.insert(item, at: index)
    }

    func chance(_ p: Double) -> Bool { Double.random(in: 0..<1, using: &random) < p }
    func delay(_ most: Int64) -> Span { .microseconds(Int64.random(in: 50...most, using: &random)) }

    func run(_ span: Span) {
        let end = now + span
        while now < end {
            let next = min(end, now + .milliseconds(10))
            while let first = queue.first, first.at <= next {
                queue.removeFirst()
                now = max(now, first.at)
                handle(first.event)
            }
            now = next
            for id in order {
                guard let machine = machines[id], machine.isUp else { continue }
                if coordinatorsUp, machine.core.topology.revision < catalog.topology.revision, chance(0.5) {
                    push(.input(.topology(catalog.topology), to: id, life: machine.life), after: delay(2_000))
                }
                give(machine, [.tick])
                if chance(0.1) { sync(machine) }
            }
        }
    }

    func run(until condition: () -> Bool, atMost span: Span = .seconds(20)) -> Bool {
        let end = now + span
        while now < end, !condition() { run(.milliseconds(10)) }
        return condition()
    }

    // MARK: - Machines

    func give(_ machine: Machine, _ inputs: [AgentInput]) {
        guard machine.isUp else { return }
        perform(machine.core.step(inputs, at: now), by: machine)
    }

    func perform(_ actions: [AgentAction], by machine: Machine) {
        for action in actions {
            switch action {
            case .append(let records, let ticket):
                machine.disk += records.map { (ticket, $0) }
                push(.input(.persisted(ticket: ticket), to: machine.id, life: machine.life), after: delay(2_000))
            case .send(let message, let peer):
                guard !chance(loss) else { continue }
                push(.input(.received(message, from: machine.id), to: peer, life: nil), after: delay(2_000))
            case .apply, .checksum, .create, .installChildren, .drop, .copy:
                machine.engineFreeAt = max(machine.engineFreeAt, now) + delay(500)
                push(.engine(machine.id, life: machine.life, action), after: machine.engineFreeAt - now)
            case .acknowledge(let caller, _): acknowledged.insert(caller.number)
            case .readable: break
            case .refuse(let caller, let refusal): refused[caller.number] = refusal
            case .propose(let proposal, let request):
                if coordinatorsUp, !chance(loss) { push(.proposal(proposal, request, from: machine.id), after: delay(3_000)) }
            case .topologyChanged: machine.savedTopology = machine.core.topology
            case .confirmQuorum:
                if coordinatorsUp {
                    push(.input(.quorumConfirmed(now), to: machine.id, life: machine.life), after: delay(30_000))
                }
            case .askTopology: break
            case .damaged(let id, let what): damages.append("\(machine.id) \(id) \(what)")
            }
        }
    }

    private func handle(_ event: Event) {
        switch event {
        case .input(let input, let id, let life):
            guard let machine = machines[id], machine.isUp, life ?? machine.life == machine.life else { return }
            if case .persisted(let ticket) = input {
                machine.persisted = max(machine.persisted, (machine.disk.lastIndex { $0.ticket <= ticket } ?? -1) + 1)
            }
            give(machine, [input])
        case .engine(let id, let life, let action):
            guard let machine = machines[id], machine.isUp, machine.life == life else { return }
            work(action, at: machine)
        case .proposal(let proposal, let request, let from):
            guard coordinatorsUp, let machine = machines[from] else { return }
            let outcome = catalog.decide(proposal, request, from: from)
            push(.input(.answered(proposal, outcome), to: from, life: machine.life), after: delay(3_000))
        case .snapshot(let id, let storage, let to, var held, let point, let epoch, let from):
            guard let machine = machines[to], machine.isUp, let learner = machine.core.learner(of: id, in: storage),
                learner.epoch == epoch, learner.primary == from
            else { return endCopy(of: id, from: from, to: to) }
            give(machine, [.snapshotBegun(id, storage)])
            held.storage = storage
            // Behind all that the engine was given to do before.
            machine.engineFreeAt = max(machine.engineFreeAt, now) + delay(500)
            let turn = machine.engineFreeAt - now
            push(.importBegins(id, storage, point, at: to, life: machine.life), after: turn)
            push(.imported(id, held, point, to: to, life: machine.life, from: from), after: turn + delay(20_000))
        case .importBegins(let id, let storage, let point, let node, let life):
            guard let machine = machines[node], machine.isUp, machine.life == life, let held = machine.engine[id] else {
                return
            }
            machine.importing[id] = point
            machine.engine[id] = Held(storage: storage, range: held.range)
            machine.synced[id] = machine.engine[id]
        case .imported(let id, let held, let point, let to, let life, let from):
            if let machine = machines[to], machine.isUp, machine.life == life, machine.importing[id] == point, !chance(0.1) {
                machine.importing[id] = nil
                machine.engine[id] = held
                machine.synced[id] = held
                give(machine, [.snapshotInstalled(id, held.storage, point)])
            }
            endCopy(of: id, from: from, to: to)
        }
    }

    private func endCopy(of id: PartitionID, from: NodeID, to: NodeID) {
        if let source = machines[from] { give(source, [.copyEnded(id, to: to)]) }
    }

    private func work(_ action: AgentAction, at machine: Machine) {
        switch action {
        case .apply(let id, _, let entries):
            if machine.importing[id] != nil { violations.append("\(machine.id) applies \(id) to part of a snapshot") }
            guard var held = machine.engine[id] else { return }
            for entry in entries where entry.sequence > held.applied.sequence {
                if case .write(let payload) = entry.body {
                    let row = World.number(payload)
                    if !held.range.contains(World.key(row)) { violations.append("\(row) outside \(held.range)") }
                    held.rows.insert(row)
                }
                held.applied = entry.position
            }
            machine.engine[id] = held
            give(machine, [.applied(id, held.applied.sequence)])
        case .checksum(let id, _, let position):
            guard let held = machine.engine[id] else { return }
            give(machine, [.checksummed(id, position, held.rows.reduce(0) { $0 ^ ($1 &* 0x9E37_79B9_7F4A_7C15) })])
        case .create(let descriptor, let storage):
            machine.engine[descriptor.id] = Held(storage: storage, range: descriptor.range)
            machine.synced[descriptor.id] = machine.engine[descriptor.id]
            give(machine, [.created(descriptor.id, storage)])
        case .installChildren(let parent, let storage, let children):
            let held = machine.engine.removeValue(forKey: parent)
            for child in children {
                let rows = (held?.rows ?? []).filter { child.range.contains(World.key($0)) }
                machine.engine[child.id] = Held(storage: storage, range: child.range, rows: rows, applied: child.origin)
            }
            machine.synced = machine.engine
            give(machine, [.childrenInstalled(parent: parent)])
        case .drop(let id, let storage):
            machine.engine[id] = nil
            machine.synced[id] = nil
            machine.importing[id] = nil
            give(machine, [.dropped(id, storage)])
        case .copy(let id, _, let peer, let storage):
            if let held = machine.engine[id], let point = machine.core.point(of: id, at: held.applied.sequence), !chance(0.1) {
                let epoch = machine.core.topology.partitions[id]?.epoch ?? Epoch(0)
                push(.snapshot(id, storage, to: peer, held, point, epoch, from: machine.id), after: .milliseconds(20))
            } else {
                give(machine, [.copyEnded(id, to: peer)])
            }
        default: break
        }
    }

    private func sync(_ machine: Machine) {
        machine.synced = machine.engine
        let whole = machine.engine.filter { machine.importing[$0.key] == nil }
        give(machine, whole.sorted { $0.key < $1.key }.map { .synced($0.key, $0.value.applied.sequence) })
    }

    func crash(_ id: NodeID) {
        guard let machine = machines[id], machine.isUp else { return }
        machine.isUp = false
        let unsure = machine.disk.count - machine.persisted
        machine.disk.removeLast(unsure > 0 ? Int.random(in: 0...unsure, using: &random) : 0)
        machine.persisted = machine.disk.count
        machine.engine = machine.synced
    }

    func restart(_ id: NodeID) {
        guard let machine = machines[id], !machine.isUp else { return }
        machine.life += 1
        machine.isUp = true
        machine.engineFreeAt = now
        machine.disk = machine.disk.map { (0, $0.record) }
        var recovered: [PartitionID: RecoveredPartition] = [:]
        for (_, record) in machine.disk {
            if let id = record.partition { recovered[id, default: RecoveredPartition()].add(record) }
        }
        let found = machine.engine.sorted { $0.key < $1.key }.map {
            EngineReplica(
                partition: $0.key, storage: $0.value.storage, applied: $0.value.applied,
                isImporting: machine.importing[$0.key] != nil)
        }
        machine.core = AgentCore(
            identity: AgentIdentity(node: id, store: machine.store, generation: Generation(machine.life)),
            topology: machine.savedTopology, recovered: recovered, engine: found, startedAt: now)
        perform(machine.core.start(at: now), by: machine)
    }

    // MARK: - Clients

    static func payload(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
    static func number(_ payload: [UInt8]) -> UInt64 { payload.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    /// Spreads consecutive numbers over the key space.
    static func key(_ number: UInt64) -> Key {
        let spread = UInt16(truncatingIfNeeded: number &* 40_503)
        return Key([UInt8(spread >> 8), UInt8(spread & 0xFF)])
    }

    func write() {
        nextCaller += 1
        let row = nextCaller
        guard let partition = catalog.topology.partitions.values.first(where: { $0.range.contains(World.key(row)) }),
            let primary = partition.primary, let machine = machines[primary], machine.isUp
        else { return }
        give(machine, [.write(CallerID(row), partition.id, partition.epoch, World.payload(row))])
    }

    /// Heals everything, waits for rest, and states what must hold then.
    func settle() -> [String] {
        loss = 0
        coordinatorsUp = true
        for id in order { restart(id) }
        let rested = run(until: { self.isAtRest }, atMost: .seconds(40))
        var found = violations + damages
        guard rested else { return found + ["no rest: \(describe())"] }
        var all: Set<UInt64> = []
        for partition in catalog.topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            let copies = partition.replicas.compactMap { machines[$0.node]!.engine[partition.id] }
            if copies.count != partition.replicas.count { found.append("\(partition.id) lacks copies") }
            for copy in copies.dropFirst() where copy.rows != copies[0].rows { found.append("\(partition.id) differs") }
            all.formUnion(copies.first?.rows ?? [])
        }
        let lost = acknowledged.subtracting(all)
        if !lost.isEmpty { found.append("\(lost.count) acknowledged writes are lost: \(lost.sorted().prefix(5))") }
        for id in order {
            for (partition, held) in machines[id]!.engine {
                let descriptor = catalog.topology.partitions[partition]
                if descriptor?.replica(on: id)?.storage != held.storage { found.append("\(id) keeps \(partition) for nobody") }
            }
        }
        return found
    }

    private var isAtRest: Bool {
        guard catalog.topology.operations.values.allSatisfy({ $0.phase != .running && $0.cleanups.isEmpty }) else {
            return false
        }
        return catalog.topology.partitions.values.allSatisfy { partition in
            guard let primary = partition.primary, partition.learners.isEmpty else { return false }
            let leader = machines[primary]!.core.replicas(at: now).first { $0.partition == partition.id }
            guard let leader, leader.isServing, leader.descriptor?.epoch == partition.epoch, !leader.isFenced else {
                return false
            }
            return partition.replicas.allSatisfy { machines[$0.node]!.engine[partition.id]?.applied == leader.last }
        }
    }

    func describe() -> String {
        var lines: [String] = []
        for partition in catalog.topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            lines.append(
                "\(partition.id) \(partition.epoch) \(partition.status) primary=\(partition.primary?.name ?? "-") "
                    + "inSync=\(partition.inSync) learners=\(partition.learners) op=\(partition.operation?.description ?? "-")")
            for replica in partition.replicas {
                let status = machines[replica.node]!.core.replicas(at: now).first { $0.partition == partition.id }
                lines.append(
                    "   \(replica.node): "
                        + (status.map {
                            "\($0.descriptor?.epoch.description ?? "-") last=\($0.last) commit=\($0.commit) applied=\($0.applied) "
                                + "serving=\($0.isServing) fenced=\($0.isFenced) damage=\($0.damage ?? "-")"
                        } ?? "nothing"))
            }
        }
        for operation in catalog.topology.operations.values.sorted(by: { $0.id < $1.id })
        where operation.phase == .running || !operation.cleanups.isEmpty {
            lines.append("op \(operation.id) \(operation.kind) \(operation.step) \(operation.phase) \(operation.cleanups)")
        }
        return lines.joined(separator: "\n")
    }
}
