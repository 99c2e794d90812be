// Whole agents' cores in a small world: links that lose, double and break, clocks that drift, disks, engines and mirrors of the
// topology that forget what was not synced, disks that lie, copies that come late, and the coordinators' own catalog. One seed,
// one history.

import Model
import Movement
import Replication

@testable import AgentCore

final class World {
    struct Held {
        var storage: StorageID
        var range: KeyRange
        var rows: Set<UInt64> = []
        /// Of the rows whose writes have a key, where they were written (rule R8).
        var writes: [UInt64: Position] = [:]
        var applied = Position.zero
    }

    /// What a disk holds: all that a start reads.
    struct Disk {
        var log: [(ticket: UInt64, record: PartitionRecord)] = []
        var engine: [PartitionID: Held] = [:]
        var importing: [PartitionID: LogPoint] = [:]
        var topology = Topology()
    }

    final class Machine {
        let id: NodeID
        var store: StoreID
        var core: AgentCore
        var isUp = true
        var life: UInt64 = 1
        /// Starts of any data folder of this machine; what tells one life's events from another's.
        var start: UInt64 = 1
        var session = SessionID.none
        var isRegistering = false
        /// Parts in ten thousand by which its clock is fast.
        var drift: Int64 = 0
        var isSaving = false
        var disk: [(ticket: UInt64, record: PartitionRecord)] = []
        var persisted = 0
        var engine: [PartitionID: Held] = [:]
        var synced: [PartitionID: Held] = [:]
        var engineFreeAt = LogicalInstant.origin
        /// While its engine makes nothing, and how often it was asked to all the same; while it removes nothing.
        var makesNothing = false
        var refusedCreations = 0
        var removals = 0
        var removesNothing = false
        /// While its engine finds no room for entries: what waits, in order.
        var lacksRoom = false
        var waiting: [AgentAction] = []
        var savedTopology = Topology()
        /// What its last start found damaged.
        var damaged: [PartitionID] = []
        /// Partitions of which the engine holds part of a snapshot.
        var importing: [PartitionID: LogPoint] = [:]
        /// Storages that its engine could not open, and that are still there.
        var unreadable: Set<StorageID> = []

        init(_ id: NodeID, store: StoreID, core: AgentCore) {
            self.id = id
            self.store = store
            self.core = core
        }
    }

    enum Event {
        case input(AgentInput, to: NodeID, life: UInt64?)
        case engine(NodeID, life: UInt64, AgentAction)
        case proposal(PartitionProposal, RequestID, from: NodeID, SessionID)
        case registration(NodeID, life: UInt64)
        case registered(NodeID, life: UInt64, SessionID)
        case topologySaved(NodeID, life: UInt64, Topology)
        case readRows(CallerID, at: NodeID, life: UInt64)
        case readEnds(CallerID, Set<UInt64>, at: NodeID, life: UInt64)
        case snapshot(PartitionID, StorageID, to: NodeID, Held, LogPoint, Epoch, Term, from: NodeID)
        case importBegins(PartitionID, StorageID, LogPoint, at: NodeID, life: UInt64)
        case imported(PartitionID, Held, LogPoint, to: NodeID, life: UInt64, from: NodeID, copy: UInt64)
    }

    var random: SeededGenerator
    var now = LogicalInstant(microseconds: 1_000_000)
    var loss = 0.01
    var machines: [NodeID: Machine] = [:]
    var order: [NodeID] = []
    var queue: [(at: LogicalInstant, number: UInt64, event: Event)] = []
    var number: UInt64 = 0
    var catalog: TestCatalog
    var coordinatorsUp = true
    /// Pairs that do not hear each other; a node paired with itself does not hear the coordinators.
    var cut: Set<[NodeID]> = []
    /// Machines whose disks take no mirror of the topology.
    var lateMirrors: Set<NodeID> = []
    /// Whether machines shorten their logs now and then.
    var truncates = false

    struct Read {
        let partition: PartitionID
        let epoch: Epoch
        let range: KeyRange
        /// How many writes had been acknowledged when it was asked.
        let after: Int
    }

    var nextCaller: UInt64 = 0
    var acknowledged: Set<UInt64> = []
    /// In the order of their acknowledgements.
    var history: [UInt64] = []
    var positions: [PartitionID: [Position: UInt64]] = [:]
    var written: [UInt64: PartitionID] = [:]
    /// Calls that ask for a write once more, by the row.
    var repeats: [UInt64: UInt64] = [:]
    var goodRepeats = 0
    var reads: [CallerID: Read] = [:]
    var goodReads = 0
    var refused: [UInt64: RequestRefusal] = [:]
    /// Snapshots that primaries have ordered.
    var copies = 0
    var copiesFail = false
    var stoppedCopies = 0
    var damages: [String] = []
    /// Damage that the world itself did is no defect.
    var mayDamage = false
    var violations: [String] = []

    init(seed: UInt64, nodes count: Int) throws {
        random = SeededGenerator(seed: seed)
        order = try (1...count).map { try NodeID("n\($0)") }
        catalog = try TestCatalog()
        for (index, id) in order.enumerated() {
            let store = StoreID(UInt64(index + 1))
            let identity = AgentIdentity(node: id, store: store, generation: Generation(1))
            let core = AgentCore(
                identity: identity, topology: Topology(), recovered: [:], engine: [],
                startedAt: LogicalInstant(microseconds: -5_000_000))
            let machine = Machine(id, store: store, core: core)
            machine.session = try catalog.register(id, store: store, generation: 1)
            machines[id] = machine
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
                attend(machine)
                give(machine, [.tick])
                if chance(0.1) { sync(machine) }
                if truncates, chance(0.01) { truncate(machine, keeping: Double.random(in: 0..<1, using: &random)) }
            }
        }
    }

    func hears(_ a: NodeID, _ b: NodeID) -> Bool { !cut.contains([a, b].sorted()) }
    /// Whether the coordinators and the node hear each other.
    func isInReach(_ id: NodeID) -> Bool { coordinatorsUp && hears(id, id) }
    /// The machine's own clock.
    func clock(_ machine: Machine) -> LogicalInstant {
        LogicalInstant(microseconds: now.microseconds * (10_000 + machine.drift) / 10_000)
    }

    /// The coordinators' dealings with one agent.
    private func attend(_ machine: Machine) {
        guard isInReach(machine.id) else { return }
        if machine.session == .none, !machine.isRegistering {
            machine.isRegistering = true
            push(.registration(machine.id, life: machine.start), after: delay(5_000))
        }
        let known = catalog.topology.nodes[machine.id]
        if known?.status == .failed, known?.session == machine.session, chance(0.05) {
            catalog.nodeReturned(machine.id, session: machine.session)
        }
        if machine.core.topology.revision < catalog.topology.revision, chance(0.5) {
            push(.input(.topology(catalog.topology), to: machine.id, life: machine.start), after: delay(2_000))
        }
    }

    func run(until condition: () -> Bool, atMost span: Span = .seconds(20), step: Span = .milliseconds(10)) -> Bool {
        let end = now + span
        while now < end, !condition() { run(step) }
        return condition()
    }

    // MARK: - Machines

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
            case .askTopology: break
            case .damaged(let id, let what): if !mayDamage { damages.append("\(machine.id) \(id) \(what)") }
            }
        }
    }

    private func acknowledge(_ caller: CallerID, _ position: Position) {
        let row = repeats[caller.number] ?? caller.number
        if row != caller.number { goodRepeats += 1 }
        acknowledged.insert(row)
        history.append(row)
        guard let partition = written[caller.number] else { return }
        if let other = positions[partition, default: [:]].updateValue(row, forKey: position), other != row {
            violations.append("\(other) and \(row) are both acknowledged at \(position) of \(partition)")
        }
    }

    private func handle(_ event: Event) {
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
            let session =
                (try? catalog.register(id, store: machine.store, generation: machine.life, damaged: machine.damaged)) ?? .none
            push(.registered(id, life: life, session), after: delay(3_000))
        case .registered(let id, let life, let session):
            if let machine = machines[id], machine.isUp, machine.start == life { machine.session = session }
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
    private func readEnds(_ caller: CallerID, _ rows: Set<UInt64>, _ id: NodeID, _ life: UInt64) {
        guard let machine = machines[id], machine.isUp, machine.start == life, let read = reads.removeValue(forKey: caller),
            machine.core.confirmRead(of: read.partition, at: read.epoch, now: clock(machine)) == nil
        else { return }
        goodReads += 1
        let missing = history[..<read.after].filter { read.range.contains(World.key($0)) && !rows.contains($0) }
        if !missing.isEmpty {
            violations.append("a strong read of \(read.partition) at \(read.epoch) on \(id) misses \(missing.count) writes")
        }
    }

    private func endCopy(of id: PartitionID, from: NodeID, to: NodeID, isWhole: Bool) {
        if let source = machines[from] { give(source, [.copyEnded(id, to: to, isWhole: isWhole)]) }
    }

    /// What of the snapshot has not arrived never will.
    private func stopCopy(of id: PartitionID, from machine: Machine, to peer: NodeID) {
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
        let waiting = machine.waiting
        machine.waiting = []
        for action in waiting { work(action, at: machine) }
    }

    private func work(_ action: AgentAction, at machine: Machine) {
        switch action {
        case .apply where machine.lacksRoom, .checksum where machine.lacksRoom, .installChildren where machine.lacksRoom:
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
        case .installChildren(let parent, let storage, let children):
            let held = machine.engine.removeValue(forKey: parent)
            if let held, held.applied.sequence < children[0].origin.sequence {
                violations.append("\(machine.id) cuts \(parent) in two at \(held.applied), before \(children[0].origin)")
            }
            if held == nil, children.contains(where: { machine.engine[$0.id] == nil }) {
                violations.append("\(machine.id) makes children out of nothing")
            }
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

    private func sync(_ machine: Machine) {
        machine.synced = machine.engine
        let whole = machine.engine.filter { machine.importing[$0.key] == nil }
        give(machine, whole.sorted { $0.key < $1.key }.map { .synced($0.key, $0.value.applied.sequence) })
    }

    /// Drops the log's oldest records, as far as the core needs them no more (rule R9).
    /// - Parameter keeping: the share of them that stays, for a real log goes segment by segment.
    func truncate(_ machine: Machine, keeping: Double = 0) {
        guard machine.persisted == machine.disk.count else { return }
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
                partition: $0.key, storage: $0.value.storage, applied: $0.value.applied,
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
